"""This package's clients."""

from typing import Any, ClassVar

from datacrunch_tgi import AsyncClient, Client

DISTRIBUTIONS = ("datacrunch-tgi", "httpx")


class Sync:
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, url: str, connections: int) -> None:
        self._client = Client(base_url=url, max_connections=connections, **self.settings)

    def stream(self, prompt: str, tokens: int) -> int:
        with self._client.stream(prompt, max_new_tokens=tokens, details=True) as events:
            return sum(len(event.text) > 0 for event in events)

    def generate(self, prompt: str) -> None:
        self._client.generate(prompt, max_new_tokens=20, details=True)

    def close(self) -> None:
        self._client.close()


class Async:
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, url: str, connections: int) -> None:
        self._client = AsyncClient(base_url=url, max_connections=connections, **self.settings)

    async def stream(self, prompt: str, tokens: int) -> int:
        async with self._client.stream(prompt, max_new_tokens=tokens, details=True) as events:
            return sum([len(event.text) > 0 async for event in events])

    async def generate(self, prompt: str) -> None:
        await self._client.generate(prompt, max_new_tokens=20, details=True)

    async def close(self) -> None:
        await self._client.aclose()
