"""The streams that the clients give out: events, and in the end the answer. The pools do the waiting."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Self

from datacrunch_tgi._protocol._call import StreamCall
from datacrunch_tgi._protocol._schema import Answer, StreamEvent


class _Stream:
    """What both streams share: the answer, when they have ended."""

    _taken = 0

    def __init__(self, call: StreamCall) -> None:
        self._call = call

    @property
    def text(self) -> str:
        """The text of the events that have been taken; more may have arrived."""
        return self._call.text_of(self._taken)

    @property
    def finished(self) -> bool:
        """Whether the last event has been taken."""
        return self._call.finished

    @property
    def answer(self) -> Answer:
        """The whole answer, once the last event has been taken.

        Raises:
            StreamNotEndedError: The stream has not ended, or was left, or failed.
        """
        return self._call.answer


class Stream(_Stream):
    """The events of an answer. Leaving it, by `with`, `close` or dropping it, stops the server."""

    def __init__(self, call: StreamCall, events: Generator[StreamEvent, None, None]) -> None:
        super().__init__(call)
        self._events = events

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        event = next(self._events)
        self._taken += 1
        return event

    def close(self) -> None:
        """Close the connection, if the answer has not ended: the server stops generating."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStream(_Stream):
    """The events of an answer. Leaving it, by `async with`, `aclose` or dropping it, stops the server."""

    def __init__(self, call: StreamCall, events: AsyncGenerator[StreamEvent, None]) -> None:
        super().__init__(call)
        self._events = events

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    async def __anext__(self) -> StreamEvent:
        event = await anext(self._events)
        self._taken += 1
        return event

    async def aclose(self) -> None:
        """Close the connection, if the answer has not ended: the server stops generating."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
