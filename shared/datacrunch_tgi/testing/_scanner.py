"""The text of JSON: numbers, strings and signs in, their values or `RejectedBodyError` out.

Refuses what Rust's serde_json refuses, in its words, and names the byte where it was found. Knows
neither containers nor types: those are the reader's.
"""

import re
from typing import Never

_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_IDENTIFIERS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_SURROGATES = range(0xD800, 0xE000)
_LOW_SURROGATES = range(0xDC00, 0xE000)


class RejectedBodyError(Exception):
    """The body is not what the server reads.

    Attributes:
        reason: What is wrong and where, without the field that it is wrong in.
        is_json: It is JSON, but of another shape; the servers answer 422 then, else 400.
    """

    def __init__(self, reason: str, path: str, *, is_json: bool) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.is_json = is_json


class Scanner:
    """Steps through a text from its front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at: int = 0
        self._path = ""

    def end(self) -> None:
        """Refuse whatever follows."""
        if self._data[self._at :].strip(b" \t\n\r"):
            self._peek()
            self._malformed("trailing characters")

    def _peek(self, what: str = "a value") -> bytes:
        """The next byte that is no white space."""
        space = _SPACE.match(self._data, self._at)
        self._at = space.end() if space else self._at
        if self._at == len(self._data):
            self._ended(what)
        return self._data[self._at : self._at + 1]

    def _at_number(self) -> bool:
        return self._peek() in b"-0123456789"

    def _number(self) -> int | float:
        match = _NUMBER.match(self._data, self._at)
        if match is None:
            self._malformed("invalid number")
        self._at = match.end()
        if match[1]:
            return self._finite(float(match[0]))
        number = int(match[0])
        # What fits neither of Rust's 64-bit integers is read as a floating point number.
        return number if -(2**63) <= number < 2**64 else self._finite(float(number))

    def _finite(self, number: float) -> float:
        if number in {float("inf"), float("-inf")}:
            self._malformed("number out of range")
        return number

    def _identifier(self) -> bytes:
        word = _IDENTIFIERS.get(self._peek())
        if word is None:
            self._malformed("expected value")
        if not self._data.startswith(word, self._at):
            self._malformed("expected ident")
        self._at += len(word)
        return word

    def _string(self) -> str:
        self._at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN.match(self._data, self._at)
            if plain is None or plain.end() == len(self._data):
                self._ended("a string")
            self._at = plain.end()
            try:
                parts.append(plain[0].decode())
            except UnicodeDecodeError:
                self._malformed("invalid unicode code point")
            self._at += 1
            match self._data[self._at - 1]:
                case 0x22:
                    return "".join(parts)
                case 0x5C:
                    parts.append(self._escape())
                case _:
                    self._malformed(
                        "control character (\\u0000-\\u001F) found while parsing a string", 0
                    )

    def _escape(self) -> str:
        if self._at == len(self._data):
            self._ended("a string")
        self._at += 1
        letter = self._data[self._at - 1]
        if letter != ord("u"):
            if letter not in _ESCAPES:
                self._malformed("invalid escape", 0)
            return _ESCAPES[letter]
        unit = self._code_unit()
        if unit not in _SURROGATES:
            return chr(unit)
        if unit in _LOW_SURROGATES:
            self._malformed("lone leading surrogate in hex escape", 0)
        if not self._data.startswith(b"\\u", self._at):
            self._malformed("unexpected end of hex escape")
        self._at += 2
        low = self._code_unit()
        if low not in _LOW_SURROGATES:
            self._malformed("lone leading surrogate in hex escape", 0)
        return chr(0x10000 + (unit - 0xD800) * 0x400 + low - 0xDC00)

    def _code_unit(self) -> int:
        digits = _HEXADECIMAL.match(self._data, self._at)
        if digits is None:
            self._malformed("invalid escape")
        self._at = digits.end()
        return int(digits[0], 16)

    def _ended(self, what: str) -> Never:
        raise self._rejected(f"EOF while parsing {what}", len(self._data), is_json=False)

    def _malformed(self, message: str, ahead: int = 1) -> Never:
        """Refuse at the byte that was looked at, which counts as read."""
        raise self._rejected(message, self._at + ahead, is_json=False)

    def _rejected(self, message: str, at: int, *, is_json: bool) -> RejectedBodyError:
        line = self._data.count(b"\n", 0, at) + 1
        column = at - (self._data.rfind(b"\n", 0, at) + 1)
        reason = f"{message} at line {line} column {column}"
        return RejectedBodyError(reason, self._path, is_json=is_json)
