"""What LlamaIndex itself takes: a model that has ready what is in this package's chunks.

LlamaIndex constructs the chunks, with the log probabilities in the last, and reports them.
"""

# ruff: noqa: ARG002, FBT001, FBT002 -- LlamaIndex's signatures

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from llama_index.core.base.llms.types import (
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    LogProb,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback

from tests.benchmarks import server
from tests.benchmarks.clients import in_llamaindex

DISTRIBUTIONS = ("llama-index-core",)


@cache
def ready(tokens: int) -> list[dict[str, Any]]:
    """The `raw` of each chunk but the last."""
    return [json.loads(event.removeprefix(b"data:")) for event in server.events(tokens)]


def chunks(tokens: int) -> Iterator[CompletionResponse]:
    text, reported = "", ready(tokens)
    for raw in reported:
        delta = raw["token"]["text"]
        text += delta
        yield CompletionResponse(text=text, delta=delta, raw=raw)
    yield CompletionResponse(
        text=text,
        delta="",
        raw={"tokens": reported},
        logprobs=[[logprob(raw["token"])] for raw in reported],
    )


def logprob(token: dict[str, Any]) -> LogProb:
    text = token["text"]
    return LogProb(token=text, logprob=token["logprob"], bytes=list(text.encode()))


class Ready(CustomLLM):
    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return CompletionResponse(text=prompt)

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        yield from chunks(kwargs["max_tokens"])

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        async def stream() -> CompletionResponseAsyncGen:
            for chunk in chunks(kwargs["max_tokens"]):
                yield chunk

        return stream()


class Sync(in_llamaindex.Sync):
    def __init__(self, _url: str, _connections: int) -> None:
        super().__init__(Ready())


class Async(in_llamaindex.Async):
    def __init__(self, _url: str, _connections: int) -> None:
        super().__init__(Ready())
