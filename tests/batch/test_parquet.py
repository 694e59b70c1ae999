"""Parquet: types survive, a run goes on, and what is missing is named."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datacrunch_tgi import ArgumentError, AsyncClient
from datacrunch_tgi.batch import Summary, run_file
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.batch.conftest import Write, read

Start = Callable[..., EmulatedEndpoint]

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def echo(prompt: str) -> str:
    return f"answer to {prompt}"


async def batch(endpoint: EmulatedEndpoint, source: Path, output: Path, **options: Any) -> Summary:
    async with AsyncClient(base_url=endpoint.url) as client:
        return await run_file(source, output, client, **options)


async def test_types_of_columns_survive(emulated_endpoint: Start, tmp_path: Path) -> None:
    """Times, decimals, bytes, lists and objects come out as they went in, in the source's order."""
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table(
        {
            "inputs": ["one", "two", "three"],
            "when": pa.array([WHEN] * 3, pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal("1.50")] * 3, pa.decimal128(9, 2)),
            "raw": [b"\xff", None, b""],
            "tags": [["a"], [], None],
            "text": pa.array([{"a": 1}, {"a": None}, None]),
        }
    )
    pq.write_table(table, source)

    await batch(emulated_endpoint(answers=echo), source, output)

    found = pq.read_table(output)
    for name in table.column_names:
        kept = "input_text" if name == "text" else name
        assert found.column(kept).combine_chunks() == table.column(name).combine_chunks()
    assert found.column("text").to_pylist() == list(map(echo, ["one", "two", "three"]))
    assert found.column("error").to_pylist() == [None] * 3
    assert found.column("usage").to_pylist()[0]["completion_tokens"] > 0


async def test_a_table_is_made_of_rows_that_differ(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Columns that some rows lack, of several types, empty objects, bad lines."""
    source, output = write("in.jsonl", b""), tmp_path / "out.parquet"
    lines = [
        '{"inputs": "one", "score": 1, "mixed": "a", "none": null}',
        '{"inputs": "two", "score": 1.5, "mixed": 2, "parameters": {}}',
        "no JSON",
        '{"inputs": "four", "seed": "mine"}',
    ]
    write("in.jsonl", "\n".join(lines))

    summary = await batch(emulated_endpoint(answers=echo), source, output)

    rows = pq.read_table(output).to_pylist()
    assert [row["text"] for row in rows] == [echo("one"), echo("two"), None, echo("four")]
    assert [row["score"] for row in rows] == [1.0, 1.5, None, None]
    assert [row["mixed"] for row in rows] == ["a", "2", None, None]
    assert [row["input_seed"] for row in rows] == [None, None, None, "mine"]
    assert "in.jsonl, line 3" in rows[2]["error"]["message"]
    assert (summary.answered, summary.failed) == (3, 1)


async def test_every_value_finds_a_place_in_the_table(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Integers too large for the numbers of later rows, and lone surrogates, become text."""
    rows: list[Any] = [{"inputs": "one", "number": 2**53 + 1, "mark": "\ud800"}] * 1024
    source = write("in.jsonl", [*rows, {"inputs": "two", "number": 0.5}])

    await batch(emulated_endpoint(answers=echo), source, tmp_path / "out.parquet")

    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("number").to_pylist() == [str(2**53 + 1)] * 1024 + ["0.5"]
    assert table.column("mark").to_pylist() == ["\\ud800"] * 1024 + [None]


async def test_a_run_goes_on(emulated_endpoint: Start, write: Write, tmp_path: Path) -> None:
    """A stopped run leaves a journal; the next one completes the table and repeats no request."""
    endpoint = emulated_endpoint(answers=echo)
    source, output = (
        write("in.jsonl", [{"inputs": f"{n}"} for n in range(9)]),
        tmp_path / "o.parquet",
    )

    def stop(summary: Summary) -> None:
        if summary.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await batch(endpoint, source, output, concurrency=1, on_progress=stop)
    with pytest.raises(FileNotFoundError):
        pq.read_table(output)
    await batch(endpoint, source, output, concurrency=1)
    asked = len(endpoint.requests)
    await batch(endpoint, source, output)

    assert pq.read_table(output).column("text").to_pylist() == [echo(f"{n}") for n in range(9)]
    assert len(endpoint.requests) == asked <= 10


async def test_a_table_can_be_read_into_lines(emulated_endpoint: Start, tmp_path: Path) -> None:
    """Values that JSON does not have are written as text, numbers that it does not have as null."""
    source, output = tmp_path / "in.parquet", tmp_path / "out.jsonl"
    numbers = [{"a": [float("nan"), float("inf"), 1.5]}]
    pq.write_table(pa.table({"inputs": ["one"], "when": [WHEN], "numbers": numbers}), source)

    await batch(emulated_endpoint(answers=echo), source, output)

    (row,) = read(output)
    assert row["when"] == str(WHEN)
    assert row["numbers"] == {"a": [None, None, 1.5]}


async def test_what_is_no_parquet_is_refused(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """A file in another format is refused before any request."""
    endpoint = emulated_endpoint(answers=echo)
    with pytest.raises(ArgumentError, match="is not Parquet"):
        await batch(endpoint, write("in.parquet", "inputs\none\n"), tmp_path / "out.jsonl")
    assert not endpoint.requests


def _damaged() -> bytes:
    file = BytesIO()
    pq.write_table(pa.table({"inputs": [f"prompt {n}" for n in range(1000)]}), file)
    content = file.getvalue()
    return content[:4] + b"\xff" * 30 + content[34:]


def _two_columns() -> bytes:
    file = BytesIO()
    columns = [pa.array(["one"])] * 2
    pq.write_table(pa.Table.from_arrays(columns, names=["inputs", "inputs"]), file)
    return file.getvalue()


def _far() -> bytes:
    file = BytesIO()
    pq.write_table(
        pa.table({"inputs": ["one"], "when": pa.array([2**62], pa.timestamp("us"))}), file
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (_damaged, "cannot be read: (?!None)"),
        (_two_columns, "has two columns 'inputs'"),
        (_far, "cannot be read: date value out of range"),
    ],
)
async def test_a_table_that_cannot_be_read_is_refused(
    emulated_endpoint: Start,
    write: Write,
    tmp_path: Path,
    content: Callable[[], bytes],
    rule: str,
) -> None:
    """A damaged file, two columns of a name, dates that Python does not have: an error, no request."""
    endpoint = emulated_endpoint(answers=echo)
    with pytest.raises(ArgumentError, match=rule):
        await batch(endpoint, write("in.parquet", content()), tmp_path / "out.jsonl")
    assert not endpoint.requests


@pytest.mark.parametrize(("source", "output"), [("a.parquet", "b.jsonl"), ("a.jsonl", "b.parquet")])
def test_a_missing_package_is_named(tmp_path: Path, source: str, output: str) -> None:
    """Without pyarrow everything else works, and a Parquet file says what to install."""
    (tmp_path / source).write_text("{}\n", encoding="utf-8")
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from datacrunch_tgi import AsyncClient\n"
        "from datacrunch_tgi.batch import run_file_sync\n"
        f"run_file_sync({source!r}, {output!r}, AsyncClient(base_url='http://localhost:1'))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert b"a Parquet file needs the package pyarrow: pip install pyarrow" in done.stderr
