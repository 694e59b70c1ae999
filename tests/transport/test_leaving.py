"""Leaving an answer closes the connection at once, which is how the server stops generating."""

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import anyio
import pytest

from datacrunch_tgi import AsyncClient, AsyncStream, Client, StreamNotEndedError
from tests.transport.conftest import PATIENCE


class Endless(BaseException):
    """What no handler of ordinary errors catches."""


class Watch:
    """A server whose first answer never ends; it notes when its reader leaves. The next one is whole."""

    def __init__(self, serve: Any, http: Any, begin: bytes) -> None:
        self.started = threading.Event()
        self._left = threading.Event()

        def endless(peer: Any) -> None:
            peer.send(begin)
            self.started.set()
            assert peer.wait_until_left()
            self._left.set()

        self.server = serve(endless, http.stream(http.events("Hi", " you")))

    def settings(self) -> dict[str, Any]:
        return {"base_url": self.server.url, "max_connections": 1, "max_retries": 0}

    def is_left(self) -> bool:
        """Whether the reader leaves, long before it would have waited for the end of the body."""
        return self._left.wait(PATIENCE)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the end of the body instead of leaving is noticed, also where all is slow."""
    monkeypatch.setattr("datacrunch_tgi._protocol._call.END_OF_BODY_TIMEOUT", 6 * PATIENCE)


@pytest.fixture(params=["head", "comment", "token", "half a token"])
def watch(request: pytest.FixtureRequest, serve: Any, http: Any) -> Watch:
    """Left before the first event, and after it."""
    token = http.head() + http.chunk(http.event("Hi"))
    begin = {
        "head": http.head(),
        "comment": http.head() + http.chunk(b":\n\n"),
        "token": token,
        "half a token": token + http.chunk(b'data:{"tok'),
    }
    return Watch(serve, http, begin[request.param])


@pytest.fixture
def token(serve: Any, http: Any) -> Watch:
    """Left after the first event."""
    return Watch(serve, http, http.head() + http.chunk(http.event("Hi")))


def whole(client: Client) -> bool:
    """Whether the next call works, with one connection only."""
    with client.stream("Hello") as events:
        return "".join(event.text for event in events) == "Hi you"


async def async_whole(client: AsyncClient) -> bool:
    async with asyncio.timeout(PATIENCE):
        events = client.stream("Hello")
        return "".join([event.text async for event in events]) == "Hi you"


def leave_by_break(client: Client) -> None:
    with client.stream("Hello") as events:
        for _ in events:
            break


def leave_by_close(client: Client) -> None:
    events = client.stream("Hello")
    next(events)
    events.close()
    events.close()
    assert list(events) == []


def leave_by_exception(client: Client) -> None:
    with suppress(ZeroDivisionError), client.stream("Hello") as events:
        for _ in events:
            raise ZeroDivisionError


def leave_by_base_exception(client: Client) -> None:
    with suppress(Endless), client.stream("Hello") as events:
        for _ in events:
            raise Endless


def leave_by_dropping(client: Client) -> None:
    for _ in client.stream("Hello"):
        break


def leave_by_collection(client: Client) -> None:
    cycle: list[Any] = [client.stream("Hello")]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_close,
        leave_by_exception,
        leave_by_base_exception,
        leave_by_dropping,
        leave_by_collection,
    ],
)
def test_a_thread_leaves(leave: Callable[[Client], None], token: Watch) -> None:
    """Leaving a call in a thread closes its connection, and the next call works."""
    with Client(**token.settings()) as client:
        leave(client)
        assert token.is_left()
        assert whole(client)


async def first(events: AsyncStream) -> None:
    await anext(events)


async def async_leave_by_break(client: AsyncClient) -> None:
    async with client.stream("Hello") as events:
        async for _ in events:
            break


async def async_leave_by_aclose(client: AsyncClient) -> None:
    events = client.stream("Hello")
    await first(events)
    await events.aclose()
    await events.aclose()
    assert [event async for event in events] == []


async def async_leave_by_exception(client: AsyncClient) -> None:
    with suppress(ZeroDivisionError):
        async with client.stream("Hello") as events:
            async for _ in events:
                raise ZeroDivisionError


async def async_leave_by_dropping(client: AsyncClient) -> None:
    async for _ in client.stream("Hello"):
        break


async def async_leave_by_collection(client: AsyncClient) -> None:
    cycle: list[Any] = [client.stream("Hello")]
    await first(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


async def async_leave_by_outer_generator(client: AsyncClient) -> None:
    async def outer() -> AsyncGenerator[str]:
        async with client.stream("Hello") as events:
            async for event in events:
                yield event.text

    async with aclosing(outer()) as texts:
        async for _ in texts:
            break


async def async_leave_by_timeout_in_consumer(client: AsyncClient) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1), client.stream("Hello") as events:
            async for _ in events:
                await asyncio.Event().wait()


@pytest.mark.parametrize(
    "leave",
    [
        async_leave_by_break,
        async_leave_by_aclose,
        async_leave_by_exception,
        async_leave_by_dropping,
        async_leave_by_collection,
        async_leave_by_outer_generator,
        async_leave_by_timeout_in_consumer,
    ],
)
async def test_a_task_leaves(leave: Callable[[AsyncClient], Any], token: Watch) -> None:
    """Leaving a call in a task closes its connection, and the next call works."""
    async with AsyncClient(**token.settings()) as client:
        await leave(client)
        assert await asyncio.to_thread(token.is_left)
        assert await async_whole(client)


async def consume(client: AsyncClient, *, streaming: bool) -> None:
    if not streaming:
        await client.generate("Hello")
    async with client.stream("Hello") as events:
        async for _ in events:
            pass


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("times", [1, 2, 20])
async def test_a_cancelled_task_leaves(watch: Watch, times: int, *, streaming: bool) -> None:
    """A task that is cancelled, even repeatedly, closes its connection."""
    async with AsyncClient(**watch.settings()) as client:
        task = asyncio.create_task(consume(client, streaming=streaming))
        await asyncio.to_thread(watch.started.wait)
        await asyncio.sleep(0.01)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(watch.is_left)
        assert await async_whole(client)


async def asyncio_limit(call: Coroutine[Any, Any, None], has_begun: threading.Event) -> None:
    async with asyncio.timeout(None) as limit:
        task = asyncio.ensure_future(asyncio.to_thread(has_begun.wait))
        task.add_done_callback(lambda _: limit.reschedule(0))
        await call


async def anyio_limit(call: Coroutine[Any, Any, None], has_begun: threading.Event) -> None:
    with anyio.fail_after(None) as limit:
        task = asyncio.ensure_future(asyncio.to_thread(has_begun.wait))
        task.add_done_callback(lambda _: setattr(limit, "deadline", 0))
        await call


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("limit", [asyncio_limit, anyio_limit])
async def test_a_timeout_around_a_call_leaves(
    watch: Watch, limit: Callable[[Any, threading.Event], Any], *, streaming: bool
) -> None:
    """The user's own limit, of asyncio or anyio, which cancels until it is obeyed."""
    async with AsyncClient(**watch.settings()) as client:
        with pytest.raises(TimeoutError):
            await limit(consume(client, streaming=streaming), watch.started)
        assert await asyncio.to_thread(watch.is_left)
        assert await async_whole(client)


async def test_a_task_that_is_cancelled_while_it_waits_for_its_turn_keeps_none(
    token: Watch,
) -> None:
    """A cancelled task passes its free connection on to the next."""
    async with AsyncClient(**token.settings()) as client:
        async with client.stream("Hello") as events:
            await anext(events)
            waiting = [asyncio.create_task(client.generate("Hello")) for _ in range(3)]
            await asyncio.sleep(0.01)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert await async_whole(client)
    assert len(token.server.requests) == 2


def test_a_stream_that_was_left_has_no_answer(token: Watch) -> None:
    """Rather than half of one; what was shown is there."""
    with Client(**token.settings()) as client, client.stream("Hello") as events:
        next(events)
    assert events.text == "Hi"
    with pytest.raises(StreamNotEndedError) as caught:
        _ = events.answer
    assert caught.value.text == "Hi"


def test_a_stream_that_was_never_started_sends_nothing(token: Watch) -> None:
    """A stream that is not read sends no request and takes no connection."""
    with Client(**token.settings()) as client:
        client.stream("Hello").close()
        unused = client.stream("Hello")
        leave_by_break(client)
        assert whole(client)
        unused.close()
    assert len(token.server.requests) == 2
