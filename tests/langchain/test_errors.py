"""Errors are both the transport's and LangChain's, with all fields, and without key and prompt."""

import logging
import pickle
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler

import datacrunch_tgi as tgi
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM, _errors

PROMPT = "My little secret is"
KEY = "sk-secret"
STREAMED = pytest.mark.parametrize("method", ["invoke", "stream"])


@pytest.fixture
def impatient(endpoint: EmulatedEndpoint) -> DataCrunchLLM:
    """A model that tries once."""
    return DataCrunchLLM(base_url=endpoint.url, api_key=KEY, max_retries=0)


def _is_both(kind: Any) -> bool:
    """Whether it is an error of the transport's and of LangChain's."""
    bases = (tgi.DataCrunchError, core.ModelError)
    return isinstance(kind, type) and all(issubclass(kind, base) for base in bases)


def _chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


@STREAMED
@pytest.mark.parametrize(
    "reported",
    [
        (400, tgi.InvalidRequestError, core.ModelInvalidRequestError),
        (401, tgi.AuthenticationError, core.ModelAuthenticationError),
        (403, tgi.AuthenticationError, core.ModelPermissionDeniedError),
        (404, tgi.NotFoundError, core.ModelNotFoundError),
        (422, tgi.InvalidRequestError, core.ModelInvalidRequestError),
        (424, tgi.GenerationError, core.ModelAPIError),
        (429, tgi.OverloadedError, core.ModelRateLimitError),
        (500, tgi.ServerError, core.ModelAPIError),
        (503, tgi.ServerError, core.ModelAPIError),
    ],
)
async def test_a_status_is_both_errors_with_all_its_fields(
    endpoint: EmulatedEndpoint,
    impatient: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    method: str,
    reported: tuple[int, type[tgi.APIError], type[core.ModelError]],
) -> None:
    """An error is both this package's and LangChain's, with all its fields."""
    status, transports, langchains = reported
    body = {"error": "no", "error_type": "unheard_of"}
    endpoint.fail_next(status=status, body=body, headers={"Retry-After": "7"})
    with pytest.raises(transports) as caught:
        await call(impatient, method, PROMPT)
    error = caught.value
    assert isinstance(error, langchains)
    assert error.is_retryable == error.retryable
    assert (error.status, error.server_message, error.retry_after) == (status, "no", 7.0)
    assert error.requests == 1
    response: Any = error.response  # type: ignore[attr-defined]  # LangChain's tracers look for it
    assert (response.status_code, response.text) == (status, "no")
    assert response.json() == body
    assert response.headers == {"retry-after": "7"}


@pytest.mark.parametrize(
    "error",
    [kind for kind in vars(_errors).values() if _is_both(kind)],
)
def test_both_say_the_same_of_sending_again(error: Any) -> None:
    """LangChain's `is_retryable` equals `retryable`."""
    assert error.is_retryable == error.retryable


@STREAMED
@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
@pytest.mark.parametrize("size", [(50, 10), (5, 100)])
async def test_what_does_not_fit_the_model_is_a_context_overflow(
    serve: Callable[..., EmulatedEndpoint],
    call: Callable[..., Awaitable[Any]],
    method: str,
    dialect: str,
    size: tuple[int, int],
) -> None:
    """A prompt that is too long raises LangChain's `ContextOverflowError`."""
    words, max_tokens = size
    endpoint = serve(answers="", dialect=dialect, max_input_tokens=40, max_total_tokens=80)
    llm = DataCrunchLLM(base_url=endpoint.url, max_tokens=max_tokens)
    with pytest.raises(core.ContextOverflowError) as caught:
        await call(llm, method, "word " * words)
    assert isinstance(caught.value, core.ModelInvalidRequestError)
    assert isinstance(caught.value, tgi.InvalidRequestError)


@STREAMED
async def test_no_server_is_a_connection_error(
    call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """A refused connection is LangChain's `ModelConnectionError`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    llm = DataCrunchLLM(base_url=f"http://127.0.0.1:{port}", max_retries=0)
    with pytest.raises(tgi.ConnectError) as caught:
        await call(llm, method, PROMPT)
    assert isinstance(caught.value, core.ModelConnectionError)


@STREAMED
async def test_a_broken_connection_is_a_connection_error(
    endpoint: EmulatedEndpoint,
    impatient: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    method: str,
) -> None:
    """A broken connection is LangChain's `ModelConnectionError`."""
    endpoint.fail_next(hang_up=True)
    with pytest.raises(tgi.DisconnectedError) as caught:
        await call(impatient, method, PROMPT)
    assert isinstance(caught.value, core.ModelConnectionError)


@STREAMED
async def test_a_silent_server_is_a_timeout(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """An exceeded time limit is LangChain's `ModelTimeoutError`."""
    endpoint.fail_next(delay=0.5)
    llm = DataCrunchLLM(base_url=endpoint.url, first_token_timeout=0.1)
    with pytest.raises(tgi.RequestTimeoutError, match="first_token_timeout") as caught:
        await call(llm, method, PROMPT)
    assert isinstance(caught.value, core.ModelTimeoutError)


async def test_an_error_in_a_stream_comes_after_its_tokens_and_has_their_text(
    endpoint: EmulatedEndpoint,
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
) -> None:
    """An error in a stream is raised after its tokens and has their text."""
    endpoint.fail_next(error_after=2)
    with pytest.raises(tgi.GenerationError) as caught:
        await call(llm, "stream", PROMPT, config={"callbacks": [remembering]})
    assert isinstance(caught.value, core.ModelAPIError)
    assert caught.value.text == "Hello there"
    assert [*remembering.tokens.values()] == [["Hello", " there"]]
    ((_, reported, partial),) = remembering.errors
    assert reported is caught.value
    assert partial.generations[0][0].text == "Hello there"
    assert len(endpoint.requests) == 1, "nothing is sent again after the first token"


@pytest.mark.usefixtures("without_waits")
@STREAMED
async def test_before_the_first_token_a_request_is_sent_again_as_the_server_asks(
    endpoint: EmulatedEndpoint,
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    method: str,
) -> None:
    """Requests are retried as Retry-After says, before the first token."""
    endpoint.fail_next(2, status=429, headers={"Retry-After": "0"})
    assert "".join(await call(llm, method, "Hi")) == "Hello there, my friend"
    assert [request.status for request in endpoint.requests] == [429, 429, 200]


async def test_what_the_server_refused_is_not_sent_again(
    endpoint: EmulatedEndpoint, llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]]
) -> None:
    """A refused request is not retried."""
    endpoint.fail_next(status=422)
    with pytest.raises(tgi.InvalidRequestError):
        await call(llm, "invoke", "Hi")
    assert len(endpoint.requests) == 1


