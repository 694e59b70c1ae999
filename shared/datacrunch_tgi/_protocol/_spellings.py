"""The ways in which a server may spell a text that it repeats. Pure.

It may fold white space, or escape the text for JSON, Python, Rust, HTML or a URL. So texts are compared
without white space and the characters that such escapes change, a server's both as it is and unescaped.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from html import unescape

_IGNORED = " \t\n\r\f\v\xa0\u3000\\\"'`/&<>%+"
"""White space, and the characters that escapes start with or replace."""
_ESCAPE_MARK = re.compile(r"[\\%&]")
_ESCAPE = re.compile(
    r"""(?x)
    (?<!\\)\\++  # a row of backslashes is read once, because a server may send thousands
    (?: u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\++u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})  # JSON, two halves
      | u\{(?P<rust>[0-9a-fA-F]{1,6})\} | u(?P<json>[0-9a-fA-F]{4}) | U(?P<python>[0-9a-fA-F]{8})
      | (?P<repr>x[c-fC-F][0-9a-fA-F](?:\\++x[89abAB][0-9a-fA-F]){1,3}) | x(?P<byte>[0-9a-fA-F]{2})
      | [abefnrtv0]  # white space and control characters
    )
    | (?P<url>%(?:25)*[c-fC-F][0-9a-fA-F](?:%(?:25)*[89abAB][0-9a-fA-F]){1,3})
    | %(?:25)*(?P<url_byte>[0-9a-fA-F]{2})
    | &(?:amp;)*(?P<html>\#?[0-9A-Za-z]{2,31};)
    """
)
_BYTE = re.compile(r"(?:x|%(?:25)*)([0-9a-fA-F]{2})(?![0-9a-fA-F])")


class Spelling:
    """A folded message, and for each of its characters the span in the message."""

    def __init__(self, characters: Iterable[tuple[str, int, int]]) -> None:
        kept = [each for each in characters if each[0] not in _IGNORED]
        self.text = "".join([character for character, _, _ in kept])
        self.spans = [(begin, end) for _, begin, end in kept]


def folded(text: str) -> str:
    """Return a text without the characters that are ignored."""
    for character in _IGNORED:  # much faster than str.translate if the text is not ASCII
        text = text.replace(character, "")
    return text


def has_escapes(words: str) -> bool:
    """Return whether a message may have been escaped."""
    return bool(_ESCAPE_MARK.search(words))


def spellings(words: str) -> list[Spelling]:
    """Return the message as it is and, if it may have been escaped, unescaped."""
    literal = Spelling(zip(words, range(len(words)), range(1, len(words) + 1), strict=True))
    return [literal, Spelling(_unescaped(words))] if has_escapes(words) else [literal]


def _unescaped(words: str) -> Iterator[tuple[str, int, int]]:
    place = 0
    for escape in _ESCAPE.finditer(words):
        for before in range(place, escape.start()):
            yield words[before], before, before + 1
        place = escape.end()
        for character in _meaning(escape):
            yield character, escape.start(), place
    for after in range(place, len(words)):
        yield words[after], after, after + 1


def _meaning(escape: re.Match[str]) -> str:
    if html := escape["html"]:
        return unescape(f"&{html}")
    if high := escape["high"]:
        return bytes.fromhex(high + escape["low"]).decode("utf-16-be")
    if several := escape["repr"] or escape["url"]:
        encoded = bytes.fromhex("".join(_BYTE.findall(several)))
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            return encoded.decode("latin-1")
    numbers = ("rust", "json", "python", "byte", "url_byte")
    code = next((int(escape[name], 16) for name in numbers if escape[name]), sys.maxunicode + 1)
    return chr(code) if code <= sys.maxunicode else ""
