"""Regular expressions within a schema, as far as a server takes them and an answer stays JSON. Pure."""

import math
import re
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<atom> \[ \^? (?: [^\\\[\]&~|-] | \\[dws] | \\[^\w\s] | (?<=\w)-(?=\w) )+ \]
            | \\[dws] | \\[^\w\s] | [^\\\[\](){}|*+?^$] )
    | (?P<group> \( (?: \?: | (?!\?) ) | \) | \| )
    | (?P<repeat> [*+?] | \{\d{1,4}(?:,\d{0,4})?\} )
    """,
    re.VERBOSE,
)
_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_", r"\s": " "}
"""ASCII alone, which is far cheaper, and of white space what a string of JSON holds as it is."""
_NOT_IN_STRINGS = '"\\' + "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))


@lru_cache(maxsize=256)
def cheap_pattern(pattern: Any, longest: int) -> str | None:
    r"""Return a pattern in a form that a server compiles quickly; None if it has to be dropped.

    Kept are characters, classes, groups, alternatives and repetitions that match no quotation mark,
    backslash or control character: TGI puts the pattern between quotation marks as it is. `.` is read
    as any other character. Anchors are dropped: TGI matches a string from end to end.

    Args:
        pattern: What a schema has.
        longest: The most repetitions, nested ones multiplied.
    """
    if not isinstance(pattern, str):
        return None
    body = re.sub(r"(?<!\\)\$$", "", pattern.removeprefix("^"))
    place, kept = 0, list[str]()
    while place < len(body):
        token = _TOKEN.match(body, place)
        if token is None:
            return None
        text, place = token[0], token.end()
        if token["atom"]:
            text = _atom(text)
            if re.search(text, _NOT_IN_STRINGS):
                return None
        kept.append(text)
    simple = f"({''.join(kept)})"
    try:
        re.compile(simple)
    except re.error:
        return None
    return simple if repetitions(simple) <= longest else None


def repetitions(pattern: str) -> int:
    """Return how often the most repeated part of a pattern is written out, nested ones multiplied."""
    counts = re.findall(r"\{(\d+)(?:,(\d*))?\}", pattern)
    return math.prod(max(1, int(most or least)) for least, most in counts)


def _atom(text: str) -> str:
    if text == ".":
        return r'[^"\\\x00-\x1f\x7f-\x9f]'
    inside = text.startswith("[")
    for short, characters in _CLASSES.items():
        text = text.replace(short, characters if inside else f"[{characters}]")
    return text