@STREAMED
async def test_an_error_holds_neither_key_nor_prompt_and_can_be_pickled(
    endpoint: EmulatedEndpoint,
    impatient: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    """Errors can be pickled and never contain the key or the prompt."""
    caplog.set_level(logging.DEBUG)
    faults: list[dict[str, Any]] = [
        {"status": 403}, {"status": 429}, {"hang_up": True}, {"error_after": 1}, {"cut_after": 1}
    ]  # fmt: skip
    for fault in faults:
        endpoint.fail_next(**fault)
        with pytest.raises(core.ModelError) as caught:
            await call(impatient, method, PROMPT)
        error = caught.value
        pickled = pickle.dumps(error)
        again = pickle.loads(pickled)
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)
        shown = "".join(traceback.format_exception(error))
        for text in (str(error), repr(error), shown, f"{pickled!r}", caplog.text):
            assert KEY not in text
            assert PROMPT not in text
        modules = {type(cause).__module__.partition(".")[0] for cause in _chain_of(error)}
        assert not modules & {"httpx", "httpcore"}, "an error of httpx's, whose frames hold the key"


@STREAMED
async def test_what_is_refused_before_a_request_is_a_value_error(
    endpoint: EmulatedEndpoint,
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
) -> None:
    """Nothing is sent, and no callback hears of a run that never began."""
    with pytest.raises(ValueError, match=r"top_p=2\.0") as caught:
        await call(llm, method, "Hi", top_p=2.0, config={"callbacks": [remembering]})
    assert isinstance(caught.value, tgi.ArgumentError)
    assert not remembering.errors
    assert not endpoint.requests


async def test_langchain_tries_again_where_its_error_is_named(
    endpoint: EmulatedEndpoint, impatient: DataCrunchLLM, call: Callable[..., Awaitable[Any]]
) -> None:
    """`with_retry` accepts LangChain's error classes."""
    endpoint.fail_next(2, status=429)
    patient = impatient.with_retry(
        retry_if_exception_type=(core.ModelRateLimitError,),
        wait_exponential_jitter=False,
        stop_after_attempt=3,
    )
    assert await call(patient, "invoke", "Hi") == "Hello there, my friend"
    assert [request.status for request in endpoint.requests] == [429, 429, 200]


async def test_a_fallback_takes_over_where_langchains_error_is_named(
    endpoint: EmulatedEndpoint,
    serve: Callable[..., EmulatedEndpoint],
    impatient: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
) -> None:
    """`with_fallbacks` accepts LangChain's error classes."""
    endpoint.fail_next(status=429)
    other = DataCrunchLLM(base_url=serve(answers="I am here").url)
    chain = impatient.with_fallbacks([other], exceptions_to_handle=(core.ModelRateLimitError,))
    assert await call(chain, "invoke", "Hi") == "I am here"


# LangChain passes no run manager for retries of a streamed chat model.
@pytest.mark.parametrize(
    ("model", "method"),
    [(DataCrunchLLM, "invoke"), (DataCrunchLLM, "stream"), (ChatDataCrunch, "invoke")],
)
@pytest.mark.usefixtures("without_waits")
async def test_callbacks_get_retries(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], method: str, model: Any
) -> None:
    """Callbacks get `on_retry` for each retry."""

    class Listening(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[tuple[int, Any]] = []

        def on_retry(self, retry_state: Any, **_: Any) -> None:
            self.heard.append((retry_state.attempt_number, retry_state.outcome.exception()))

    listening = Listening()
    asking = model(base_url=endpoint.url, model="llama-2-13b-chat", callbacks=[listening])
    endpoint.fail_next(2, status=429, headers={"Retry-After": "0"})
    await call(asking, method, PROMPT)
    assert [attempt for attempt, _ in listening.heard] == [1, 2]
    assert {type(error) for _, error in listening.heard} == {tgi.OverloadedError}
    assert PROMPT not in repr(listening.heard)
