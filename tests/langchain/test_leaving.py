"""Leaving a stream stops the server, frees the connection, and is reported once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest

from datacrunch_tgi import InvalidRequestError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

WORDS = 400
PACE = 100
"""Words of the answer, and words per second."""


class _LoudError(Exception):
    """What a callback raises."""


@pytest.fixture
def endpoint(serve: Callable[..., EmulatedEndpoint]) -> EmulatedEndpoint:
    return serve(answers="word " * WORDS, tokens_per_second=PACE)


@pytest.fixture
def llm(endpoint: EmulatedEndpoint) -> DataCrunchLLM:
    """A model that has one connection, so that nothing works any more if it is lost."""
    return DataCrunchLLM(base_url=endpoint.url, max_connections=1, max_tokens=WORDS)


@pytest.fixture
def left(endpoint: EmulatedEndpoint, llm: DataCrunchLLM, remembering: Any) -> Iterator[None]:
    """After the test the server has stopped, callbacks were called, and the model still works."""
    yield
    endpoint.wait_until_idle()
    (request,) = endpoint.requests
    assert request.left_early
    assert request.events < WORDS / 2
    assert len(remembering.errors) == 1
    assert not remembering.ends
    assert llm.invoke("Again", max_tokens=1) == "word"


@pytest.mark.usefixtures("left")
def test_a_loop_is_left(llm: DataCrunchLLM, remembering: Any) -> None:
    """Leaving a loop over a stream stops the server and ends the run."""
    for _ in llm.stream("Hi", config={"callbacks": [remembering]}):
        break


@pytest.mark.usefixtures("left")
def test_a_stream_is_closed(llm: DataCrunchLLM, remembering: Any) -> None:
    """Closing a stream stops the server and ends the run."""
    stream: Any = llm.stream("Hi", config={"callbacks": [remembering]})
    with closing(stream):
        next(stream)


@pytest.mark.usefixtures("left")
async def test_an_asynchronous_loop_is_left(llm: DataCrunchLLM, remembering: Any) -> None:
    """Leaving an async loop over a stream stops the server and ends the run."""
    async for _ in llm.astream("Hi", config={"callbacks": [remembering]}):
        break


@pytest.mark.usefixtures("left")
async def test_an_asynchronous_stream_is_closed(llm: DataCrunchLLM, remembering: Any) -> None:
    """Closing an async stream stops the server and ends the run."""
    stream: Any = llm.astream("Hi", config={"callbacks": [remembering]})
    async with aclosing(stream):
        await anext(stream)


async def _read(stream: AsyncIterator[str], started: asyncio.Event) -> None:
    async for _ in stream:
        started.set()


@pytest.mark.usefixtures("left")
async def test_a_task_is_cancelled(llm: DataCrunchLLM, remembering: Any) -> None:
    """Cancelling a task that streams stops the server and ends the run."""
    started = asyncio.Event()
    stream = llm.astream("Hi", config={"callbacks": [remembering]})
    task = asyncio.create_task(_read(stream, started))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("streaming", [False, True])
async def test_time_is_up(llm: DataCrunchLLM, remembering: Any, *, streaming: bool) -> None:
    """A timeout around `ainvoke` stops the server and ends the run."""
    llm.streaming = streaming
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await llm.ainvoke("Hi", config={"callbacks": [remembering]})


@pytest.fixture
def loud(remembering: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback raises at the first token."""

    def raise_error(*_: Any, **__: Any) -> None:
        raise _LoudError

    monkeypatch.setattr(remembering, "on_llm_new_token", raise_error)


@pytest.mark.usefixtures("loud", "left")
@pytest.mark.parametrize("method", ["stream", "invoke"])
def test_a_callback_raises(llm: DataCrunchLLM, remembering: Any, method: str) -> None:
    """An error of a callback stops the server."""
    llm.streaming = True
    with pytest.raises(_LoudError):
        list(getattr(llm, method)("Hi", config={"callbacks": [remembering]}))


@pytest.mark.usefixtures("loud", "left")
async def test_a_callback_raises_in_an_asynchronous_stream(
    llm: DataCrunchLLM, remembering: Any
) -> None:
    """An error of a callback stops the server in an async stream too."""
    with pytest.raises(_LoudError):
        async for _ in llm.astream("Hi", config={"callbacks": [remembering]}):
            pass


async def test_when_one_of_several_prompts_fails_the_others_stop(
    endpoint: EmulatedEndpoint, remembering: Any
) -> None:
    """If one prompt of `agenerate` fails, the other generations stop."""
    endpoint.fail_next(delay=0.2, status=422)
    llm = DataCrunchLLM(base_url=endpoint.url, max_tokens=WORDS, callbacks=[remembering])
    with pytest.raises(InvalidRequestError):
        await llm.agenerate(["a", "b", "c"])
    endpoint.wait_until_idle(1)
    assert sorted(request.left_early for request in endpoint.requests) == [False, True, True]
    assert len(remembering.errors) == 3
