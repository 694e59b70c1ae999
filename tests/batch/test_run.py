"""Rows of an iterable: order, memory, errors, the sync twin."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from datacrunch_tgi import (
    ArgumentError,
    AsyncClient,
    AuthenticationError,
    ConnectError,
    OverloadedError,
)
from datacrunch_tgi.batch import run, run_sync
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]


def prompts(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "inputs": f"prompt {number}"} for number in range(count)]


def echo(prompt: str) -> str:
    return f"answer to {prompt}"


async def collect(endpoint: EmulatedEndpoint, rows: Any, **options: Any) -> list[dict[str, Any]]:
    async with AsyncClient(base_url=endpoint.url) as client:
        return [row async for row in run(rows, client, **options)]


async def test_every_row_has_its_own_answer(emulated_endpoint: Start) -> None:
    """Many at a time, in any order, and none is lost or mixed up."""
    endpoint = emulated_endpoint(answers=echo)

    rows = await collect(endpoint, prompts(50), parameters={"max_tokens": 9}, concurrency=8)

    assert sorted(row["id"] for row in rows) == list(range(50))
    assert all(row["text"] == echo(row["inputs"]) for row in rows)
    assert {request.json["parameters"]["max_new_tokens"] for request in endpoint.requests} == {9}


def test_the_sync_twin_answers_the_same(emulated_endpoint: Start) -> None:
    """`run_sync` gives the same rows, and closes its connections if it is left early."""
    endpoint = emulated_endpoint(answers=echo)
    client = AsyncClient(base_url=endpoint.url)

    assert sorted(row["id"] for row in run_sync(prompts(20), client)) == list(range(20))
    for row in run_sync(prompts(20), client):
        assert row["text"] == echo(row["inputs"])
        break
    assert threading.active_count() < 10


@pytest.mark.parametrize("row", [5, None, "Hi", [("inputs", "Hi")]])
async def test_a_row_without_columns_is_refused(row: Any, emulated_endpoint: Start) -> None:
    """Rows are mappings; anything else ends the run with an error that says so."""
    with pytest.raises(ArgumentError, match=f"rows: each must be .*, not {type(row).__name__}"):
        await collect(emulated_endpoint(answers=echo), [row])


async def test_a_parameter_whose_name_is_no_text_fails_only_its_row(
    emulated_endpoint: Start,
) -> None:
    """The error names it, and the other row is answered."""
    wrong: dict[str, Any] = {"id": 0, "inputs": "Hi", "parameters": {1: 2}}
    rows = await collect(emulated_endpoint(answers=echo), [wrong, {"id": 1, "inputs": "Hi"}])
    failed, answered = sorted(rows, key=lambda row: row["id"])
    assert failed["error"]["message"] == "1: no such parameter"
    assert answered["text"] == echo("Hi")


async def test_the_sync_twin_works_within_a_loop(emulated_endpoint: Start) -> None:
    """`run_sync` works in a notebook, where an event loop is running."""
    endpoint = emulated_endpoint(answers=echo)
    assert len(list(run_sync(prompts(3), AsyncClient(base_url=endpoint.url)))) == 3


def test_a_loop_that_raised_may_be_collected_in_the_runs_own_thread(
    emulated_endpoint: Start,
) -> None:
    """The run ends, and nothing is raised in a finalizer, where nobody could catch it."""
    endpoint = emulated_endpoint(answers=echo)
    is_left, is_collected = threading.Event(), threading.Event()

    def rows() -> Iterator[dict[str, Any]]:
        yield from prompts(2)
        assert is_left.wait(30)
        gc.collect()
        is_collected.set()
        yield from prompts(100)

    def leave() -> None:
        results = run_sync(rows(), AsyncClient(base_url=endpoint.url), concurrency=1)
        for _ in results:
            raise ZeroDivisionError

    gc.disable()
    try:
        try:
            leave()
        except ZeroDivisionError as error:
            cycle: list[Any] = [error]
            cycle.append(cycle)
            del cycle
        is_left.set()
        assert is_collected.wait(30)
    finally:
        gc.enable()
    for thread in threading.enumerate():
        if thread.name == "datacrunch-tgi-batch":
            thread.join(30)
            assert not thread.is_alive()


async def test_rows_are_read_as_they_are_needed(emulated_endpoint: Start) -> None:
    """At most a few times `concurrency` rows are in memory."""
    endpoint = emulated_endpoint(answers="Hello")
    taken = returned = most = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"inputs": "Hi"}

    async with AsyncClient(base_url=endpoint.url) as client:
        async for _ in run(endless(), client, concurrency=4):
            returned += 1
            most = max(most, taken - returned)
            if returned == 100:
                break
    assert most <= 5


async def test_rows_may_come_from_an_async_iterable(emulated_endpoint: Start) -> None:
    """A slow source does not hold back the rows that are done."""
    endpoint = emulated_endpoint(answers=echo)
    first_is_back = asyncio.Event()

    async def slow() -> AsyncIterator[dict[str, Any]]:
        yield {"inputs": "one"}
        await asyncio.wait_for(first_is_back.wait(), 10)
        yield {"inputs": "two"}

    async with AsyncClient(base_url=endpoint.url) as client:
        texts = []
        async for row in run(slow(), client):
            first_is_back.set()
            texts.append(row["text"])
    assert texts == ["answer to one", "answer to two"]


async def test_what_the_source_raises_is_raised(emulated_endpoint: Start) -> None:
    """The user's own error comes through as it is."""

    def broken() -> Iterator[dict[str, Any]]:
        yield {"inputs": "one"}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await collect(emulated_endpoint(answers="Hello"), broken())


