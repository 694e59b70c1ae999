"""`max_connections` limits open requests, every request is served, and few connections stay idle."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from datacrunch_tgi import AsyncClient, Client, DataCrunchError

MAX_IDLE = 16


class Clock:
    """Instead of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


async def test_a_thousand_tasks_share_eight_connections(http: Any, serve: Any) -> None:
    """A ninth is never opened, none twice, and all are answered."""
    server = serve(http.answer())
    async with AsyncClient(base_url=server.url, max_connections=8, max_retries=0) as client:
        answers = await asyncio.gather(*(client.generate("Hello") for _ in range(1000)))
    assert {answer.text for answer in answers} == {"Hi you"}
    assert (server.most_open, server.accepted, len(server.requests)) == (8, 8, 1000)


async def test_failures_and_leavers_give_their_turns_back(http: Any, serve: Any) -> None:
    """Errors, broken connections, cancelled tasks and left streams: the last call works as the first."""

    def script(peer: Any) -> None:
        match len(server.requests) % 4:
            case 0:
                peer.reset()
            case 1:
                peer.send(http.json(422, {"error": "no", "error_type": "validation"}))
            case 2:
                peer.send(http.head() + http.chunk(http.event("Hi")))
                peer.wait_until_left()
            case _:
                peer.send(http.answer())

    server = serve(script)

    async def attempt(place: int) -> None:
        async with asyncio.timeout(0.01 * (1 + place % 5)):
            if place % 2:
                await client.generate("Hello")
            async with client.stream("Hello") as events:
                await anext(events)

    async with AsyncClient(base_url=server.url, max_connections=8, max_retries=0) as client:
        outcomes = await asyncio.gather(*map(attempt, range(200)), return_exceptions=True)
        assert all(o is None or isinstance(o, DataCrunchError | TimeoutError) for o in outcomes)
        server.scripts = (http.answer(),)
        answers = await asyncio.gather(*(client.generate("Hello") for _ in range(16)))
        assert {answer.text for answer in answers} == {"Hi you"}


def test_a_hundred_threads_share_eight_connections(http: Any, serve: Any) -> None:
    """A hundred threads share eight connections."""
    server = serve(http.answer())
    with (
        Client(base_url=server.url, max_connections=8, max_retries=0) as client,
        ThreadPoolExecutor(100) as threads,
    ):
        answers = threads.map(lambda _: client.generate("Hello").text, range(1000))
        assert set(answers) == {"Hi you"}
    assert server.most_open <= 8
    assert (server.accepted, len(server.requests)) == (server.most_open, 1000)


@pytest.fixture
def together(http: Any) -> Any:
    """A script that answers when so many requests are there at the same time."""

    def script(number: int) -> Any:
        barrier = threading.Barrier(number)

        def answer(peer: Any) -> None:
            barrier.wait(timeout=5)
            peer.send(http.answer())

        return answer

    return script


def test_few_connections_wait_for_the_next_call(serve: Any, together: Any) -> None:
    """Idle connections of threads are limited after many calls at once."""
    server = serve(together(40))
    with Client(base_url=server.url, max_connections=40) as client:
        with ThreadPoolExecutor(40) as threads:
            list(threads.map(lambda _: client.generate("Hello"), range(40)))
        for _ in range(40 - MAX_IDLE):
            server.wait_until_ended()
        assert (server.accepted, server.open) == (40, MAX_IDLE)


async def test_few_connections_of_a_loop_wait_for_the_next_call(serve: Any, together: Any) -> None:
    """Idle connections of a loop are limited after many calls at once."""
    server = serve(together(40))
    async with AsyncClient(base_url=server.url, max_connections=40) as client:
        await asyncio.gather(*(client.generate("Hello") for _ in range(40)))
        for _ in range(40 - MAX_IDLE):
            await asyncio.to_thread(server.wait_until_ended)
        assert (server.accepted, server.open) == (40, MAX_IDLE)


def test_connections_that_waited_too_long_are_closed(
    monkeypatch: pytest.MonkeyPatch, http: Any, serve: Any, together: Any, caller: Any
) -> None:
    """The next call closes connections that were idle for too long."""
    clock = Clock()
    monkeypatch.setattr("datacrunch_tgi._transport._pool.time", clock)
    server = serve(http.answer(), together(3), together(3), together(3), http.answer())
    caller = caller(server.url, max_retries=0)
    client = caller.client
    assert caller.ask("generate").error is None

    async def three() -> None:
        await asyncio.gather(*(client.generate("Hello") for _ in range(3)))

    server.scripts = (together(3),)
    if isinstance(client, Client):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: client.generate("Hello"), range(3)))
    else:
        caller.run(three())
    assert server.open == 3
    server.scripts = (http.answer(),)
    clock.now = 14.0
    assert caller.ask("generate").error is None
    assert server.open == 3
    clock.now = 16.0
    assert caller.ask("generate").error is None
    server.wait_until_ended()
    server.wait_until_ended()
    assert (server.accepted, server.open) == (3, 1)


def test_a_connection_that_the_server_closed_is_not_used(
    http: Any, serve: Any, caller: Any
) -> None:
    """A connection that the server closed is replaced without an error."""

    def answer_and_close(peer: Any) -> None:
        peer.send(http.answer())
        peer.close()

    server = serve(answer_and_close)
    caller = caller(server.url, max_retries=0)
    for _ in range(5):
        assert caller.ask("generate").text == "Hi you"
        server.wait_until_ended()
    assert server.accepted == 5


def test_a_server_that_asks_for_it_gets_a_connection_for_each_request(
    http: Any, serve: Any, caller: Any
) -> None:
    """`Connection: close` is obeyed, before the server does it."""
    server = serve(http.answer(connection="close"))
    caller = caller(server.url, max_retries=0)
    for _ in range(3):
        assert caller.ask("generate").text == "Hi you"
        server.wait_until_ended()
    assert server.accepted == 3
