"""Files of rows for the tests of `batch`."""

import json
from pathlib import Path
from typing import Any


def write(folder: Path, count: int = 5) -> tuple[str, Path]:
    """Write rows; return their file, and the path of an output."""
    source = folder / "in.jsonl"
    rows = [{"id": number, "inputs": f"prompt {number}"} for number in range(count)]
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(source), folder / "out.jsonl"


def read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
