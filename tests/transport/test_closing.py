"""Closing is final and reaches everything that runs; one limit holds for a client and its copies."""

import asyncio
import itertools
import json
import random
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from datacrunch_tgi import (
    AsyncClient,
    AsyncStream,
    Client,
    ClientClosedError,
    DataCrunchError,
    RequestTimeoutError,
    Stream,
)
from datacrunch_tgi._transport import _driver


class Endless:
    """Begins every answer, and ends none; it counts who has left."""

    def __init__(self, serve: Any, http: Any) -> None:
        self.started, self.left = threading.Semaphore(0), threading.Semaphore(0)
        self._begin = http.head() + http.chunk(http.event("Hi"))
        self.server = serve(self._answer)
        self.url = self.server.url

    def _answer(self, peer: Any) -> None:
        peer.send(self._begin)
        self.started.release()
        assert peer.wait_until_left()
        self.left.release()

    def wait_until_left(self) -> bool:
        return self.left.acquire(timeout=5)


@pytest.fixture
def endless(serve: Any, http: Any) -> Endless:
    return Endless(serve, http)


def read_all(stream: Stream) -> list[str]:
    return [event.text for event in stream]


def test_a_stream_is_closed_from_another_thread(endless: Endless) -> None:
    """Closing a stream from another thread ends the iteration and keeps its text."""
    with Client(base_url=endless.url, max_connections=1) as client, ThreadPoolExecutor(1) as pool:
        stream = client.stream("Hello")
        reader = pool.submit(read_all, stream)
        assert endless.started.acquire(timeout=5)
        while not stream.text:
            pass  # until the first event has arrived
        stream.close()
        assert reader.result(5) == ["Hi"]
        assert endless.wait_until_left()
        assert stream.text == "Hi"


class CloseAtLine:
    """A trace function that closes a stream, in another thread, before a line of its driver runs."""

    def __init__(self, stream: Stream, line: int) -> None:
        self._stream, self.lines_left = stream, line

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != _driver.__file__:
            return None
        if event == "line":
            self.lines_left -= 1
            if self.lines_left == 0:
                closing = threading.Thread(target=self._stream.close)
                closing.start()
                closing.join()
        return self


@pytest.mark.slow
def test_a_stream_can_be_closed_from_another_thread_at_any_line(http: Any, serve: Any) -> None:
    """Wherever a thread is in reading a stream, its iteration just ends when another closes it."""
    server = serve(http.stream(http.events("Hi", " you")))
    with Client(base_url=server.url, max_connections=1) as client:
        for line in itertools.count(1):
            stream = client.stream("Hello")
            close = CloseAtLine(stream, line)
            before = sys.gettrace()  # of coverage
            sys.settrace(close)
            try:
                texts = read_all(stream)
            finally:
                sys.settrace(before)
            assert "Hi you".startswith("".join(texts))
            if close.lines_left > 0:
                break
        assert line > 20
        assert "".join(read_all(client.stream("Hello"))) == "Hi you"


async def read_all_async(stream: AsyncStream) -> list[str]:
    return [event.text async for event in stream]


