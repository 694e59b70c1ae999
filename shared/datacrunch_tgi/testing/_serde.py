"""A JSON reader that refuses what the servers' reader refuses, in its words.

Both servers read a request with Rust's serde_json directly into typed fields: a string is not a
number, a repeated field is an error, and the error names the field and the byte where it was found.
Bytes in, values or `RejectedBodyError` out; it has the types of JSON and Rust, not the requests.
"""

import ctypes
import json
from collections.abc import Callable, Container, Iterator, Mapping
from decimal import Decimal
from typing import Any, Never, TypeVar

from datacrunch_tgi.testing._scanner import Scanner

_T = TypeVar("_T")

_CONSTANTS = {b"true": True, b"false": False, b"null": None}
_MAX_DEPTH = 127
"""Nested containers that serde_json reads; those that it skips have no limit."""

_INTEGERS = {
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "u64": (0, 2**64 - 1),
    "usize": (0, 2**64 - 1),
}


def round_to_f32(number: float) -> float:
    """Round to single precision as Rust's `as f32` does: too large becomes infinite."""
    return ctypes.c_float(number).value


class JsonReader(Scanner):
    """Reads one JSON value from the start, part by part, and ignores what follows."""

    def __init__(self, data: bytes, *, debug_floats: bool) -> None:
        super().__init__(data)
        self._debug_floats = debug_floats
        self._depth = 0

    def struct(self, name: str, fields: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Read an object: its known fields, each at most once. Unknown fields are skipped."""
        values: dict[str, Any] = {}
        for key in self._members(name, once=values):
            if key in fields:
                values[key] = fields[key]()
            else:
                self.skip()
        return values

    def items(self) -> Iterator[None]:
        """Step through an array. The caller reads each item before it asks for the next."""
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

    def value(self) -> Any:
        """Read a value of any kind; containers may be nested 127 deep, the body's own included."""
        match self._peek():
            case b'"':
                return self._string()
            case b"{":
                return {key: self.value() for key in self._members("map")}
            case b"[":
                return [self.value() for _ in self.items()]
            case _ if self._at_number():
                return self._number()
            case _:
                return _CONSTANTS[self._identifier()]

    def postpone(self) -> Callable[[Callable[[], Any]], Any]:
        """Skip a value whose type depends on another field.

        Returns:
            A function that reads it later, with the reader that is passed.
        """
        self._peek()
        start = self._at, self._path, self._depth
        self.skip()

        def read(how: Callable[[], Any]) -> Any:
            here = self._at, self._path, self._depth
            self._at, self._path, self._depth = start
            value = how()
            self._at, self._path, self._depth = here
            return value

        return read

    def refuse_type(self, expected: str) -> Never:
        """Refuse the value here because of its type."""
        self.refuse(f"invalid type: {self._describe()}, expected {expected}")

    def refuse(self, message: str) -> Never:
        """Refuse the JSON read so far because of its shape."""
        raise self._rejected(message, self._at, is_json=True)

    def _describe(self) -> str:
        """Read a value and describe it; a container is only named, not read."""
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

    def _members(self, expected: str, once: Container[str] = ()) -> Iterator[str]:
        """Step through an object's keys. The caller reads each value before it asks for more.

        Args:
            expected: What an error says should be here.
            once: Keys that must not come again.
        """
        path = self._path
        for _ in self._separated(b"{}", "an object", expected):
            if self._peek() != b'"':
                self._malformed("key must be a string")
            key = self._string()
            if key in once:
                self.refuse(f"duplicate field `{key}`")
            if self._peek("an object") != b":":
                self._malformed("expected `:`")
            self._at += 1
            self._path = f"{path}.{key}" if path else key
            yield key
            self._path = path

    def _separated(self, brackets: bytes, what: str, expected: str) -> Iterator[int]:
        """Step through a container's parts, counted from 0."""
        opening, closing = brackets[:1], brackets[1:]
        if self._peek() != opening:
            self.refuse_type(expected)
        if self._depth == _MAX_DEPTH:
            self._malformed("recursion limit exceeded")
        self._depth += 1
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
        self._depth -= 1
