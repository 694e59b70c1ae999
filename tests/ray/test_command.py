"""`datacrunch-tgi batch --ray`, on a Ray of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from datacrunch_tgi.__main__ import main
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.ray.conftest import ENVIRONMENT

ROWS = 40


def _source(folder: Path) -> Path:
    source = folder / "in.jsonl"
    rows = [{"id": i, "inputs": f"prompt {i}"} for i in range(ROWS)]
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return source


def _command(source: Path, output: Path, url: str) -> list[str]:
    options = ["--base-url", url, "--concurrency", "2", "--actors", "1"]
    return ["datacrunch-tgi", "batch", str(source), "--output", str(output), *options, "--ray"]


def test_a_file_becomes_a_folder_of_answers(tmp_path: Path) -> None:
    """Each row is written once, with its answer; the summary counts what failed, and so does the code."""
    output = tmp_path / "out.parquet"
    answers = {f"prompt {i}": f"PROMPT {i}" for i in range(1, ROWS)}
    with EmulatedEndpoint(answers=dict[Any, Any](answers)) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url)
        command[:1] = [sys.executable, "-m", "datacrunch_tgi"]
        environment = os.environ | ENVIRONMENT
        done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 8, done.stderr.decode()
    assert f"{ROWS} rows: {ROWS - 1} answered, 1 failed" in done.stdout.decode()
    rows = pyarrow.parquet.read_table(output).to_pylist()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    assert {row["inputs"]: row["text"] for row in rows if row["text"]} == answers


@pytest.mark.parametrize(
    ("files", "more", "message"),
    [
        ("in.txt out.parquet", (), "must end with .jsonl"),
        ("none.csv out.parquet", (), "does not exist"),
        ("in.jsonl out.jsonl", (), "must end with .parquet"),
        ("in.jsonl old.parquet", (), "exists already"),
        ("in.jsonl out.parquet", ("--ordered",), "--ordered cannot be combined with --ray"),
        ("in.jsonl out.parquet", ("--actors", "3"), "--concurrency 2: must be 3"),
    ],
)
def test_what_cannot_run_is_refused_before_ray_starts(
    files: str,
    more: tuple[str, ...],
    message: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Files that cannot be used, or not together, and options that do not fit: exit code 2."""
    _source(tmp_path)
    (tmp_path / "old.parquet").mkdir()
    source, output = (tmp_path / name for name in files.split())
    command = _command(source, output, "http://127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", [*command, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