async def test_an_overload_fails_no_row(emulated_endpoint: Start) -> None:
    """A server with 4 permits and 64 requests at a time: every row is answered."""
    endpoint = emulated_endpoint(answers=echo, max_concurrent_requests=4)

    rows = await collect(endpoint, prompts(100))

    assert all(row["text"] == echo(row["inputs"]) for row in rows)
    assert len(rows) == 100
    assert 429 in {request.status for request in endpoint.requests}


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured(emulated_endpoint: Start, status: int) -> None:
    """No request begins before the time that the server asks for is over."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(status=status, headers={"Retry-After": "1"})
    began = asyncio.get_running_loop().time()

    rows = await collect(endpoint, prompts(3), concurrency=1)

    assert [row["text"] for row in rows] == ["Hello"] * 3
    assert asyncio.get_running_loop().time() - began >= 1


async def test_patience_ends(emulated_endpoint: Start) -> None:
    """A server that refuses everything ends the run with its error, and fails no row."""
    endpoint = emulated_endpoint(answers="Hello", max_concurrent_requests=0)

    with pytest.raises(OverloadedError):
        await collect(endpoint, prompts(3), patience=0.1)


async def test_a_wrong_key_ends_the_run(emulated_endpoint: Start) -> None:
    """A refused key ends the run, because every other row would fail too."""
    endpoint = emulated_endpoint(answers="Hello", api_key="right")

    with pytest.raises(AuthenticationError):
        await collect(endpoint, prompts(1000), concurrency=2)
    assert len(endpoint.requests) <= 3


async def test_a_server_that_is_not_there_ends_the_run() -> None:
    """Whoever mistypes the address does not wait for the end of patience."""
    async with AsyncClient(base_url="http://127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(ConnectError):
            async for _ in run(prompts(3), client):
                pass


async def test_a_server_that_goes_is_waited_for(emulated_endpoint: Start) -> None:
    """Once it has answered, rows are kept until it is back, however many requests fail."""
    endpoint = emulated_endpoint(answers=echo)
    rows = []
    async with AsyncClient(base_url=endpoint.url, max_retries=0) as client:
        async for row in run(prompts(6), client, concurrency=1):
            rows.append(row)
            if len(rows) == 2:
                endpoint.fail_next(2, status=502)
    assert [row.get("error") for row in rows] == [None] * 6


async def test_other_failures_are_tried_again_and_then_fail_the_row(
    emulated_endpoint: Start,
) -> None:
    """A row fails after `max_retries` retries; the others are answered."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(2, status=500)
    async with AsyncClient(base_url=endpoint.url, max_retries=1) as client:
        rows = [row async for row in run(prompts(3), client, concurrency=1)]

    first, *others = (row.get("error", {}) for row in rows)
    assert (first["type"], first["status"], first["requests"]) == ("ServerError", 500, 2)
    assert others == [{}, {}]


async def test_no_more_requests_are_open_than_allowed(emulated_endpoint: Start) -> None:
    """`concurrency` holds also where the client allows more."""
    now = most = 0
    lock = threading.Lock()

    def answer(_: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            now -= 1
        return "Hello"

    await collect(emulated_endpoint(answers=answer), prompts(40), concurrency=3)
    assert 1 <= most <= 3


async def test_the_users_client_stays_open(emulated_endpoint: Start) -> None:
    """A run does not close the user's client."""
    endpoint = emulated_endpoint(answers="Hello")
    async with AsyncClient(base_url=endpoint.url, max_connections=1) as client:
        async for row in run(prompts(5), client, concurrency=5):
            assert row["text"] == "Hello"
        assert (await client.generate("Hi")).text == "Hello"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, "concurrency=0: must be greater than or equal to 1"),
        ({"patience": -1.0}, "patience=-1.0: must be"),
        ({"parameters": {"top_p": 2}}, "top_p=2: must be"),
        ({"prompt": "{"}, "prompt: must have a column name"),
        ({"prompt": ""}, "prompt: cannot be empty"),
        ({"columns": {"input": "a"}}, "did you mean 'inputs'"),
        ({"concurrent": 5}, "did you mean 'concurrency'"),
        ({"chat_template": "no such template"}, "chat_template"),
    ],
)
async def test_bad_options_are_refused(options: dict[str, Any], words: str) -> None:
    """Before any row is read, with name, value and rule."""
    with pytest.raises(ArgumentError, match=words):
        await anext(run(prompts(1), **options))
