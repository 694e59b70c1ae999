"""Streams: the events of an answer, and at the end the answer."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from typing import Generic, Self, TypeVar

from datacrunch_tgi._protocol._call import StreamCall
from datacrunch_tgi._protocol._schema import Answer, StreamEvent
from datacrunch_tgi._transport import AsyncDriver, SyncDriver

Driver = TypeVar("Driver", SyncDriver[Answer], AsyncDriver[Answer])


class _Stream(Generic[Driver]):
    """What both kinds of stream share."""

    _call: StreamCall
    _driver: Driver

    @classmethod
    def _of(cls, call: StreamCall, driver: Driver) -> Self:
        # Not __init__, because help() would show its arguments, which only a client has.
        stream = cls()
        stream._call, stream._driver = call, driver
        return stream

    @property
    def text(self) -> str:
        """Text of the events that have been read. More may have arrived."""
        return self._call.text_of(self._driver.taken)

    @property
    def finished(self) -> bool:
        """Whether the last event has been read."""
        return self._call.finished

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the response, as in `Answer`; empty before they have arrived."""
        return self._call.headers

    @property
    def request_id(self) -> str | None:
        """The server's id of the request (`x-request-id`); None if it sent none."""
        return self.headers.get("x-request-id")

    @property
    def answer(self) -> Answer:
        """The answer, available after the stream has been fully read.

        Raises:
            StreamNotEndedError: The stream has not ended, was left early, or failed.
        """
        return self._call.answer


class Stream(_Stream[SyncDriver[Answer]]):
    """Iterator over the events of an answer, as `Client.stream` returns it.

    Leaving the stream early, by `with`, `close` or dropping it, closes the connection, and the server
    stops generating.
    """

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        return next(self._driver)

    def close(self) -> None:
        """End the stream, from any thread. For a thread that is waiting for an event, the iteration ends."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStream(_Stream[AsyncDriver[Answer]]):
    """Asynchronous iterator over the events of an answer, as `AsyncClient.stream` returns it.

    Leaving the stream early, by `async with`, `aclose` or dropping it, closes the connection, and the
    server stops generating.
    """

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self

    def __anext__(self) -> Awaitable[StreamEvent]:
        return anext(self._driver)

    async def aclose(self) -> None:
        """End the stream. For a task that is waiting for an event, the iteration ends."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
