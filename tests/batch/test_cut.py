"""A run whose files were cut at any byte, as a kill or a power failure leaves them, goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import run_file
from datacrunch_tgi.batch._journal import _RECORD, Journal, Kind, Record
from tests.batch.conftest import Write, read

NOTES = ["é😀", 'a "b", c', "two\nlines\r\n", ""]
"""In CSV they have quotes, line ends and characters of several bytes."""


def records(journal: bytes) -> tuple[int, list[Record]]:
    """Return where a journal's records begin, and the records."""
    begin = journal.index(b"\n") + 1
    return begin, [Record._make(one) for one in _RECORD.iter_unpack(journal[begin:])]


def moments(journal: bytes) -> Iterator[tuple[int, int]]:
    """Yield how much of output and journal is written at each moment: a line, then its record."""
    place, ones = records(journal)
    yield from ((0, size) for size in (0, 1, place // 2, place - 1, place))
    end = 0
    for record in ones:
        yield from ((size, place) for size in range(end + 1, record.end + 1))
        end = record.end
        yield from ((end, place + size) for size in range(1, _RECORD.size + 1))
        place += _RECORD.size


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
async def test_a_run_that_was_killed_at_any_byte_goes_on(
    write: Write, tmp_path: Path, output: str
) -> None:
    """Killed after any byte that it wrote, the same run completes: each row once, and whole.

    The rows have no prompt, so that no server is needed.
    """
    source = write("in.jsonl", ({"id": n, "note": note} for n, note in enumerate(NOTES)))
    path = tmp_path / output
    journal = tmp_path / f"{output}.journal"
    async with AsyncClient(base_url="http://127.0.0.1:9") as client:
        await run_file(source, path, client)
        written = path.read_bytes(), journal.read_bytes()
        expected = sorted(path.read_bytes().splitlines())
        for size, journal_size in moments(written[1]):
            path.write_bytes(written[0][:size])
            journal.write_bytes(written[1][:journal_size])

            summary = await run_file(source, path, client)

            assert sorted(path.read_bytes().splitlines()) == expected
            assert (summary.done, summary.failed) == (len(NOTES), len(NOTES))
    assert {row["note"] for row in read(path)} == set(NOTES)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_log_that_a_power_failure_cut_keeps_what_was_synced(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What was not synced is lost anywhere, or was never written and is zeros: whole lines remain."""
    folder = tmp_path_factory.mktemp("cut")
    log, path = folder / "log", folder / "log.journal"
    lines = data.draw(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6))
    synced_after = data.draw(st.integers(0, len(lines)))
    with Journal(log, path, {}) as journal:
        for key, line in enumerate(lines, 1):
            journal.append(line + b"\n", Kind.ANSWERED, key)
            if key == synced_after:
                journal.sync()
    whole, header = log.read_bytes(), records(path.read_bytes())[0]
    synced = sum(len(line) + 1 for line in lines[:synced_after])
    kept = header + (synced_after + 1) * _RECORD.size if synced_after else header

    def cut(content: bytes, least: int) -> bytes:
        size = data.draw(st.integers(least, len(content)))
        zeros = data.draw(st.booleans())
        return content[:size] + bytes(len(content) - size if zeros else 0)

    log.write_bytes(cut(whole, synced))
    path.write_bytes(cut(path.read_bytes(), kept))
    with Journal(log, path, {}) as journal:
        done = [key for key in range(1, len(lines) + 1) if key in journal.done]
    remain = [line + b"\n" for line in lines[: len(done)]]

    assert done == list(range(1, len(done) + 1))
    assert len(done) >= synced_after
    assert log.read_bytes() == b"".join(remain)
    shutil.rmtree(folder)
