"""This package's clients of an earlier commit: `processes` puts its files first on the import path."""

from tests.benchmarks.clients.ours import Async, Sync

DISTRIBUTIONS = ()
__all__ = ["Async", "Sync"]
