"""What is kept in memory for a row: a few bytes, however large the row is."""

import json
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import run_file
from datacrunch_tgi.batch._keys import KeyMap
from tests.batch.conftest import Write

ROWS = 8_000


def test_keys_are_kept_as_a_dict_would() -> None:
    """Random keys, some again and again, and their numbers."""
    choose = random.Random(3)
    expected = dict[int, int]()
    numbered, plain = KeyMap(numbered=True), KeyMap()

    for number in range(6_000):
        key = choose.choice((choose.getrandbits(64), choose.randrange(2, 5000))) or 2
        is_new = key not in expected
        assert numbered.add(key, number) is plain.add(key) is is_new
        expected[key] = number

    assert len(numbered) == len(plain) == len(expected)
    assert all(numbered.get(key) == number for key, number in expected.items())
    assert all(key in plain for key in expected)
    others = (choose.getrandbits(64) for _ in range(1000))
    assert not any(key in plain for key in others if key not in expected)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_tables_that_grow_leave_no_memory_behind() -> None:
    """While a table of keys doubles, there are the old and the new one, and no more: 16 MiB here."""
    code = """if True:
        from pathlib import Path
        from datacrunch_tgi.batch._keys import KeyMap
        def peak():
            return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        numbered, plain = KeyMap(numbered=True), KeyMap()
        before = peak()
        for number in range(200_000):
            key = hash((number, "row")) % 2**64
            plain.add(key)
            numbered.add(key, number)
        print(peak() - before)
    """
    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, "-c", code], capture_output=True, timeout=120, check=True
    )
    assert int(done.stdout) <= 18 * 1024


async def test_memory_does_not_grow_with_the_rows(write: Write, tmp_path: Path) -> None:
    """A hundred bytes a row at most, for rows of a kilobyte: with ids, read and written.

    The rows have no prompt, so that no server is needed.
    """
    rows = ({"id": number, "note": "x" * 1000} for number in range(ROWS))
    source, output = write("in.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows)), "out.jsonl"

    async with AsyncClient(base_url="http://127.0.0.1:9") as client:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            summary = await run_file(source, tmp_path / output, client)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert summary.failed == ROWS
    assert peak - before < 100 * ROWS + 1_000_000
