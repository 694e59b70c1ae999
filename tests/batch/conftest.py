"""What the tests of batches share: files of rows, and reading them."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import Summary, run_file
from datacrunch_tgi.testing import EmulatedEndpoint

Rows = list[dict[str, Any]]
Write = Callable[..., Path]
Start = Callable[..., EmulatedEndpoint]

PROMPTS = [{"id": f"row {number}", "inputs": f"prompt {number}"} for number in range(10)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows to a file of the test's folder, in the format of its name."""

    def write(name: str, rows: Iterable[Mapping[str, Any]] | str | bytes) -> Path:
        path = tmp_path / name
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif isinstance(rows, str):
            path.write_text(rows, encoding="utf-8")
        elif path.suffix == ".csv":
            listed = list(rows)
            with path.open("w", encoding="utf-8", newline="") as file:
                table = csv.DictWriter(file, listed[0])
                table.writeheader()
                table.writerows(listed)
        else:
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        return path

    return write


def read(path: Path) -> Rows:
    """Return the rows of a file; a line that is not whole is an error."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def echo(prompt: str) -> str:
    return f"answer to {prompt}"


async def batch(endpoint: EmulatedEndpoint, source: Path, output: Path, **options: Any) -> Summary:
    settings = options.pop("settings", {})
    async with AsyncClient(base_url=endpoint.url, **settings) as client:
        return await run_file(source, output, client, **options)
