"""Waiting for a free connection ends: at once when one comes free, or in an error where none ever does."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from datacrunch_tgi import AsyncClient, Client, RequestTimeoutError

WORDS = r"timed out waiting for a free connection: all 1 \(max_connections\) are in use"


def test_a_request_within_the_only_stream_times_out(http: Any, serve: Any) -> None:
    """The stream has the only connection, and does not go on before the request has its answer."""
    server = serve(http.stream(http.events("a", "b", "c")))
    client = Client(base_url=server.url, max_connections=1, pool_timeout=0.3)
    with client, client.stream("Hello") as events:
        next(events)
        with pytest.raises(RequestTimeoutError, match=WORDS) as caught:
            client.generate("Hello")
        error = caught.value
        assert (error.setting, error.seconds, error.requests) == ("pool_timeout", 0.3, 0)
        assert "".join(event.text for event in events) == "bc"


async def test_so_it_does_in_an_event_loop(http: Any, serve: Any) -> None:
    """In an event loop too, `pool_timeout` limits the wait for a connection."""
    server = serve(http.stream(http.events("a", "b", "c")))
    client = AsyncClient(base_url=server.url, max_connections=1, pool_timeout=0.3)
    async with client, client.stream("Hello") as events:
        await anext(events)
        with pytest.raises(RequestTimeoutError, match=WORDS):
            await client.generate("Hello")
        assert "".join([event.text async for event in events]) == "bc"


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
async def test_a_batch_that_waits_longer_than_every_limit_gets_through(
    http: Any, serve: Any, client_class: type[Client | AsyncClient]
) -> None:
    """`deadline` starts when a connection is free, and `pool_timeout` again whenever a request ends."""
    pause = threading.Event()

    def script(peer: Any) -> None:
        pause.wait(0.1)  # never set: the pace of the server
        peer.send(http.answer())

    limits: Any = {"deadline": 2.0, "pool_timeout": 2.0}
    client: Any = client_class(base_url=serve(script).url, max_connections=1, **limits)
    answers = await asyncio.gather(*(generate(client) for _ in range(24)))
    await close(client)
    assert answers == ["Hi you"] * 24


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
async def test_the_log_says_once_that_requests_wait(
    http: Any,
    serve: Any,
    client_class: type[Client | AsyncClient],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the setting's name, so that whoever waits knows why."""
    client: Any = client_class(base_url=serve(http.answer()).url, max_connections=1)
    with caplog.at_level(logging.INFO, "datacrunch_tgi"):
        await asyncio.gather(*(generate(client) for _ in range(8)))
    await close(client)
    (record,) = caplog.records
    assert record.getMessage() == (
        "requests are waiting for a free connection: all 1 are in use; raise max_connections"
    )


async def generate(client: Any) -> str:
    if isinstance(client, Client):
        answer: Any = await asyncio.to_thread(client.generate, "Hello")
    else:
        answer = await client.generate("Hello")
    return str(answer.text)


async def close(client: Any) -> None:
    if isinstance(client, Client):
        client.close()
    else:
        await client.aclose()
