"""The tokens of a stream, kept as the bytes of their events. Pure.

Python's garbage collector traverses all token objects of all open streams again and again, but not bytes.
So a token object is made each time a token is read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from pydantic_core import SchemaValidator, core_schema

from datacrunch_tgi._protocol._schema import Item, KeptItems, Token


def _read_only(name: str, schema: core_schema.CoreSchema) -> Callable[[bytes], dict[str, Any]]:
    """Return a reader of one field of an event, which takes half as long as to read the event."""
    field = core_schema.typed_dict_field(schema, required=False)
    return SchemaValidator(core_schema.typed_dict_schema({name: field})).validate_json


_TOKEN = Token.__pydantic_core_schema__
_read_token = _read_only("token", _TOKEN)
_read_top_tokens = _read_only("top_tokens", core_schema.list_schema(_TOKEN))


class _OfEvents(KeptItems[Item]):
    """One item for each event. Behaves as an immutable list."""

    __slots__ = ("_events",)
    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __init__(self, events: Sequence[bytes]) -> None:
        self._events = events

    def _item(self, event: bytes) -> Item:
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
        return self._item(self._events[place])

    def __iter__(self) -> Iterator[Item]:
        return map(self._item, self._events)

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

    def _item(self, event: bytes) -> Token:
        token: Token = _read_token(event)["token"]
        return token


class StreamTopTokens(_OfEvents[Sequence[Token]]):
    """The likeliest tokens at each position of a stream."""

    __slots__ = ()

    def _item(self, event: bytes) -> Sequence[Token]:
        tokens: Sequence[Token] = _read_top_tokens(event).get("top_tokens", [])
        return tokens