async def test_a_stream_is_closed_beside_the_task_that_reads_it(endless: Endless) -> None:
    """A stream can be closed by another task than the one that reads it."""
    async with AsyncClient(base_url=endless.url, max_connections=1) as client:
        stream = client.stream("Hello")
        assert (await anext(stream)).text == "Hi"
        reader = asyncio.create_task(read_all_async(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        assert await reader == []
        assert await asyncio.to_thread(endless.wait_until_left)


@pytest.mark.parametrize("where", ["head", "turn", "backoff"])
def test_closing_a_client_ends_what_waits_in_it(
    where: str, endless: Endless, http: Any, serve: Any
) -> None:
    """For the head of an answer, for a free connection, and for the next attempt."""
    silent = serve(lambda peer: peer.wait_until_left())
    busy = serve(http.response(503, retry_after="30"))
    url = {"head": silent.url, "turn": endless.url, "backoff": busy.url}[where]
    client = Client(base_url=url, max_connections=1)
    retried, held = threading.Event(), client.stream("Hello")
    if where == "turn":
        next(held)

    def ask() -> None:
        client.generate("Hello", on_retry=lambda _: retried.set())

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask)
        if where == "backoff":
            assert retried.wait(5)
        while where == "head" and not silent.requests:
            pass  # until it has been sent
        client.close()
        with pytest.raises(ClientClosedError):
            waiting.result(5)
    with pytest.raises(ClientClosedError):
        client.generate("Hello")


def test_closing_a_client_ends_a_thread_that_is_connecting(
    silent: tuple[str, int], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for a host that is silent, up to `connect_timeout`."""
    begun = threading.Event()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        begun.set()
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", silent)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    client = Client(base_url="http://silent.test", connect_timeout=60)
    assert client.settings.engine == engine
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.generate, "Hello")
        assert begun.wait(5)
        client.close()
        with pytest.raises(ClientClosedError):
            waiting.result(5)


def test_a_closed_client_is_closed_in_every_loop(endless: Endless) -> None:
    """A stream in another thread's loop ends, with an error that says why."""
    client = AsyncClient(base_url=endless.url)

    async def read() -> None:
        async with client.stream("Hello") as events:
            async for _ in events:
                pass

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(asyncio.run, read())
        assert endless.started.acquire(timeout=5)
        asyncio.run(client.aclose())
        with pytest.raises(ClientClosedError, match="the client was closed"):
            reader.result(5)
    assert endless.wait_until_left()


def test_shared_connections_close_with_their_last_owner(http: Any, serve: Any) -> None:
    """Closing a copy leaves the connections of the others open."""
    server = serve(http.answer())
    client = Client(base_url=server.url)
    copy = client.with_settings(idle_timeout=7)
    copy.generate("Hello")
    copy.close()
    with pytest.raises(ClientClosedError):
        copy.generate("Hello")
    assert client.generate("Hello").text == "Hi you"
    assert (server.accepted, server.open) == (1, 1)
    client.close()
    server.wait_until_ended()
    assert server.open == 0


@pytest.mark.parametrize(
    "changed", [{"headers": {"X-Team": "blue"}}, {"headers": {"Authorization": "Basic x"}}]
)
def test_a_copy_with_other_headers_has_connections_of_its_own(
    changed: Any, http: Any, serve: Any
) -> None:
    """A copy with other headers sends them on its own connections."""
    server = serve(http.answer())
    with Client(base_url=server.url) as client, client.with_settings(**changed) as copy:
        client.generate("Hello")
        copy.generate("Hello")
    ((name, value),) = changed["headers"].items()
    assert server.requests[1].headers[name.lower()] == value
    assert name.lower() not in server.requests[0].headers
    assert server.accepted == 2


def test_one_limit_holds_for_a_client_and_its_copies(http: Any, serve: Any) -> None:
    """A client and its copies share `max_connections`."""
    server = serve(http.answer())
    with Client(base_url=server.url, max_connections=2) as client, ThreadPoolExecutor(12) as pool:
        copies = [client.with_settings(deadline=60 + n, idle_timeout=50) for n in range(12)]
        assert {a.text for a in pool.map(lambda c: c.generate("Hello"), copies * 3)} == {"Hi you"}
    assert server.most_open <= 2


def answer_as_asked(peer: Any, http: Any) -> None:
    match json.loads(peer.received.body)["inputs"]:
        case "answer":
            peer.send(http.stream(http.events("Hi", " you")))
        case "error":
            peer.send(http.json(422, {"error": "no", "error_type": "validation"}))
        case "break":
            peer.reset()
        case _:
            peer.send(http.head() + http.chunk(http.event("Hi")))
            peer.wait_until_left()


async def end(stream: AsyncStream, ending: str, dice: random.Random) -> None:
    match ending:
        case "cancel":
            task = asyncio.create_task(read_all_async(stream))
            for _ in range(dice.randrange(30)):
                await asyncio.sleep(0)
            task.cancel()
            await task
        case "drop":
            await anext(stream)
        case "close":
            await asyncio.gather(read_all_async(stream), stream.aclose())
        case "leave":
            async with stream:
                await anext(stream)
        case _:
            assert await read_all_async(stream) == ["Hi", " you"]


@pytest.mark.parametrize("number", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_random_endings_keep_the_limit(number: int, http: Any, serve: Any) -> None:
    """Answers, errors, breaks, cancellations, dropped and closed streams: no place is lost, none won."""
    dice = random.Random(7)
    endings = ["answer"] * 6 + ["error", "break", "leave", "drop", "cancel", "close"]

    server = serve(lambda peer: answer_as_asked(peer, http))
    async with AsyncClient(base_url=server.url, max_connections=3, max_retries=0) as client:
        clients = [client, client.with_settings(deadline=60)]

        async def some() -> None:
            for _ in range(number // 10):
                ending = dice.choice(endings)
                with suppress(DataCrunchError, asyncio.CancelledError):
                    await end(dice.choice(clients).stream(ending), ending, dice)

        await asyncio.gather(*(some() for _ in range(10)))
        hold = [client.stream("leave") for _ in range(3)]
        assert [(await anext(stream)).text for stream in hold] == ["Hi"] * 3
        with pytest.raises(RequestTimeoutError, match="max_connections"):
            await client.with_settings(pool_timeout=0.1).generate("answer")
