"""One client in its own process: reads a case from each line of input, and writes measurements."""

import json
import resource
import sys
import time
from importlib import import_module, metadata
from typing import Any

MIB = 1024 * 1024


def report(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)  # noqa: T201 -- to who started it


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / MIB if sys.platform == "darwin" else most / 1024


def main(name: str, kind: str, url: str) -> None:
    """Import the client, then run the cases."""
    memory, begin = peak(), time.perf_counter()
    client = import_module(f"tests.benchmarks.clients.{name}")
    took, more = time.perf_counter() - begin, peak() - memory
    versions = {item: metadata.version(item) for item in client.DISTRIBUTIONS}
    report({"ms": took * 1e3, "mib": more, "versions": versions})
    cases = import_module("tests.benchmarks.cases")  # now, since it imports what a client might
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        report(cases.run(asked.pop("case"), getattr(client, kind), url, asked))


if __name__ == "__main__":
    main(*sys.argv[1:])
