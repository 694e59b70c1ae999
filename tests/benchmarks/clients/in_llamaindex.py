"""How a model is used in LlamaIndex, whichever it is."""

from llama_index.core.llms import LLM


class Sync:
    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def stream(self, prompt: str, tokens: int) -> int:
        chunks = self._llm.stream_complete(prompt, max_tokens=tokens)
        return sum(len(chunk.delta or "") > 0 for chunk in chunks)

    def generate(self, prompt: str) -> None:
        self._llm.complete(prompt, max_tokens=20)

    def close(self) -> None:
        pass


class Async:
    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    async def stream(self, prompt: str, tokens: int) -> int:
        chunks = await self._llm.astream_complete(prompt, max_tokens=tokens)
        return sum([len(chunk.delta or "") > 0 async for chunk in chunks])

    async def generate(self, prompt: str) -> None:
        await self._llm.acomplete(prompt, max_tokens=20)

    async def close(self) -> None:
        pass
