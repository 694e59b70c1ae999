"""A JSON reader that refuses what the servers' reader refuses, in its words.

Both servers read a request with Rust's serde_json straight into typed fields: a string is no
number, a repeated field is an error, and the error names the field and the byte where it was found.
Bytes in, values or `RejectedBodyError` out; it knows the types of JSON and of Rust, not the
requests.
"""

import ctypes
import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Never, TypeVar

_T = TypeVar("_T")

_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = dict(zip(b'"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
_IDENTIFIERS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_INTEGERS = {
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "usize": (0, 2**64 - 1),
}
_SURROGATES = range(0xD800, 0xE000)
_LOW_SURROGATES = range(0xDC00, 0xE000)


class RejectedBodyError(Exception):
    """The body is not what the server reads.

    Attributes:
        is_json: It is JSON, but of another shape; the servers answer 422 then, else 400.
    """

    def __init__(self, message: str, *, is_json: bool) -> None:
        super().__init__(message)
        self.is_json = is_json


def round_to_f32(number: float) -> float:
    """Round to single precision as Rust's `as f32` does: too large becomes infinite."""
    return ctypes.c_float(number).value


class JsonReader:
    """Reads one JSON value from the front, part by part; what follows it is not looked at."""

    def __init__(self, data: bytes, *, debug_floats: bool) -> None:
        self._data = data
        self._at = 0
        self._path = ""
        self._debug_floats = debug_floats

    def struct(self, name: str, fields: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Read an object: its known fields, each at most once; the others are skipped."""
        values: dict[str, Any] = {}
        path = self._path
        for _ in self._separated(b"{}", "an object", name):
            if self._peek() != b'"':
                self._malformed("key must be a string")
            key = self._string()
            if key in values:
                self.refuse(f"duplicate field `{key}`")
            if self._peek("an object") != b":":
                self._malformed("expected `:`")
            self._at += 1
            self._path = f"{path}.{key}" if path else key
            if key in fields:
                values[key] = fields[key]()
            else:
                self.skip()
            self._path = path
        return values

    def items(self) -> Iterator[None]:
        """Step through an array; the caller reads or skips each item before it asks for more."""
        path = self._path
        for index in self._separated(b"[]", "a list", "a sequence"):
            self._path = f"{path}[{index}]"
            yield
            self._path = path

    def optional(self, read: Callable[[], _T]) -> _T | None:
        """Read a value that may be null."""
        if self._peek() != b"n":
            return read()
        self._identifier()
        return None

    def string(self) -> str:
        """Read a string."""
        if self._peek() != b'"':
            self.refuse_type("a string")
        return self._string()

    def boolean(self) -> bool:
        """Read true or false."""
        if self._peek() not in {b"t", b"f"}:
            self.refuse_type("a boolean")
        return self._identifier() == b"true"

    def integer(self, kind: str) -> int:
        """Read a number without decimals that fits the Rust type `kind`."""
        if not self._at_number():
            self.refuse_type(kind)
        number = self._number()
        if isinstance(number, float):
            self.refuse(f"invalid type: {self._name(number)}, expected {kind}")
        lowest, highest = _INTEGERS[kind]
        if not lowest <= number <= highest:
            self.refuse(f"invalid value: {self._name(number)}, expected {kind}")
        return number

    def f32(self) -> float:
        """Read any number, rounded to single precision."""
        if not self._at_number():
            self.refuse_type("f32")
        return round_to_f32(self._number())

    def skip(self) -> None:
        """Read over a value of any kind."""
        kind = self._describe()
        if kind == "map":
            self.struct(kind, {})
        elif kind == "sequence":
            for _ in self.items():
                self.skip()

    def refuse_type(self, expected: str) -> Never:
        """Refuse the value that stands here because it is not of the type that is expected."""
        self.refuse(f"invalid type: {self._describe()}, expected {expected}")

    def refuse(self, message: str) -> Never:
        """Refuse the JSON read so far because it is not of the shape that is expected."""
        raise RejectedBodyError(self._locate(message, self._at), is_json=True)

    def _describe(self) -> str:
        """Read a value and name it; of a container only its kind, and nothing is read."""
        start = self._peek()
        if start == b'"':
            return f"string {json.dumps(self._string(), ensure_ascii=False)}"
        if start in {b"{", b"["}:
            return "map" if start == b"{" else "sequence"
        if self._at_number():
            return self._name(self._number())
        word = self._identifier().decode()
        return word if word == "null" else f"boolean `{word}`"

    def _name(self, number: float) -> str:
        if isinstance(number, int):
            return f"integer `{number}`"
        text = repr(number).replace("e+", "e")
        if not self._debug_floats:
            text = format(Decimal(text), "f").removesuffix(".0")
        return f"floating point `{text}`"

    def _separated(self, brackets: bytes, what: str, expected: str) -> Iterator[int]:
        """Step through what stands between brackets and commas; counts from 0."""
        opening, closing = brackets[:1], brackets[1:]
        if self._peek() != opening:
            self.refuse_type(expected)
        self._at += 1
        count = 0
        while self._peek(what) != closing:
            if count:
                if self._peek() != b",":
                    self._malformed(f"expected `,` or `{closing.decode()}`")
                self._at += 1
                if self._peek() == closing:
                    self._malformed("trailing comma")
            yield count
            count += 1
        self._at += 1

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
        message = self._locate(f"EOF while parsing {what}", len(self._data))
        raise RejectedBodyError(message, is_json=False)

    def _malformed(self, message: str, ahead: int = 1) -> Never:
        """Refuse at the byte that was looked at, which counts as read."""
        raise RejectedBodyError(self._locate(message, self._at + ahead), is_json=False)

    def _locate(self, message: str, at: int) -> str:
        line = self._data.count(b"\n", 0, at) + 1
        column = at - (self._data.rfind(b"\n", 0, at) + 1)
        path = f"{self._path}: " if self._path else ""
        return f"{path}{message} at line {line} column {column}"
