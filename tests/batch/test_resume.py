"""Going on where a run stopped, and what is not mixed with it."""

import asyncio
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient
from datacrunch_tgi.batch import Summary, _file_run, run_file
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.batch.conftest import PROMPTS, Start, Write, batch, echo, read

NO_IDS = [{"inputs": row["inputs"]} for row in PROMPTS]
ALIKE = [{"inputs": "the same"} for _ in range(10)]


async def stopped_after(
    rows: int, endpoint: EmulatedEndpoint, source: Path, output: Path, **options: Any
) -> None:
    """Run until so many rows are done, and stop there as an interrupt would."""

    def stop(summary: Summary) -> None:
        if summary.done == rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await batch(endpoint, source, output, on_progress=stop, **options)


@pytest.mark.parametrize("rows", [PROMPTS, NO_IDS, ALIKE], ids=["ids", "places", "alike"])
@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
async def test_a_run_goes_on_where_it_stopped(
    emulated_endpoint: Start,
    write: Write,
    tmp_path: Path,
    rows: list[Mapping[str, Any]],
    output: str,
) -> None:
    """Completed rows are not sent again, and each row is in the output once."""
    endpoint = emulated_endpoint(answers=echo)
    source, path = write("in.jsonl", rows), tmp_path / output
    await stopped_after(4, endpoint, source, path, concurrency=1)
    asked = len(endpoint.requests)

    summary = await batch(endpoint, source, path, concurrency=1)
    again = await batch(endpoint, source, path)

    assert (summary.done_before, summary.answered) == (4, 6)
    assert len(endpoint.requests) == asked + 6
    assert (again.done_before, again.answered) == (10, 0)
    assert sorted(row["inputs"] for row in read(path)) == sorted(row["inputs"] for row in rows)


