"""Compares this package's clients with others and writes results.md and results.svg: `make bench`.

Clients take turns within each case, so that whatever else the machine does meets all of them; ratios
are taken within a turn, and the median of the turns is reported.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import plot, table
from tests.benchmarks.processes import server, worker
from tests.benchmarks.results import ASYNC, LABELS, MODELS, SYNC, Key, Results

FOLDER = Path(__file__).parent
BOTH = (SYNC, ASYNC)
LIMIT = 30.0
"""Seconds after which a client is ended; its number is reported as larger."""
SLOW = 5.0
"""Seconds from which on a client has one turn only."""
KINDS = {"plain_aiohttp": (ASYNC,)}
"""The kinds that there are of a client, where not both."""


@dataclass(frozen=True)
class Case:
    """What is measured, of whom, and how often."""

    name: str
    turns: int
    sizes: dict[str, int] = field(default_factory=dict)
    kinds: tuple[str, ...] = BOTH
    clients: tuple[str, ...] = tuple(LABELS)


WITHOUT_FLOOR = tuple(name for name in LABELS if name != "httpx_decoded")
CASES = [
    *(
        Case(name, 5, sizes, (SYNC,), ("ours",))
        for name, sizes in {
            "decode": {"tokens": 10_000},
            "kept": {"tokens": 100},
            "prompt": {"number": 20},
            "setting": {"number": 50},
            "metadata": {"number": 2000},
        }.items()
    ),
    Case("stream", 9, {"tokens": 10_000}),
    *(
        Case(framework, 25, {"tokens": 1000}, BOTH, ("ours", *models))
        for framework, models in MODELS.items()
    ),
    Case("requests", 5, {"number": 64, "each": 20}, BOTH, WITHOUT_FLOOR),
    *(
        Case("streams", 3, {"number": number, "tokens": 100}, (ASYNC,), WITHOUT_FLOOR)
        for number in (1, 32, 256, 1000)
    ),
    Case("calls", 1, {"number": 2000}, BOTH, WITHOUT_FLOOR),
    Case("construct", 1, {"number": 20}, BOTH, WITHOUT_FLOOR),
]


def measure(case: Case, url: str, results: Results) -> None:
    """Let the clients take turns."""
    with ExitStack() as stack:
        workers = {
            (client, kind): stack.enter_context(worker(client, kind, url))
            for client in case.clients
            for kind in KINDS.get(client, BOTH)
            if kind in case.kinds
        }
        for (client, kind), process in list(workers.items()):
            if process.started:
                results.started[client].append(process.started)
            else:  # it is not installed, and has said so
                del workers[client, kind]
        for turn in range(case.turns):
            for (client, kind), process in list(workers.items()):
                begin = time.monotonic()
                result = process.do(case.name, LIMIT, **case.sizes)
                key = Key(case.name, client, kind, case.sizes.get("number", 0))
                results.add(key, turn, result)
                if result is None or time.monotonic() - begin > SLOW:
                    del workers[client, kind]


def report(words: str) -> None:
    print(words, flush=True)  # noqa: T201 -- it says how far it is


def main() -> None:
    """Run every case."""
    results, begin = Results(), time.monotonic()
    with server() as url:
        for case in CASES:
            report(f"{time.monotonic() - begin:4.0f} s  {case.name} {case.sizes}")
            measure(case, url, results)
    (FOLDER / "results.md").write_text(table.render(results), encoding="utf-8")
    (FOLDER / "results.svg").write_text(plot.render(results), encoding="utf-8")
    report(f"{time.monotonic() - begin:4.0f} s  {FOLDER / 'results.md'}, {FOLDER / 'results.svg'}")


if __name__ == "__main__":
    main()
