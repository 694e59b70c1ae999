"""A run that is killed, at any moment, goes on as if nothing had been."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint
from tests.batch.conftest import Write, read

Start = Callable[..., EmulatedEndpoint]

ANSWERED = re.compile("[0-8]$")
"""Prompts that the endpoint answers; it refuses the others."""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
@pytest.mark.parametrize(
    ("name", "columns", "kills"),
    [
        ("out.jsonl", "id", 10),
        pytest.param("out.jsonl", "number", 100, marks=pytest.mark.slow),
        pytest.param("out.csv", "id", 100, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_goes_on(
    emulated_endpoint: Start, write: Write, tmp_path: Path, *, name: str, columns: str, kills: int
) -> None:
    """Killed many times, in the midst of writes too: every row is there once, and whole.

    Only rows that were in flight are asked again, and failed ones where that was said.
    """
    count = 3 * kills
    endpoint = emulated_endpoint(answers={ANSWERED: "one two three"})
    source = write("in.jsonl", ({columns: n, "inputs": f"prompt {n}"} for n in range(count)))
    script = Path(__file__).with_name("killed.py")

    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, str(script), "7", str(kills), endpoint.url, str(source), tmp_path / name],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=500,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    killed, done_by_killed = map(int, done.stdout.split())
    assert killed > 0.8 * kills
    assert done_by_killed > count / 2
    rows = read(tmp_path / name)
    assert sorted(int(row[columns]) for row in rows) == list(range(count))
    for row in rows:
        refused = row["inputs"].endswith("9")
        assert (row["text"] or None) == (None if refused else "one two three")
        assert bool(row.get("error") or row.get("error_type")) is refused
    asked = Counter(request.json["inputs"] for request in endpoint.requests)
    again = sum(count - 1 for prompt, count in asked.items() if not prompt.endswith("9"))
    assert again <= 9 * kills
