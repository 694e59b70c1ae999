"""This package's model for LangChain."""

from langchain_datacrunch import DataCrunchLLM
from tests.benchmarks.clients import in_langchain

DISTRIBUTIONS = ("datacrunch-tgi", "langchain-core")


class Sync(in_langchain.Sync):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(DataCrunchLLM(base_url=url))


class Async(in_langchain.Async):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(DataCrunchLLM(base_url=url))
