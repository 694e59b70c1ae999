"""What LangChain itself takes: a model that has ready what is in this package's chunks.

LangChain constructs the chunks, passes them to callbacks and adds them up.
"""

# ruff: noqa: ARG002 -- LangChain's signatures

import json
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LLM
from langchain_core.outputs import GenerationChunk

from tests.benchmarks import server
from tests.benchmarks.clients import in_langchain

DISTRIBUTIONS = ("langchain-core",)


@cache
def ready(tokens: int) -> list[tuple[str, dict[str, Any] | None]]:
    """The text and the `generation_info` of each chunk."""
    reported = [
        json.loads(event.removeprefix(b"data:"))["token"] for event in server.events(tokens)
    ]
    infos: list[dict[str, Any] | None] = [None] * tokens
    infos[-1] = {
        "finish_reason": "length",
        "token_usage": {},
        "model_name": "tgi",
        "tokens": reported,
    }
    return list(zip((token["text"] for token in reported), infos, strict=True))


class Ready(LLM):
    @property
    def _llm_type(self) -> str:
        return "ready"

    def _call(self, prompt: str, *_: object, **__: object) -> str:
        return prompt

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        for text, info in ready(kwargs["max_new_tokens"]):
            chunk = GenerationChunk(text=text, generation_info=info)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        for text, info in ready(kwargs["max_new_tokens"]):
            chunk = GenerationChunk(text=text, generation_info=info)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


class Sync(in_langchain.Sync):
    def __init__(self, _url: str, _connections: int) -> None:
        super().__init__(Ready())


class Async(in_langchain.Async):
    def __init__(self, _url: str, _connections: int) -> None:
        super().__init__(Ready())
