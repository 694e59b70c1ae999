"""Prompts run at the same time, each as its own run, with its tokens, usage and error."""

import re
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelInvalidRequestError

from datacrunch_tgi import InvalidRequestError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for what should come at once."""
KNOWN = {re.compile("good"): "Fine"}
"""An endpoint with these answers refuses any other prompt."""


def _echo(prompt: str) -> str:
    return f"{prompt} {prompt} {prompt}"


@pytest.mark.parametrize("method", ["batch", "generate"])
async def test_prompts_are_open_at_the_same_time(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """Prompts of a batch are sent at the same time."""
    together = threading.Barrier(4, timeout=PATIENCE)

    def answer(prompt: str) -> str:
        together.wait()
        return prompt

    llm = DataCrunchLLM(base_url=serve(answers=answer).url)
    result = await call(llm, method, list("abcd"))
    texts = [g.text for (g,) in result.generations] if method == "generate" else result
    assert texts == list("abcd")


class Crowd:
    """Counts open prompts, and waits for one too many."""

    def __init__(self, limit: int) -> None:
        self.peak = 0
        self._limit = limit
        self._now = 0
        self._changed = threading.Condition()

    def answer(self, prompt: str) -> str:
        with self._changed:
            self._now += 1
            self.peak = max(self.peak, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.peak > self._limit, 0.05)
            self._now -= 1
        return prompt


@pytest.mark.parametrize("method", ["batch", "generate"])
async def test_no_more_prompts_are_open_than_allowed(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """`max_concurrency` and `max_connections` limit the number of open requests."""
    crowd = Crowd(3)
    endpoint = serve(answers=crowd.answer)
    if method == "batch":
        llm = DataCrunchLLM(base_url=endpoint.url)
        await call(llm, "batch", list("abcdefgh"), config={"max_concurrency": 3})
    else:
        llm = DataCrunchLLM(base_url=endpoint.url, max_connections=3)
        await call(llm, "generate", list("abcdefgh"))
    assert crowd.peak <= 3


async def test_with_max_concurrency_no_prompt_waits_for_an_older_one(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]]
) -> None:
    """A slow prompt does not delay the others."""
    last_has_come = threading.Event()

    def answer(prompt: str) -> str:
        if prompt == "last":
            last_has_come.set()
        elif prompt == "slow":
            assert last_has_come.wait(PATIENCE)
        return prompt

    llm = DataCrunchLLM(base_url=serve(answers=answer).url)
    prompts = ["slow", *"abcdef", "last"]
    assert await call(llm, "batch", prompts, config={"max_concurrency": 2}) == prompts


@pytest.mark.parametrize("method", ["batch", "generate"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_each_prompt_has_its_own_run_and_its_own_tokens(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Callbacks get one run for each prompt, with its own tokens and usage."""
    llm = DataCrunchLLM(base_url=serve(answers=_echo).url, streaming=streaming)
    llm.callbacks = [remembering]
    prompts = [f"p{n}" for n in range(6)]
    await call(llm, method, prompts)
    assert sorted(remembering.prompts.values()) == prompts
    for run_id, prompt in remembering.prompts.items():
        ((generation,),) = remembering.ends[run_id].generations
        assert generation.text == _echo(prompt)
        assert remembering.ends[run_id].llm_output["token_usage"]["completion_tokens"] == 4
        if streaming:
            assert "".join(remembering.tokens[run_id]) == _echo(prompt)


async def test_generate_keeps_the_order_and_names_the_runs(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """Answers and run ids are in the order of the prompts."""
    llm = DataCrunchLLM(base_url=serve(answers=_echo).url, callbacks=[remembering])
    prompts = [f"p{n}" for n in range(8)]
    result = await call(llm, "generate", prompts)
    assert [g.text for (g,) in result.generations] == [_echo(prompt) for prompt in prompts]
    assert [remembering.prompts[run.run_id] for run in result.run] == prompts


async def test_a_failure_stays_with_its_prompt(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]]
) -> None:
    """With `return_exceptions=True`, only the prompt that fails has an error."""
    llm = DataCrunchLLM(base_url=serve(answers=KNOWN).url)
    prompts = ["good"] * 7 + ["bad"] + ["good"] * 12
    results = await call(llm, "batch", prompts, return_exceptions=True)
    assert isinstance(results.pop(7), InvalidRequestError)
    assert results == ["Fine"] * 19


async def test_as_completed_each_prompt_comes_with_its_place(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]]
) -> None:
    """`batch_as_completed` yields each answer with its prompt's index."""
    llm = DataCrunchLLM(base_url=serve(answers=_echo).url)
    results = await call(llm, "batch_as_completed", ["a", "b", "c"])
    assert sorted(results) == [(0, "a a a"), (1, "b b b"), (2, "c c c")]


async def test_generate_raises_the_first_error_and_every_run_ends_once(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """`generate` raises the first error, and callbacks see each run end once."""
    endpoint = serve(answers=KNOWN)
    llm = DataCrunchLLM(base_url=endpoint.url, max_connections=1, callbacks=[remembering])
    with pytest.raises(ModelInvalidRequestError):
        await call(llm, "generate", ["bad", *["good"] * 9])
    remembering.wait_for_ends(10)
    ended = [*remembering.ends, *(run_id for run_id, _, _ in remembering.errors)]
    assert sorted(ended) == sorted(remembering.prompts)
    assert len(ended) == 10
    assert len(endpoint.requests) < 10, "prompts are sent after one has failed"


async def test_generate_raises_while_another_prompt_is_still_generated(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """An answer that is discarded is not waited for; this one would take minutes."""
    endpoint = serve(answers=KNOWN, tokens_per_second=0.001)
    llm = DataCrunchLLM(base_url=endpoint.url, max_retries=0, callbacks=[remembering])
    with pytest.raises(ModelInvalidRequestError):
        await call(llm, "generate", ["bad", "good"])
    endpoint.stop()
    remembering.wait_for_ends(2)


class _FirstError(BaseCallbackHandler):
    """Lets a thread wait until an error is reported."""

    def __init__(self) -> None:
        self.reported = threading.Event()

    def on_llm_error(self, *_: Any, **__: Any) -> None:
        self.reported.set()


def test_after_an_interrupt_no_prompt_is_sent_and_every_run_ends(
    serve: Callable[..., EmulatedEndpoint], remembering: Any
) -> None:
    """After Ctrl-C no more prompts are sent, and callbacks see each run end."""
    error = _FirstError()
    interrupted = threading.Event()

    def answer(prompt: str) -> str:
        if not interrupted.is_set():
            interrupted.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        error.reported.wait(PATIENCE)
        return prompt

    endpoint = serve(answers=answer)
    llm = DataCrunchLLM(base_url=endpoint.url, max_connections=2)
    llm.callbacks = [remembering, error]
    with pytest.raises(KeyboardInterrupt) as caught:
        llm.generate([f"p{n}" for n in range(16)])
    remembering.wait_for_ends(16)
    assert len(endpoint.requests) < 16
    failed = {run_id: error for run_id, error, _ in remembering.errors}
    assert {*remembering.ends, *failed} == {*remembering.prompts}
    assert {*failed.values()} == {caught.value}


async def test_no_prompts_are_no_requests(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """An empty batch sends nothing."""
    assert (await call(llm, "generate", [])).generations == []
    assert await call(llm, "batch", []) == []
    assert not endpoint.requests
