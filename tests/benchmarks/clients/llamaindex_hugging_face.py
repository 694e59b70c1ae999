"""llama-index-llms-huggingface-api's model for an endpoint."""

from importlib import import_module
from typing import Any

from tests.benchmarks.clients import in_llamaindex

DISTRIBUTIONS = ("llama-index-llms-huggingface-api", "huggingface_hub")
llms = import_module("llama_index.llms.huggingface_api")


def model(url: str) -> Any:
    return llms.HuggingFaceInferenceAPI(model_name=url, task="text-generation", timeout=60)


class Sync(in_llamaindex.Sync):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(model(url))


class Async(in_llamaindex.Async):
    """Has a model for each of two streams: its client cannot be used after one."""

    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(model(url))
        self._next = model(url)

    async def stream(self, prompt: str, tokens: int) -> int:
        count = await super().stream(prompt, tokens)
        self._llm = self._next
        return count

    async def generate(self, prompt: str) -> None:
        await super().generate(prompt)
        await self._next.acomplete(prompt, max_tokens=20)
