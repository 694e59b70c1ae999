"""text_generation: the clients that TGI's own repository holds."""

from importlib import import_module

DISTRIBUTIONS = ("text_generation",)
text_generation = import_module("text_generation")


class Sync:
    def __init__(self, url: str, _connections: int) -> None:
        self._client = text_generation.Client(url, timeout=60)

    def stream(self, prompt: str, tokens: int) -> int:
        events = self._client.generate_stream(prompt, max_new_tokens=tokens)
        return sum(len(event.token.text) > 0 for event in events)

    def generate(self, prompt: str) -> None:
        self._client.generate(prompt, max_new_tokens=20)

    def close(self) -> None:
        pass


class Async:
    def __init__(self, url: str, _connections: int) -> None:
        self._client = text_generation.AsyncClient(url, timeout=60)

    async def stream(self, prompt: str, tokens: int) -> int:
        events = self._client.generate_stream(prompt, max_new_tokens=tokens)
        return sum([len(event.token.text) > 0 async for event in events])

    async def generate(self, prompt: str) -> None:
        await self._client.generate(prompt, max_new_tokens=20)

    async def close(self) -> None:
        pass
