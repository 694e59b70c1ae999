"""The text of JSON: numbers, strings and signs in, their values or `RejectedBodyError` out.

Refuses what Rust's serde_json refuses, in its words, and names the byte where it was found.
Containers are only skipped here; reading them, and types, is left to the reader.
"""

import re
from typing import Never

_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_QUOTE, _BACKSLASH = b'"\\'
_CLOSINGS = {b"[": b"]", b"{": b"}"}
_KINDS = {b"]": "a list", b"}": "an object"}
_IDENTIFIERS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_MAX_DIGITS = 21
"""Digits and sign of the longest 64-bit integer."""
_SURROGATES = range(0xD800, 0xE000)
_LOW_SURROGATES = range(0xDC00, 0xE000)


class RejectedBodyError(Exception):
    """The server cannot read the body.

    Attributes:
        reason: The error and its place, without the field.
        is_json: The body is JSON of another shape; the servers answer 422 then, else 400.
    """

    def __init__(self, reason: str, path: str, *, is_json: bool) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.is_json = is_json


class Scanner:
    """Reads JSON text from its start."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at: int = 0
        self._path = ""

    def end(self) -> None:
        """Refuse anything that follows."""
        if self._data[self._at :].strip(b" \t\n\r"):
            self._peek()
            self._malformed("trailing characters")

    def _peek(self, what: str = "a value") -> bytes:
        """Return the next byte that is not white space."""
        space = _SPACE.match(self._data, self._at)
        self._at = space.end() if space else self._at
        if self._at == len(self._data):
            self._ended(what)
        return self._data[self._at : self._at + 1]

    def _at_number(self) -> bool:
        return self._peek() in b"-0123456789"

    def _number(self) -> int | float:
        digits, is_whole = self._numeral()
        # What fits neither of Rust's 64-bit integers, or is minus zero, is a floating point number.
        if is_whole and digits != b"-0" and len(digits) <= _MAX_DIGITS:
            number = int(digits)
            if -(2**63) <= number < 2**64:
                return number
        return self._finite(float(digits))

    def _numeral(self) -> tuple[bytes, bool]:
        """Read a number of any size; also return whether it has neither point nor exponent."""
        match = _NUMBER.match(self._data, self._at)
        if match is None:
            self._malformed("invalid number")
        self._at = match.end()
        return match[0], not match[1]

    def _finite(self, number: float) -> float:
        if number in {float("inf"), float("-inf")}:
            self._malformed("number out of range", 0)
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
            run, sign = self._run()
            try:
                parts.append(run.decode())
            except UnicodeDecodeError:
                self._malformed("invalid unicode code point", 0)
            if sign == _QUOTE:
                return "".join(parts)
            parts.append(self._escape(sign))

    def _run(self) -> tuple[bytes, int]:
        """Read up to and including the next quote, backslash or control character."""
        plain = _PLAIN.match(self._data, self._at)
        if plain is None or plain.end() == len(self._data):
            self._ended("a string")
        self._at = plain.end() + 1
        return plain[0], self._data[plain.end()]

    def _escape(self, sign: int) -> str:
        letter = self._escape_letter(sign)
        if letter != ord("u"):
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

    def _escape_letter(self, sign: int) -> int:
        if sign != _BACKSLASH:
            self._malformed("control character (\\u0000-\\u001F) found while parsing a string", 0)
        if self._at == len(self._data):
            self._ended("a string")
        self._at += 1
        letter = self._data[self._at - 1]
        if letter not in _ESCAPES and letter != ord("u"):
            self._malformed("invalid escape", 0)
        return letter

    def skip(self) -> None:
        """Skip a value of any kind, size and nesting without reading what it means."""
        closings: list[bytes] = []
        while True:
            start = self._peek()
            is_container = start in _CLOSINGS
            if is_container:
                self._at += 1
                closings.append(_CLOSINGS[start])
            else:
                self._skip_scalar(start)
            while closings and self._closes(closings[-1], is_empty=is_container):
                closings.pop()
                is_container = False
            if not closings:
                return
            if closings[-1] == b"}":
                self._skip_key()

    def _closes(self, closing: bytes, *, is_empty: bool) -> bool:
        """Read the bracket that closes a container, or the comma before its next part."""
        sign = self._peek(_KINDS[closing])
        if sign != closing and is_empty:
            return False
        if sign not in {closing, b","}:
            self._malformed(f"expected `,` or `{closing.decode()}`")
        self._at += 1
        return sign == closing

    def _skip_key(self) -> None:
        if self._peek("an object") != b'"':
            self._malformed("key must be a string")
        self._skip_string()
        if self._peek("an object") != b":":
            self._malformed("expected `:`")
        self._at += 1

    def _skip_scalar(self, start: bytes) -> None:
        if start == b'"':
            self._skip_string()
        elif self._at_number():
            self._numeral()
        else:
            self._identifier()

    def _skip_string(self) -> None:
        self._at += 1
        while (sign := self._run()[1]) != _QUOTE:
            if self._escape_letter(sign) == ord("u"):
                self._code_unit()

    def _code_unit(self) -> int:
        digits = _HEXADECIMAL.match(self._data, self._at)
        if digits is None:
            self._malformed("invalid escape")
        self._at = digits.end()
        return int(digits[0], 16)

    def _ended(self, what: str) -> Never:
        raise self._rejected(f"EOF while parsing {what}", len(self._data), is_json=False)

    def _malformed(self, message: str, ahead: int = 1) -> Never:
        """Refuse at the byte that was peeked at, which counts as read."""
        raise self._rejected(message, self._at + ahead, is_json=False)

    def _rejected(self, message: str, at: int, *, is_json: bool) -> RejectedBodyError:
        line = self._data.count(b"\n", 0, at) + 1
        column = at - (self._data.rfind(b"\n", 0, at) + 1)
        reason = f"{message} at line {line} column {column}"
        return RejectedBodyError(reason, self._path, is_json=is_json)
