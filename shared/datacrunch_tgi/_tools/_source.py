"""The text of an answer so far, for parsers that wait for more. Pure.

A parser is a generator that reads what it needs and `yield`s at the end of the text so far. So it is written
as if the complete text were there, and its result does not depend on how a stream is cut.

Markers that are special tokens are single characters that no text contains (lone surrogates), so that
ordinary text cannot be mistaken for a marker.
"""

import re
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]

_FIRST_MARKER = 0xDC80
_MARKER = "\ud800-\udfff"
_SURROGATE = re.compile(f"[{_MARKER}]")
_SPACE = re.compile(r"\s*")
_IN_STRING = re.compile(rf'[^"\\{_MARKER}]*')
_BETWEEN = re.compile(r"[\s\d:,.+\-eEtrufalsn]*")
_SCALAR = re.compile(rf'[^\s,}}\]"<`{_MARKER}]*')


def marker(place: int) -> str:
    """Return the character for a family's special token."""
    return chr(_FIRST_MARKER + place)


def without_markers(text: str) -> str:
    """Replace characters that could be mistaken for a marker."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


class Source:
    """The text of an answer."""

    def __init__(self) -> None:
        self._buffer = ""
        self._place = 0
        self._raw: list[str] = []
        self.ended = False
        """Whether no more text follows."""

    def push(self, text: str) -> None:
        """Add text."""
        self._buffer = self._buffer[self._place :] + text
        self._place = 0

    @property
    def rest(self) -> str:
        """Text that has arrived and was not read."""
        return self._buffer[self._place :]

    def begin(self) -> None:
        """Start recording what is read."""
        self._raw = []

    @property
    def raw(self) -> str:
        """Text that was read since `begin`."""
        return "".join(self._raw)

    def take(self, count: int) -> str:
        """Read a number of characters that have arrived."""
        piece = self._buffer[self._place : self._place + count]
        self._place += len(piece)
        self._raw.append(piece)
        return piece

    def more(self) -> Steps[bool]:
        """Wait for more text; False at the end."""
        if self.ended:
            return False
        yield
        return True

    def peek(self) -> Steps[str]:
        """Return the next character, "" at the end."""
        while self._place == len(self._buffer):
            if not (yield from self.more()):
                return ""
        return self._buffer[self._place]

    def span(self, pattern: re.Pattern[str]) -> Steps[str]:
        """Read what a pattern of repeated characters matches."""
        parts = list[str]()
        while True:
            match = pattern.match(self._buffer, self._place)
            parts.append(self.take(match.end() - match.start() if match else 0))
            if self._place < len(self._buffer) or not (yield from self.more()):
                return "".join(parts)

    def space(self) -> Steps[str]:
        """Read white space."""
        return (yield from self.span(_SPACE))

    def literal(self, text: str) -> Steps[bool]:
        """Read this text if it is next, or what there is of it where the answer ends inside it."""
        while True:
            come = self._buffer[self._place : self._place + len(text)]
            if come == text:
                self.take(len(text))
                return True
            if not text.startswith(come):
                return False
            if not (yield from self.more()):
                self.take(len(come))
                return False

    def until(self, *ends: str) -> Steps[str | None]:
        """Read up to and including the first of some texts.

        Returns:
            The text before it; None if the answer ends first.
        """
        parts = list[str]()
        while True:
            rest = self.rest
            found = [(place, end) for end in ends if (place := rest.find(end)) >= 0]
            if found:
                place, end = min(found, key=lambda one: one[0])
                parts.append(self.take(place))
                self.take(len(end))
                return "".join(parts)
            parts.append(self.take(begins_at(rest, ends)))
            if not (yield from self.more()):
                self.take(len(self.rest))
                return None

    def string(self, emit: Callable[[str], None]) -> Steps[bool]:
        """Read a JSON string with its quotes, and emit its text as it arrives.

        Returns:
            Whether it is complete.
        """
        if (yield from self.peek()) != '"':
            return False
        emit(self.take(1))
        while True:
            if plain := self._take_match(_IN_STRING):
                emit(plain)
            character = yield from self.peek()
            if character == "\\":
                self.take(1)
                if not (yield from self.peek()):
                    emit("\\")
                    return False
                emit("\\" + self.take(1))
            elif character == '"':
                emit(self.take(1))
                return True
            elif not character or _SURROGATE.match(character):
                return False

    def value(self, emit: Callable[[str], None], depth: int = 0) -> Steps[bool]:
        """Read a JSON value, and emit its text as it arrives.

        Args:
            emit: Called with each piece.
            depth: Number of objects and arrays that are already open.

        Returns:
            Whether it is complete; False if it is not valid JSON, or the answer ends.
        """
        while True:
            character = yield from self.peek()
            if character == '"':
                if not (yield from self.string(emit)):
                    return False
            elif character in ("{", "[", "}", "]"):
                depth += 1 if character in "{[" else -1
                emit(self.take(1))
            elif character and depth == 0:
                scalar = yield from self.span(_SCALAR)
                emit(scalar)
                return bool(scalar)
            elif between := self._take_match(_BETWEEN):
                emit(between)
                continue
            else:
                return False
            if depth <= 0:
                return True

    def _take_match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._buffer, self._place)
        return self.take(match.end() - match.start()) if match else ""


def begins_at(text: str, wanted: Sequence[str]) -> int:
    """Return the first position from which a text may be the start of one of some texts."""
    longest = max(map(len, wanted), default=1)
    for place in range(max(0, len(text) - longest + 1), len(text)):
        if any(one.startswith(text[place:]) for one in wanted):
            return place
    return len(text)
