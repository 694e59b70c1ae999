"""Many calls at once, many event loops, many threads; and a stream that is left."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from datacrunch_tgi import ClientClosedError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]
TEXT = "Hello there, my friend"
LOOPS = Path(__file__).with_name("loops.py")
SILENT = 600.0
"""Seconds that nobody waits for: a test that did would hang."""


async def last_of(stream: Awaitable[Any]) -> Any:
    """The last response of an asynchronous stream."""
    return [response async for response in await stream][-1]


async def each_way(model: DataCrunch) -> list[str]:
    """The four asynchronous methods at once."""
    hello = [ChatMessage(content="Hi")]
    said = await asyncio.gather(
        model.acomplete("Hi"),
        model.achat(hello),
        last_of(model.astream_complete("Hi")),
        last_of(model.astream_chat(hello)),
    )
    return [f"{response}".removeprefix("assistant: ") for response in said]


async def test_no_call_keeps_the_event_loop_from_the_others(
    serve: Callable[..., EmulatedEndpoint],
) -> None:
    # The endpoint answers none of the four before all four are asked for.
    """Async calls do not block the event loop."""
    together = threading.Barrier(4)

    def answer(_: str) -> str:
        together.wait(timeout=20)
        return TEXT

    assert await each_way(DataCrunch(base_url=serve(answers=answer).url)) == [TEXT] * 4


def test_one_model_serves_one_event_loop_after_another(
    model: DataCrunch,
) -> None:
    """One model works in several event loops, one after another."""
    for _ in range(3):
        assert asyncio.run(each_way(model)) == [TEXT] * 4
    gc.collect()  # where something was left open, this would warn


def test_a_model_made_within_an_event_loop_leaves_nothing_open(endpoint: EmulatedEndpoint) -> None:
    """A model that is created in an event loop leaves no connection open."""

    async def main() -> list[str]:
        return await each_way(DataCrunch(base_url=endpoint.url))

    for _ in range(3):
        assert asyncio.run(main()) == [TEXT] * 4
    gc.collect()


def test_one_model_serves_many_threads_and_their_event_loops(model: DataCrunch) -> None:
    """One model works in many threads and their event loops at the same time."""

    def ask(_: int) -> list[str]:
        return [*asyncio.run(each_way(model)), model.complete("Hi").text]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(8))) == [[TEXT] * 5] * 8
    gc.collect()


def test_a_query_engine_answers_or_fails_the_same_in_every_thread_and_event_loop_of_a_program(
    endpoint: EmulatedEndpoint,
) -> None:
    """A query engine gives the same answer or error in every thread and loop, also with nest_asyncio."""
    ran = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, LOOPS, endpoint.url], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    answer, error = f"Response 1: {TEXT}\n", "NotFoundError\n"
    assert ran.stdout == answer * 18 + error * 18 + answer * 21 + error * 21  # 3 more are nested


async def test_one_call_after_another_takes_the_same_connection(
    model: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """Consecutive calls share a connection."""
    for _ in range(3):
        await model.acomplete("Hi")
        await last_of(model.astream_complete("Hi"))
    assert endpoint.peak_open_connections == 1


def test_leaving_a_stream_stops_the_server(model: DataCrunch, endpoint: EmulatedEndpoint) -> None:
    """Closing a stream stops the generation."""
    streams: list[Any] = [model.stream_complete("Hi"), model.stream_chat([ChatMessage("Hi")])]
    for stream in streams:
        endpoint.fail_next(stall=SILENT, stall_after=2)
        assert [next(stream).delta, next(stream).delta] == ["Hello", " there"]
        stream.close()
        endpoint.wait_until_idle()
        assert endpoint.requests[-1].left_early


async def test_leaving_an_asynchronous_stream_stops_the_server(
    model: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """Closing an async stream stops the generation."""
    for start in (model.astream_complete("Hi"), model.astream_chat([ChatMessage("Hi")])):
        endpoint.fail_next(stall=SILENT, stall_after=2)
        stream: Any = await start
        assert [(await anext(stream)).delta for _ in range(2)] == ["Hello", " there"]
        await stream.aclose()
        await asyncio.to_thread(endpoint.wait_until_idle)
        assert endpoint.requests[-1].left_early


@pytest.mark.parametrize("method", ["acomplete", "astream_complete", "achat", "astream_chat"])
async def test_cancelling_a_call_stops_the_server(
    serve: Callable[..., EmulatedEndpoint], method: str
) -> None:
    """Cancelling a call closes its request, so that the server stops."""
    asked, over = threading.Event(), threading.Event()

    def answer(_: str) -> str:
        asked.set()
        over.wait(timeout=20)
        return TEXT

    endpoint = serve(answers=answer)
    call = getattr(DataCrunch(base_url=endpoint.url), method)
    waiting = call([ChatMessage(content="Hi")] if "chat" in method else "Hi")
    task = asyncio.create_task(last_of(waiting) if "stream" in method else waiting)
    await asyncio.to_thread(asked.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(endpoint.wait_until_idle)
    assert endpoint.requests[-1].left_early
    over.set()


async def test_closing_closes_the_connections_for_good(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Closing twice is no mistake; a later call says that the model was closed."""
    assert (await ask(model))[-1].text == TEXT
    for _ in range(2):
        model.close()
        await model.aclose()
    connections = endpoint._records.open_connections  # noqa: SLF001 -- nothing public waits for them
    await asyncio.to_thread(connections.wait_until_none, 10)
    with pytest.raises(ClientClosedError):
        await ask(model)