async def test_rows_with_ids_may_change_their_order(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """A resumed run recognises rows by their id, in the column that is named."""
    endpoint = emulated_endpoint(answers=echo)
    rows = [{"key": row["id"], "inputs": row["inputs"]} for row in PROMPTS]
    source, output = write("in.jsonl", rows), tmp_path / "out.jsonl"
    options: dict[str, Any] = {"columns": {"id": "key"}, "concurrency": 1}
    await stopped_after(4, endpoint, source, output, **options)

    write("in.jsonl", reversed(rows))
    await batch(endpoint, source, output, **options)

    assert sorted(row["key"] for row in read(output)) == sorted(row["key"] for row in rows)


async def test_an_id_that_comes_twice_loses_no_row(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Rows whose id is taken are recognised by their place."""
    endpoint = emulated_endpoint(answers=echo)
    source = write("in.jsonl", [{"id": 1, "inputs": f"{number}"} for number in range(5)])
    output = tmp_path / "out.jsonl"
    await stopped_after(2, endpoint, source, output, concurrency=1)

    await batch(endpoint, source, output)

    assert sorted(row["inputs"] for row in read(output)) == list("01234")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [*PROMPTS[:9], {"id": "row 9", "inputs": "another"}]}, "input"),
        ({"rows": [*PROMPTS, {"id": "more", "inputs": "more"}]}, "input"),
        ({"rows": PROMPTS[:9]}, "input"),
        ({"parameters": {"max_tokens": 3}}, "parameters"),
        ({"prompt": "Say {inputs}"}, "prompt"),
        ({"columns": {"text": "label"}}, "columns"),
        ({"chat": True, "chat_template": "chatml"}, "chat, chat_template"),
        ({"settings": {"model": "another"}}, "model"),
        ({"ordered": True}, "output"),
    ],
)
async def test_what_has_changed_is_not_mixed(
    emulated_endpoint: Start,
    write: Write,
    tmp_path: Path,
    change: dict[str, Any],
    words: str,
) -> None:
    """The error names what has changed, and nothing is asked or written."""
    endpoint = emulated_endpoint(answers=echo)
    source, output = write("in.jsonl", PROMPTS), tmp_path / "out.jsonl"
    await stopped_after(4, endpoint, source, output, concurrency=1)
    before, asked = output.read_bytes(), len(endpoint.requests)

    if rows := change.pop("rows", None):
        write("in.jsonl", rows)
    with pytest.raises(ArgumentError, match=words):
        await batch(endpoint, source, output, **change)

    assert (output.read_bytes(), len(endpoint.requests)) == (before, asked)


async def test_another_spelling_is_the_same_run(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """What sends the same requests does not count as changed; nor does the address."""
    source, output = write("in.jsonl", PROMPTS), tmp_path / "out.jsonl"
    await batch(emulated_endpoint(answers=echo), source, output, parameters={"max_tokens": 9})

    again = await batch(
        emulated_endpoint(answers=echo),
        source,
        output,
        parameters={"max_new_tokens": 9, "stop": None},
        concurrency=3,
        patience=5.0,
    )
    assert again.done_before == 10


async def test_failed_rows_are_asked_again_on_request(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """`retry_failed` replaces their rows; without it they count as done."""
    endpoint = emulated_endpoint(answers=echo)
    source, output = write("in.jsonl", PROMPTS), tmp_path / "out.jsonl"
    endpoint.fail_next(3, status=400)
    first = await batch(endpoint, source, output, concurrency=1)
    assert (first.answered, first.failed, dict(first.failures)) == (
        7,
        3,
        {"InvalidRequestError": 3},
    )
    assert sum("error" in row for row in read(output)) == 3

    plain = await batch(endpoint, source, output)
    assert (plain.done_before, plain.failed) == (10, 3)
    endpoint.fail_next(1, status=400)
    second = await batch(endpoint, source, output, retry_failed=True, concurrency=1)
    third = await batch(endpoint, source, output, retry_failed=True)

    assert (second.done_before, second.answered, second.failed) == (7, 2, 1)
    assert (third.done_before, third.answered, third.failed) == (9, 1, 0)
    assert sorted(row["id"] for row in read(output)) == [row["id"] for row in PROMPTS]
    assert len(endpoint.requests) == 10 + 3 + 1


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
async def test_rows_can_be_sorted_at_the_end(
    emulated_endpoint: Start, write: Write, tmp_path: Path, output: str
) -> None:
    """With `ordered` the output is there when all is done, in the source's order."""
    endpoint = emulated_endpoint(answers=echo)
    source, path = write("in.jsonl", reversed(PROMPTS)), tmp_path / output
    await stopped_after(4, endpoint, source, path, ordered=True)
    assert not path.exists()

    await batch(endpoint, source, path, ordered=True)

    assert [row["id"] for row in read(path)] == [row["id"] for row in reversed(PROMPTS)]
    assert all(row["text"] == echo(row["inputs"]) for row in read(path))


async def test_two_runs_do_not_write_one_output(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """A second run with the same output is refused while the first one runs."""
    endpoint = emulated_endpoint(answers=echo)
    source, output = write("in.jsonl", PROMPTS), tmp_path / "out.jsonl"
    refused = []

    async with AsyncClient(base_url=endpoint.url) as client:

        async def rows() -> None:
            with pytest.raises(ArgumentError) as error:
                await run_file(source, output, client)
            refused.append(error.value)

        tasks = []

        def begin_another(summary: Summary) -> None:
            if summary.done == 1:
                tasks.append(asyncio.ensure_future(rows()))

        await run_file(source, output, client, concurrency=1, on_progress=begin_another)
        await asyncio.gather(*tasks)
    assert "is being written by another run" in str(refused[0])


async def test_a_cancel_while_the_disk_is_written_through_loses_nothing(
    emulated_endpoint: Start, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a second Ctrl-C may come then: the output is closed at once, and the run can be resumed."""
    endpoint = emulated_endpoint(answers=echo)
    source, output = write("in.jsonl", PROMPTS), tmp_path / "out.jsonl"
    is_syncing, may_sync = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            is_syncing.set()
            assert may_sync.wait(30)
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        patch.setattr(_file_run, "SYNC_EVERY", 0.0)
        task = asyncio.create_task(batch(endpoint, source, output, concurrency=1))
        assert await asyncio.to_thread(is_syncing.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = len(read(output))
        may_sync.set()
    summary = await batch(endpoint, source, output)

    assert summary.done_before == before >= 1
    assert sorted(row["id"] for row in read(output)) == [row["id"] for row in PROMPTS]
