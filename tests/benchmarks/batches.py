"""Measures a row of a batch, in one process and on Ray Data, and writes batches.md: `make bench-ray`.

The server is a process of its own. What starting takes is left out: the clock starts when the first
rows have come out and all actors run, and stops with the last row.
"""

import asyncio
import os
import platform
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil
import ray.data

from datacrunch_tgi import AsyncClient, Parameters
from datacrunch_tgi.batch import BatchOptions, run
from datacrunch_tgi.ray import with_answers
from tests.benchmarks.processes import emulated, server

FILE = Path(__file__).with_name("batches.md")
SERVERS = {"a server that costs next to nothing": server, "the emulated endpoint": emulated}
ROWS, WARM, CONCURRENCY = 4000, 1000, 64
ACTORS = (1, 2, 3, 4)
PARAMETERS: Parameters = {"max_tokens": 20}
PERMITS, LIMITED_ROWS = 128, 10_000
PACE = ("--max-concurrent-requests", str(PERMITS), "--tokens-per-second", "12")
"""An answer takes a second, so that the permits are the limit, not the cores."""
FIXED = (96, 128)
TEXT = """\
# Batches

Made by `make bench-ray` on {day}: {cores} cores, {system}, load {load:.1f} at the start and {end:.1f} at the end. Python {python}, Ray {ray}.

{rows:,} rows, {concurrency} requests at a time, answered at once with at most 20 tokens. Server, clients and Ray share the cores.
CPU is that of all processes but the server's. What starting takes is left out.

|  | rows a second | CPU a row, ms |
| --- | --- | --- |
{table}

## A server with {permits} permits

{limited:,} rows through `run`, to the emulated endpoint, whose answers take a second each. It refuses
requests beyond its permits. With a fixed number nothing is refused; a number up to 1,000 is what the run finds.

| requests at a time | rows a second | failed | of the best fixed |
| --- | --- | --- | --- |
{limits}
"""


class Meter:
    """Rows a second and CPU a row, once the first rows have come out."""

    def __init__(self) -> None:
        self._rows = self._first = 0
        self._begin = 0.0
        self._cpu: dict[int, float] = {}

    def count(self, rows: int) -> None:
        """Count rows that have come out."""
        self._rows += rows
        if not self._first and self._rows >= WARM:
            self._first, self._begin, self._cpu = self._rows, time.monotonic(), _cpu()

    def read(self) -> tuple[float, float]:
        """Return rows a second, and milliseconds of CPU a row."""
        rows, seconds = self._rows - self._first, time.monotonic() - self._begin
        assert self._rows == ROWS
        cpu = sum(used - self._cpu.get(process, 0.0) for process, used in _cpu().items())
        return rows / seconds, cpu / rows * 1e3


def _cpu() -> dict[int, float]:
    """Seconds of CPU of this process and of all that it has started, but for servers, by process."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    clients = [one for one in family if not {"serve", "tests.benchmarks.server"} & {*one.cmdline()}]
    return {one.pid: sum(one.cpu_times()[:2]) for one in clients}


def _prompts(rows: int = ROWS) -> list[dict[str, Any]]:
    return [{"id": i, "inputs": f"burst: My name is Olivier and {i}"} for i in range(rows)]


def in_one_process(client: AsyncClient) -> tuple[float, float]:
    """Measure `datacrunch_tgi.batch`."""
    meter = Meter()

    async def answer() -> None:
        options: BatchOptions = {"concurrency": CONCURRENCY, "parameters": PARAMETERS}
        async with aclosing(run(_prompts(), client, **options)) as rows:
            async for _ in rows:
                meter.count(1)

    asyncio.run(answer())
    return meter.read()


def on_ray(client: AsyncClient, actors: int) -> tuple[float, float]:
    """Measure `datacrunch_tgi.ray`."""
    meter = Meter()
    prompts = ray.data.from_items(_prompts(), override_num_blocks=8)
    answers = with_answers(
        prompts, client, actors=actors, concurrency=CONCURRENCY, parameters=PARAMETERS
    )
    for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
        meter.count(len(batch))
    return meter.read()


async def limited(client: AsyncClient, rows: int, concurrency: int) -> tuple[float, int]:
    """Return rows a second, from the first request to the last answer, and how many rows failed."""
    failed, begin = 0, time.monotonic()
    async with aclosing(run(_prompts(rows), client, concurrency=concurrency)) as answers:
        async for row in answers:
            failed += row.get("error") is not None
    return rows / (time.monotonic() - begin), failed


def limits() -> str:
    """Return the lines of the table of requests at a time."""
    rates, lines = dict[str, float](), list[str]()
    with emulated(*PACE) as url:
        client = AsyncClient(base_url=url)
        for limit in (*FIXED, 1000):
            name = "found" if limit not in FIXED else str(limit)
            rows = LIMITED_ROWS if limit not in FIXED else 20 * limit
            rates[name], failed = asyncio.run(limited(client, rows, limit))
            share = rates[name] / max(rate for fixed, rate in rates.items() if fixed != "found")
            lines.append(f"| {name} | {rates[name]:,.0f} | {failed} | {share:.2f} |")
            print(lines[-1], flush=True)  # noqa: T201 -- it says how far it is
    assert failed == 0
    assert share >= 0.9
    return "\n".join(lines)


class Table:
    """The lines of a table, which are printed as they come."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, result: tuple[float, float]) -> Self:
        """Add a line."""
        self.lines.append(f"| {name} | {result[0]:,.0f} | {result[1]:.2f} |")
        print(self.lines[-1], flush=True)  # noqa: T201 -- it says how far it is
        return self


def main() -> None:
    """Run every case."""
    load, table = os.getloadavg()[0], Table()
    found = limits()
    for name, serve in SERVERS.items():
        with serve() as url:
            table.add(f"{name}: one process", in_one_process(AsyncClient(base_url=url)))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.wait_for_min_actors_s = 300
    for name, serve in SERVERS.items():
        with serve() as url:
            client = AsyncClient(base_url=url)
            for actors in ACTORS:
                table.add(f"{name}: Ray, {actors} actors", on_ray(client, actors))
    text = TEXT.format(
        day=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        system=platform.system(),
        load=load,
        end=os.getloadavg()[0],
        python=platform.python_version(),
        ray=ray.__version__,
        rows=ROWS,
        concurrency=CONCURRENCY,
        table="\n".join(table.lines),
        permits=PERMITS,
        limited=LIMITED_ROWS,
        limits=found,
    )
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
