"""The tokens of a stream, kept as the bytes of their events. Pure.

Python's garbage collector traverses all token objects of all open streams again and again, but not bytes.
So a token object is made each time a token is read.
"""

from collections.abc import Iterator, Sequence
from typing import Any, overload

from datacrunch_tgi._protocol._schema import Item, KeptItems, StreamEvent, Token

_read_event = StreamEvent.__pydantic_validator__.validate_json


class _OfEvents(KeptItems[Item]):
    """One item for each event. Behaves as an immutable list."""

    __slots__ = ("_events",)
    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __init__(self, events: Sequence[bytes]) -> None:
        self._events = events

    def _item(self, event: StreamEvent) -> Item:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        if isinstance(place, slice):
            return type(self)(self._events[place])
        return self._item(_read_event(self._events[place]))

    def __iter__(self) -> Iterator[Item]:
        return (self._item(_read_event(event)) for event in self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        others: Sequence[Any] = other  # pyright: ignore[reportUnknownVariableType]  # of anything
        return len(self) == len(others) and all(
            mine == yours for mine, yours in zip(self, others, strict=True)
        )

    def __add__(self, other: Sequence[Item]) -> list[Item]:
        return [*self, *other]

    def __radd__(self, other: Sequence[Item]) -> list[Item]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(list(self))


class StreamTokens(_OfEvents[Token]):
    """The tokens of a stream."""

    __slots__ = ()

    def _item(self, event: StreamEvent) -> Token:
        return event.token


class StreamTopTokens(_OfEvents[Sequence[Token]]):
    """The likeliest tokens at each position of a stream."""

    __slots__ = ()

    def _item(self, event: StreamEvent) -> Sequence[Token]:
        return event.top_tokens
