"""How large the wheel is, and what importing the packages costs; each import in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
TIMES = 5
NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE"}
IMPORTS = (
    "from datacrunch_tgi import Client",
    "from langchain_datacrunch import ChatDataCrunch",
    "from llamaindex_datacrunch import DataCrunch",
)
PROGRAM = """
import json, sys, time
from tests.benchmarks.worker import peak
before, memory, begin = set(sys.modules), peak(), time.process_time()
{}
took = time.process_time() - begin
made = set(sys.modules) - before
ours = [name for name in made if "datacrunch" in name.partition(".")[0]]
print(json.dumps([took * 1e3, peak() - memory, len(made), len(ours)]))
"""

Row = tuple[str, ...]


def imports() -> Iterator[Row]:
    """Milliseconds of CPU, MiB and modules of each import, medians of several after one that compiles."""
    environment = {name: value for name, value in os.environ.items() if name not in NO_BYTECODE}
    for statement in IMPORTS:
        turns = []
        for _ in range(1 + TIMES):
            command = [sys.executable, "-c", PROGRAM.format(statement)]
            printed = subprocess.run(  # noqa: S603 -- a program of ours
                command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
            turns.append(json.loads(printed.stdout))
        ms, mib, modules, ours = (median(values) for values in zip(*turns[1:], strict=True))
        yield f"`{statement}`", f"{ms:,.0f}", f"{mib:.1f}", f"{modules:,.0f}", f"{ours:.0f}"


def wheel() -> Iterator[Row]:
    """KiB and files of the wheel, in all and of the emulated endpoint."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 -- likewise
        (path,) = Path(folder).glob("*.whl")
        with ZipFile(path) as archive:
            files = archive.infolist()
    testing = [file for file in files if file.filename.startswith("datacrunch_tgi/testing/")]
    for name, some in (("the wheel", files), ("of it `datacrunch_tgi.testing`", testing)):
        packed, size = (
            sum(getattr(file, of) for file in some) for of in ("compress_size", "file_size")
        )
        yield name, f"{packed / 1024:,.0f}", f"{size / 1024:,.0f}", str(len(some))


if __name__ == "__main__":
    for row in (*imports(), *wheel()):
        print(" | ".join(row))  # noqa: T201 -- to see these alone
