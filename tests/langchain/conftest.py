"""An endpoint, a model for it, both ways to call the model, and a recording handler."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import reduce
from operator import add
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import GenerationChunk, LLMResult

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM


class Remembering(BaseCallbackHandler):
    """Records callbacks, by run."""

    raise_error = True
    run_inline = True

    def __init__(self) -> None:
        self.prompts: dict[UUID, str] = {}
        self.invocation_params: list[dict[str, Any]] = []
        self.serialized: list[dict[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []
        self.tokens: dict[UUID, list[str]] = {}
        self.chunks: list[GenerationChunk] = []
        self.ends: dict[UUID, LLMResult] = {}
        self.errors: list[tuple[UUID, BaseException, LLMResult]] = []
        self._ended = threading.Condition()

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        (self.prompts[run_id],) = prompts
        self.serialized.append(serialized)
        self.invocation_params.append(kwargs["invocation_params"])
        self.metadata.append(kwargs["metadata"])

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **_: Any) -> None:
        self.tokens.setdefault(run_id, []).append(token)
        self.chunks.append(chunk)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        with self._ended:
            assert run_id not in self.ends
            self.ends[run_id] = response
            self._ended.notify()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        with self._ended:
            self.errors.append((run_id, error, kwargs["response"]))
            self._ended.notify()

    def wait_for_ends(self, runs: int) -> None:
        """Wait until so many runs have ended."""
        with self._ended:
            assert self._ended.wait_for(lambda: len(self.ends) + len(self.errors) >= runs, 30)

    @property
    def result(self) -> LLMResult:
        """What the only run ended with."""
        (result,) = self.ends.values()
        return result


@pytest.fixture
def remembering() -> Remembering:
    return Remembering()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Awaitable[Any]]:
    """Call a method or its async version by name; return a stream as a list."""

    async def called(runnable: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        name = method if request.param == "sync" else f"a{method}"
        result = getattr(runnable, name)(*args, **kwargs)
        if hasattr(result, "__anext__"):
            return [part async for part in result]
        if hasattr(result, "__await__"):
            return await result
        return list(result) if hasattr(result, "__next__") else result

    return called


@pytest.fixture
def serve() -> Iterator[Callable[..., EmulatedEndpoint]]:
    """Start an endpoint with the given options, for this test."""
    with ExitStack() as started:

        def start(**options: Any) -> EmulatedEndpoint:
            return started.enter_context(EmulatedEndpoint(**options))

        yield start


@pytest.fixture
def endpoint(serve: Callable[..., EmulatedEndpoint]) -> EmulatedEndpoint:
    """An endpoint that answers in five words and an end token."""
    return serve(answers="Hello there, my friend")


@pytest.fixture
def llm(endpoint: EmulatedEndpoint) -> DataCrunchLLM:
    return DataCrunchLLM(base_url=endpoint.url, api_key="sk-secret", model="llama")


@pytest.fixture
def chat(endpoint: EmulatedEndpoint) -> ChatDataCrunch:
    return ChatDataCrunch(base_url=endpoint.url, api_key="sk-secret", model="llama-2-13b-chat")


@pytest.fixture
def ask(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[AIMessage]]:
    """Call a chat model by a method's name; return the message, or the sum of its chunks."""

    async def asked(chat: Any, method: str, given: Any = "Hi", **kwargs: Any) -> AIMessage:
        if method == "generate":
            result = await call(chat, "generate", [[HumanMessage(given)]], **kwargs)
            message: AIMessage = result.generations[0][0].message
        elif method == "batch":
            (message,) = await call(chat, "batch", [given], **kwargs)
        else:
            answer = await call(chat, method, given, **kwargs)
            message = reduce(add, answer) if method == "stream" else answer
        return message

    return asked
