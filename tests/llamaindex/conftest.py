"""An endpoint, a model for it, and each way to call the model, with one form of result."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import llama_index.core
import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LogProb
from tokenizers import Tokenizer

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.llamaindex.tool_calls import FAMILIES

WHOLE = ("complete", "acomplete", "chat", "achat")
STREAMED = ("stream_complete", "astream_complete", "stream_chat", "astream_chat")


class Said(NamedTuple):
    """What responses to completions and chats have in common."""

    text: str
    delta: str | None
    raw: dict[str, Any]
    logprobs: list[list[LogProb]] | None
    additional_kwargs: dict[str, Any]


async def _ask(model: DataCrunch, method: str, prompt: str, **kwargs: Any) -> AsyncIterator[Said]:
    question = [ChatMessage(role="user", content=prompt)] if "chat" in method else prompt
    answer = getattr(model, method)(question, **kwargs)
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, AsyncGenerator):
        async for response in answer:
            yield _said(response)
    elif isinstance(answer, Generator):
        for response in answer:
            yield _said(response)
    else:
        yield _said(answer)


def _said(response: CompletionResponse | ChatResponse) -> Said:
    if isinstance(response, CompletionResponse):
        text, more = response.text, response.additional_kwargs
    else:
        text = response.message.content or ""
        more = response.additional_kwargs | response.message.additional_kwargs
    return Said(text, response.delta, response.raw or {}, response.logprobs, more)


def _asking(method: str) -> Callable[..., Awaitable[list[Said]]]:
    async def ask(model: DataCrunch, prompt: str = "Hi", **kwargs: Any) -> list[Said]:
        return [said async for said in _ask(model, method, prompt, **kwargs)]

    ask.__name__ = method
    return ask


@pytest.fixture(params=WHOLE + STREAMED)
def ask(request: pytest.FixtureRequest) -> Callable[..., Awaitable[list[Said]]]:
    """Each of the eight methods: gives all its responses."""
    return _asking(request.param)


@pytest.fixture(params=WHOLE)
def ask_whole(request: pytest.FixtureRequest) -> Callable[..., Awaitable[list[Said]]]:
    """Each method that gives one response."""
    return _asking(request.param)


@pytest.fixture(params=STREAMED)
def ask_streamed(request: pytest.FixtureRequest) -> Callable[..., Awaitable[list[Said]]]:
    """Each method that gives a stream: gives all its responses."""
    return _asking(request.param)


@pytest.fixture(params=STREAMED)
def stream(request: pytest.FixtureRequest) -> Callable[..., AsyncIterator[Said]]:
    """Each method that gives a stream: gives its responses one by one."""

    def streamed(model: DataCrunch, prompt: str = "Hi", **kwargs: Any) -> AsyncIterator[Said]:
        return _ask(model, request.param, prompt, **kwargs)

    return streamed


@pytest.fixture
def serve() -> Iterator[Callable[..., EmulatedEndpoint]]:
    """Start an endpoint with the given options, for this test."""
    with ExitStack() as started:
        yield lambda **options: started.enter_context(EmulatedEndpoint(**options))


@pytest.fixture
def endpoint(serve: Callable[..., EmulatedEndpoint]) -> EmulatedEndpoint:
    """An endpoint that answers in five words and an end token."""
    return serve(answers="Hello there, my friend")


@pytest.fixture
def model(endpoint: EmulatedEndpoint) -> DataCrunch:
    return DataCrunch(base_url=endpoint.url, api_key="sk-secret", model="llama")


@pytest.fixture(scope="session")
def encode(tiny_llama: Path) -> Callable[[str], list[int]]:
    """The tiny Llama's own tokenizer: text to tokens, with one in front of every text."""
    tokenizer = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))

    def encode(text: str) -> list[int]:
        return [*tokenizer.encode(text).ids]

    return encode


@pytest.fixture(autouse=True)
def _own_tokenizer_of_llamaindex(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves its tokenizer to the next."""
    monkeypatch.setattr(llama_index.core, "global_tokenizer", None)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Callable[..., str]]:
    """Options of a model that calls functions, and how it writes calls."""
    options, write = FAMILIES[request.param]
    return {**options, "is_function_calling_model": True}, write
