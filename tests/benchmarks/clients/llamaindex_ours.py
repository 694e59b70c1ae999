"""This package's model for LlamaIndex."""

from llamaindex_datacrunch import DataCrunch
from tests.benchmarks.clients import in_llamaindex

DISTRIBUTIONS = ("datacrunch-tgi", "llama-index-core")


class Sync(in_llamaindex.Sync):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(DataCrunch(base_url=url))


class Async(in_llamaindex.Async):
    def __init__(self, url: str, _connections: int) -> None:
        super().__init__(DataCrunch(base_url=url))
