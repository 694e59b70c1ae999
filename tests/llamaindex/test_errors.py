"""Errors are the transport's own, whichever way the model is called."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from llama_index.core import get_response_synthesizer
from llama_index.core.response_synthesizers import ResponseMode

from datacrunch_tgi import (
    APIError,
    AuthenticationError,
    ConnectError,
    DisconnectedError,
    GenerationError,
    InvalidRequestError,
    OverloadedError,
    RequestTimeoutError,
    ServerError,
)
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]
INVALID = {"error": "Input validation error: too long", "error_type": "validation"}
AT_ONCE = {"retry-after": "0"}

pytestmark = pytest.mark.usefixtures("without_waits")


class Fault(NamedTuple):
    """The fault of every request, the expected error, and the number of requests."""

    what: dict[str, Any]
    error: type[APIError]
    requests: int


FAULTS = [
    Fault({"status": 401}, AuthenticationError, 1),
    Fault({"status": 422, "body": INVALID}, InvalidRequestError, 1),
    Fault({"status": 424, "headers": AT_ONCE}, GenerationError, 3),
    Fault({"status": 429, "headers": AT_ONCE}, OverloadedError, 3),
    Fault({"status": 500, "body": "<h1>Oops</h1>", "headers": AT_ONCE}, ServerError, 3),
    Fault({"status": 503, "headers": AT_ONCE}, ServerError, 3),
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_has_its_class_and_is_sent_again_only_where_that_helps(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask, fault: Fault
) -> None:
    """Each status raises its class, and only retryable ones are retried."""
    endpoint.fail_next(fault.requests, **fault.what)
    with pytest.raises(fault.error) as caught:
        await ask(model)
    assert caught.value.status == fault.what["status"]
    assert len(endpoint.requests) == caught.value.requests == fault.requests


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("use_async", [False, True], ids=["in turn", "at once"])
async def test_it_goes_through_a_query_unchanged(
    model: DataCrunch,
    endpoint: EmulatedEndpoint,
    fault: Fault,
    use_async: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """An error in a query keeps its class, in threads and event loops."""
    synthesizer = get_response_synthesizer(
        llm=model, response_mode=ResponseMode.ACCUMULATE, use_async=use_async
    )
    question = "Why?", ["Because."]
    endpoint.fail_next(2 * fault.requests, **fault.what)
    with pytest.raises(fault.error):
        await synthesizer.aget_response(*question)
    with pytest.raises(fault.error):  # in a thread, and so in an event loop of its own
        await asyncio.to_thread(synthesizer.get_response, *question)
    assert len(endpoint.requests) == 2 * fault.requests


async def test_a_time_limit_and_a_lost_connection_are_errors_of_this_package(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Time limits and connection failures raise errors of this package."""
    impatient = model.model_copy(update={"first_token_timeout": 0.2})
    endpoint.fail_next(stall=600)
    with pytest.raises(RequestTimeoutError, match=r"Raise first_token_timeout \(0\.2 seconds\)"):
        await ask(impatient)
    lonely = model.model_copy(update={"max_retries": 0})
    endpoint.fail_next(hang_up=True)
    with pytest.raises(DisconnectedError):
        await ask(lonely)
    endpoint.stop()
    with pytest.raises(ConnectError):
        await ask(lonely)


async def test_an_answer_after_a_repetition_is_an_answer(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """A call that succeeds after retries returns its answer."""
    endpoint.fail_next(2, status=503, headers=AT_ONCE)
    assert (await ask(model))[-1].text == "Hello there, my friend"
    assert len(endpoint.requests) == 3


async def test_no_error_holds_the_key_or_the_prompt(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """Errors contain neither the key nor the prompt, nor a chained exception."""
    endpoint.fail_next(status=422, body=INVALID)
    with pytest.raises(InvalidRequestError) as caught:
        await ask(model, "a private matter")
    shown = f"{caught.value!r} {caught.value} {vars(caught.value)}"
    assert "sk-secret" not in shown
    assert "private" not in shown
    assert not isinstance(caught.value, RuntimeError)
    assert caught.value.__cause__ is caught.value.__context__ is None
