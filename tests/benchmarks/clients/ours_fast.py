"""This package's clients on the engine `fast`."""

from typing import ClassVar

from tests.benchmarks.clients import ours

DISTRIBUTIONS = ("datacrunch-tgi", "httptools")


class Sync(ours.Sync):
    settings: ClassVar = {"engine": "fast"}


class Async(ours.Async):
    settings: ClassVar = {"engine": "fast"}
