"""Measures memory of a batch over a large file: `python -m tests.benchmarks.batch_memory ROWS`.

The server is a process of its own. Writes batch_memory.md.
"""

import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import Summary, run_file_sync
from tests.benchmarks.processes import server

FILE = Path(__file__).with_name("batch_memory.md")
LIMIT = 100
"""MiB above the start that a run may take."""
POINTS = 20
TEXT = """\
# Memory of a batch

Made by `python -m tests.benchmarks.batch_memory {rows}` on {day}: {cores} cores, {system}, Python {python},
engine `fast`; {rate:,.0f} rows a second at load {load:.1f}.

{rows:,} rows of a JSONL file, 64 requests at a time, answered with a token each by a server in a process of
its own. Memory is the resident set of the process that runs the batch, in MiB above that before the run;
{answered:,} rows were answered, {failed:,} failed. Most: {most:.1f} MiB; the limit is {limit} MiB. What grows is two tables of
keys with 12 to 24 bytes a row each, which are copied into tables of twice the size when they are full.

| rows done | MiB above the start |
| --- | --- |
{table}
"""


def main(rows: int) -> None:
    """Run a batch and look at the memory now and then."""
    table = list[str]()
    most = 0.0
    with tempfile.TemporaryDirectory() as folder, server() as url:
        source = Path(folder, "in.jsonl")
        with source.open("w", encoding="utf-8") as file:
            file.writelines(f'{{"id": {row}, "inputs": "prompt {row}"}}\n' for row in range(rows))
        client = AsyncClient(base_url=url, engine="fast")
        process = psutil.Process()
        start = process.memory_info().rss

        def look(summary: Summary) -> None:
            nonlocal most
            if summary.done % max(1, rows // POINTS // 10) == 0:
                above = (process.memory_info().rss - start) / 2**20
                most = max(most, above)
                if summary.done % (rows // POINTS) == 0:
                    table.append(f"| {summary.done:,} | {above:.1f} |")
                    print(table[-1], flush=True)  # noqa: T201 -- it says how far it is

        summary = run_file_sync(
            source,
            Path(folder, "out.jsonl"),
            client,
            parameters={"max_new_tokens": 1},
            on_progress=look,
        )
    assert most < LIMIT
    text = TEXT.format(
        rows=rows,
        day=datetime.now(UTC).date(),
        cores=os.cpu_count(),
        system=platform.system(),
        python=platform.python_version(),
        rate=rows / summary.seconds,
        load=os.getloadavg()[0],
        answered=summary.answered,
        failed=summary.failed,
        most=most,
        limit=LIMIT,
        table="\n".join(table),
    )
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]))
