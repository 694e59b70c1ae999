"""Waiting for a turn ends: at once when one comes free, and in an error where none ever can."""

import asyncio
import threading
from typing import Any

import pytest

from datacrunch_tgi import AsyncClient, Client, RequestTimeoutError


def test_a_request_within_the_only_stream_is_told_instead_of_waiting_for_ever(
    http: Any, serve: Any
) -> None:
    """The stream has the only turn, and does not go on before the request has its answer."""
    server = serve(http.stream(http.events("a", "b", "c")))
    client = Client(base_url=server.url, max_connections=1, deadline=1)
    with client, client.stream("Hello") as events:
        next(events)
        with pytest.raises(RequestTimeoutError) as caught:
            client.generate("Hello")
        assert "none of max_connections=1 has ended" in str(caught.value)
        assert (caught.value.setting, caught.value.seconds, caught.value.requests) == (
            "deadline",
            1,
            0,
        )
        assert "".join(event.text for event in events) == "bc"


async def test_so_it_is_in_an_event_loop(http: Any, serve: Any) -> None:
    server = serve(http.stream(http.events("a", "b", "c")))
    client = AsyncClient(base_url=server.url, max_connections=1, deadline=1)
    async with client, client.stream("Hello") as events:
        await anext(events)
        with pytest.raises(RequestTimeoutError, match="none of max_connections=1 has ended"):
            await client.generate("Hello")
        assert "".join([event.text async for event in events]) == "bc"


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
async def test_a_batch_that_waits_longer_than_the_deadline_gets_through(
    http: Any, serve: Any, client_class: type[Client | AsyncClient]
) -> None:
    """Each answer takes half of the deadline, so that the last waits for several: none is refused."""
    pause = threading.Event()

    def script(peer: Any) -> None:
        pause.wait(0.1)  # never set: the pace of the server
        peer.send(http.answer())

    settings: Any = {"base_url": serve(script).url, "max_connections": 1, "deadline": 0.25}
    client: Any = client_class(**settings)
    if client_class is Client:
        calls = (asyncio.to_thread(client.generate, "Hello") for _ in range(6))
    else:
        calls = (client.generate("Hello") for _ in range(6))
    answers = await asyncio.gather(*calls)
    await close(client)
    assert [answer.text for answer in answers] == ["Hi you"] * 6


async def close(client: Any) -> None:
    if isinstance(client, Client):
        client.close()
    else:
        await client.aclose()
