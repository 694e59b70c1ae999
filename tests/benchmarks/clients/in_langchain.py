"""How a model is used in LangChain, whichever it is."""

from langchain_core.language_models import BaseLLM


class Sync:
    def __init__(self, llm: BaseLLM) -> None:
        self._llm = llm

    def stream(self, prompt: str, tokens: int) -> int:
        return sum(len(text) > 0 for text in self._llm.stream(prompt, max_new_tokens=tokens))

    def generate(self, prompt: str) -> None:
        self._llm.invoke(prompt, max_new_tokens=20)

    def close(self) -> None:
        pass


class Async:
    def __init__(self, llm: BaseLLM) -> None:
        self._llm = llm

    async def stream(self, prompt: str, tokens: int) -> int:
        texts = self._llm.astream(prompt, max_new_tokens=tokens)
        return sum([len(text) > 0 async for text in texts])

    async def generate(self, prompt: str) -> None:
        await self._llm.ainvoke(prompt, max_new_tokens=20)

    async def close(self) -> None:
        pass
