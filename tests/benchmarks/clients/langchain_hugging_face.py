"""langchain-huggingface's model for an endpoint."""

from importlib import import_module

from tests.benchmarks.clients import in_langchain

DISTRIBUTIONS = ("langchain-huggingface", "huggingface_hub")
HuggingFaceEndpoint = import_module("langchain_huggingface").HuggingFaceEndpoint


class Sync(in_langchain.Sync):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(HuggingFaceEndpoint(endpoint_url=url))


class Async(in_langchain.Async):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(HuggingFaceEndpoint(endpoint_url=url))
