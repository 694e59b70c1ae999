"""httpx as its documentation shows it, with its own pool, and its limit raised to what is asked."""

import json
from importlib import import_module
from typing import Any

DISTRIBUTIONS = ("httpx", "httpcore", "h11")
httpx = import_module("httpx")


def body(prompt: str, tokens: int) -> dict[str, Any]:
    return {"inputs": prompt, "parameters": {"max_new_tokens": tokens, "details": True}}


def counts(line: str) -> bool:
    """Whether the line holds a token."""
    return line.startswith("data:") and len(json.loads(line[5:])["token"]["text"]) > 0


class Sync:
    def __init__(self, url: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections)
        self._client = httpx.Client(base_url=url, limits=limits, timeout=60)

    def stream(self, prompt: str, tokens: int) -> int:
        with self._client.stream("POST", "/generate_stream", json=body(prompt, tokens)) as response:
            return sum(counts(line) for line in response.iter_lines())

    def generate(self, prompt: str) -> None:
        self._client.post("/generate", json=body(prompt, 20)).json()

    def close(self) -> None:
        self._client.close()


class Async:
    def __init__(self, url: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections)
        self._client = httpx.AsyncClient(base_url=url, limits=limits, timeout=60)

    async def stream(self, prompt: str, tokens: int) -> int:
        asked = body(prompt, tokens)
        async with self._client.stream("POST", "/generate_stream", json=asked) as response:
            return sum([counts(line) async for line in response.aiter_lines()])

    async def generate(self, prompt: str) -> None:
        (await self._client.post("/generate", json=body(prompt, 20))).json()

    async def close(self) -> None:
        await self._client.aclose()
