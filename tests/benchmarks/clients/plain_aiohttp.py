"""aiohttp as its documentation shows it, with its limit raised to what is asked."""

import json
from importlib import import_module
from typing import Any

DISTRIBUTIONS = ("aiohttp",)
aiohttp = import_module("aiohttp")


def body(prompt: str, tokens: int) -> dict[str, Any]:
    return {"inputs": prompt, "parameters": {"max_new_tokens": tokens, "details": True}}


class Async:
    def __init__(self, url: str, connections: int) -> None:
        connector = aiohttp.TCPConnector(limit=connections)
        self._session = aiohttp.ClientSession(url, connector=connector)

    async def stream(self, prompt: str, tokens: int) -> int:
        count = 0
        async with self._session.post("/generate_stream", json=body(prompt, tokens)) as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    count += len(json.loads(line[5:])["token"]["text"]) > 0
        return count

    async def generate(self, prompt: str) -> None:
        async with self._session.post("/generate", json=body(prompt, 20)) as response:
            await response.json()

    async def close(self) -> None:
        await self._session.close()
