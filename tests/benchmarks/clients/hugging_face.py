"""huggingface_hub's clients, which LangChain's and LlamaIndex's Hugging Face classes stand on."""

from importlib import import_module

DISTRIBUTIONS = ("huggingface_hub",)
huggingface_hub = import_module("huggingface_hub")
InferenceClient = huggingface_hub.InferenceClient  # now: it is imported when it is first named
AsyncInferenceClient = huggingface_hub.AsyncInferenceClient


class Sync:
    def __init__(self, url: str, _connections: int) -> None:
        self._client = InferenceClient(url, timeout=60)

    def stream(self, prompt: str, tokens: int) -> int:
        events = self._client.text_generation(
            prompt, stream=True, details=True, max_new_tokens=tokens
        )
        return sum(len(event.token.text) > 0 for event in events)

    def generate(self, prompt: str) -> None:
        self._client.text_generation(prompt, details=True, max_new_tokens=20)

    def close(self) -> None:
        pass


class Async:
    def __init__(self, url: str, _connections: int) -> None:
        self._client = AsyncInferenceClient(url, timeout=60)

    async def stream(self, prompt: str, tokens: int) -> int:
        events = await self._client.text_generation(
            prompt, stream=True, details=True, max_new_tokens=tokens
        )
        return sum([len(event.token.text) > 0 async for event in events])

    async def generate(self, prompt: str) -> None:
        await self._client.text_generation(prompt, details=True, max_new_tokens=20)

    async def close(self) -> None:
        await self._client.close()
