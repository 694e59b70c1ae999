"""The ways in which a server may spell a text that it repeats. Pure.

It may fold white space, break lines, change case, or escape the text for JSON, Python, Rust, HTML or a URL,
several times over. So texts are compared without case, white space and the characters that such changes
add, a server's as it is and after each level of unescaping.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import unescape
from unicodedata import normalize

_LEVELS = 3
"""Levels of escapes that are undone."""
_IGNORED = bytes(range(33)) + b"\"%&'+,-/<=>\\_`|\x7f"
"""White space, control characters, what escapes start with, and what stands between lines, items and the
two alphabets of Base64."""
_IGNORED_TOO = "\xad\u200b\u200d\u2028\ufe0f\u2581ġċ│"
"""Line ends, characters without width, tokenizers' spaces and line ends, and the borders of boxes."""
_ESCAPE_MARK = re.compile(r"[\\%&]")
_ESCAPE = re.compile(
    r"""(?x)
    \\(?: u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})  # JSON, two halves
        | u\{(?P<rust>[0-9a-fA-F]{1,6})\} | u(?P<json>[0-9a-fA-F]{4}) | U(?P<python>[0-9a-fA-F]{8})
        | (?P<repr>x[c-fC-F][0-9a-fA-F](?:\\x[89abAB][0-9a-fA-F]){1,3}) | x(?P<byte>[0-9a-fA-F]{2})
        | (?P<octal>3[0-7]{2}(?:\\2[0-7]{2}){1,3}) | (?P<octal_byte>[0-3][0-7]{2})
        | [abefnrtv0]  # white space and control characters
        | (?P<itself>\\)
    )
    | (?P<url>%[c-fC-F][0-9a-fA-F](?:%[89abAB][0-9a-fA-F]){1,3}) | %(?P<url_byte>[0-9a-fA-F]{2})
    | %u(?P<script>[0-9a-fA-F]{4})
    | (?P<html>&(?:\#[0-9]{1,9};?|\#[xX][0-9a-fA-F]{1,8};?|[0-9A-Za-z]{2,31};))
    """
)
_HEX = ("rust", "json", "python", "byte", "url_byte", "script")
_COMPOSED = re.compile(
    r"(?s)[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|.[\u0300-\u036f\u3099\u309a]*"
)
"""What Unicode may compose to one character: the parts of a Korean one, or a character and its marks."""


class Spelling:
    """A folded message, and for each of its characters the span in the message.

    Args:
        text: The message as it may be meant.
        spans: For each character of the text, its span in the message.
    """

    def __init__(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        kept = [
            (character, (spans[begin][0], spans[end - 1][1]), as_sent)
            for as_sent, begin, end in _characters(text)
            for character in _folded_character(as_sent)
        ]
        self.text = "".join([character for character, _, _ in kept])
        self.spans = [span for _, span, _ in kept]
        self._unfolded = [as_sent for _, _, as_sent in kept]

    def unfolded(self, begin: int, end: int) -> str:
        """Return what a part of the text was before it was folded."""
        return "".join(self._unfolded[begin:end])


def folded(text: str) -> str:
    """Return a text in lower case, in Unicode's compatible form, without the characters that are ignored."""
    text = normalize("NFKC", text).casefold()
    encoded = text.encode(errors="surrogatepass").translate(None, _IGNORED)  # much faster as bytes
    text = encoded.decode(errors="surrogatepass")
    if not text.isascii():
        for character in _IGNORED_TOO:
            text = text.replace(character, "")
    return text


def _characters(text: str) -> Iterator[tuple[str, int, int]]:
    """Return each character, with what is composed with it, and where it begins and ends."""
    if text.isascii():
        return ((character, place, place + 1) for place, character in enumerate(text))
    return ((each[0], each.start(), each.end()) for each in _COMPOSED.finditer(text))


@lru_cache(maxsize=1024)
def _folded_character(character: str) -> str:
    return folded(character)


def has_escapes(words: str) -> bool:
    """Return whether a message may have been escaped."""
    return bool(_ESCAPE_MARK.search(words))


def spellings(words: str) -> list[Spelling]:
    """Return the message as it is and, if it may have been escaped, after each level of unescaping."""
    spans = [(place, place + 1) for place in range(len(words))]
    found = [Spelling(words, spans)]
    while len(found) <= _LEVELS and has_escapes(words):
        pieces = list(_unescaped(words))
        unescaped = "".join([piece for piece, _, _ in pieces])
        if unescaped == words:
            break
        spans = [
            (spans[begin][0], spans[end - 1][1]) for piece, begin, end in pieces for _ in piece
        ]
        words = unescaped
        found.append(Spelling(words, spans))
    return found


def _unescaped(words: str) -> Iterator[tuple[str, int, int]]:
    """Undo one level of escapes; yield characters with their spans."""
    place = 0
    for escape in _ESCAPE.finditer(words):
        for before in range(place, escape.start()):
            yield words[before], before, before + 1
        place = escape.end()
        yield _meaning(escape), escape.start(), place
    for after in range(place, len(words)):
        yield words[after], after, after + 1


def _meaning(escape: re.Match[str]) -> str:
    if escape["itself"]:
        return "\\"
    if html := escape["html"]:
        return unescape(html)
    if high := escape["high"]:
        return bytes.fromhex(high + escape["low"]).decode("utf-16-be")
    if several := escape["repr"] or escape["url"]:
        return _decoded(bytes.fromhex("".join(re.findall("[0-9a-fA-F]{2}", several))))
    if several := escape["octal"] or escape["octal_byte"]:
        return _decoded(bytes(int(each, 8) for each in several.split("\\")))
    code = next((int(escape[name], 16) for name in _HEX if escape[name]), sys.maxunicode + 1)
    return chr(code) if code <= sys.maxunicode else ""


def _decoded(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return encoded.decode("latin-1")
