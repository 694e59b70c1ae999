"""Regular expressions in a schema, as far as servers accept them and answers stay valid JSON. Pure."""

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
"""ASCII only, which is far cheaper, and the white space that JSON strings allow unescaped."""
_NOT_IN_STRINGS = '"\\' + "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))


@lru_cache(maxsize=256)
def cheap_pattern(pattern: Any, longest: int) -> str | None:
    r"""Return a pattern in a form that a server compiles quickly; None if it has to be dropped.

    Characters, classes, groups, alternatives and repetitions are kept if they match no quotation mark,
    backslash or control character, because TGI puts the pattern between quotation marks unchanged. `.`
    becomes any other character. Anchors are dropped: TGI matches a string from end to end.

    Args:
        pattern: Value of the keyword `pattern`.
        longest: Largest number of repetitions, nested ones multiplied.
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
    """Return the largest number of repetitions in a pattern, nested ones multiplied."""
    counts = re.findall(r"\{(\d+)(?:,(\d*))?\}", pattern)
    return math.prod(max(1, int(most or least)) for least, most in counts)


def _atom(text: str) -> str:
    if text == ".":
        return r'[^"\\\x00-\x1f\x7f-\x9f]'
    inside = text.startswith("[")
    for short, characters in _CLASSES.items():
        text = text.replace(short, characters if inside else f"[{characters}]")
    return text
