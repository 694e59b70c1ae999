"""`datacrunch-tgi batch --ray`, on the Ray of the tests and on one of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import ray

from datacrunch_tgi.__main__ import main
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.batch.conftest import read
from tests.ray.conftest import ENVIRONMENT, PATIENCE, Gate, wait_until

ROWS = 40
KEY = "sk-that-nobody-may-see"


@pytest.fixture
def address(ray_folder: Path) -> str:
    """Address of the Ray of the tests."""
    assert ray_folder.is_dir()
    return str(ray.get_runtime_context().gcs_address)


def _source(folder: Path) -> Path:
    source = folder / "in.jsonl"
    rows = [{"id": i, "inputs": f"prompt {i}"} for i in range(ROWS)]
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return source


def _command(source: Path, output: Path, url: str, *more: str) -> list[str]:
    options = ["--base-url", url, "--concurrency", "2", "--actors", "1"]
    return ["datacrunch-tgi", "batch", str(source), "--output", str(output), *options, *more]


@contextmanager
def _started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a group of processes of its own; what it prints is in one stream."""
    with (
        subprocess.Popen(  # noqa: S603 -- this package's command
            [sys.executable, "-m", "datacrunch_tgi", *command[1:]],
            env=os.environ | ENVIRONMENT | {"DATACRUNCH_API_KEY": KEY} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process
    ):
        try:
            yield process
        finally:
            process.kill()


def _run(command: list[str], **environment: str) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it has printed."""
    with _started(command, **environment) as process:
        printed = process.communicate(timeout=PATIENCE)[0]
        return process.returncode, printed


def _lines(output: Path) -> int:
    return output.read_bytes().count(b"\n") if output.exists() else 0


def test_a_command_that_was_killed_goes_on(address: str, tmp_path: Path, gate: Gate) -> None:
    """The same command asks only for rows that were not written, and each row is there once."""
    output = tmp_path / "out.jsonl"

    def answer(prompt: str) -> str:
        return prompt.upper() if int(prompt.split()[1]) < ROWS // 2 else gate.answer(prompt)

    with EmulatedEndpoint(answers=answer, api_key=KEY) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url, "--ray", address)
        with _started(command) as first:
            wait_until(lambda: _lines(output) >= ROWS // 2 or first.poll() is not None)
            os.kill(first.pid, signal.SIGKILL)
        done = read(output)
        gate.open()
        code, printed = _run(command)
        asked = Counter(request.json["inputs"] for request in endpoint.requests)
    assert code == 0, printed
    assert f"{ROWS} rows: {ROWS} answered, 0 failed, 0 left" in printed
    rows = read(output)
    assert {row["id"]: row["text"] for row in rows} == {i: f"PROMPT {i}" for i in range(ROWS)}
    assert len(rows) == ROWS
    assert [asked[row["inputs"]] for row in done] == [1] * (ROWS // 2)
    assert max(asked.values()) <= 2


def test_a_killed_actor_costs_its_rows_in_flight_a_second_try(
    address: str, ray_folder: Path, tmp_path: Path, gate: Gate
) -> None:
    """Every row has its answer, once; no log of Ray has the key."""
    output = tmp_path / "out.jsonl"
    with EmulatedEndpoint(answers=gate.answer, api_key=KEY) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url, "--ray", address)
        with _started(command) as process:
            wait_until(lambda: endpoint.open_requests == 2 or process.poll() is not None)
            family = psutil.Process().children(recursive=True)
            worker = next(one for one in family if one.cmdline()[0].startswith("ray::Worker"))
            worker.kill()
            gate.open()
            printed = process.communicate(timeout=PATIENCE)[0]
            assert process.returncode == 0, printed
        assert ROWS < len(endpoint.requests) <= ROWS + 4
    assert sorted(row["id"] for row in read(output)) == list(range(ROWS))
    logs = [path for path in ray_folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(KEY.encode() in path.read_bytes() for path in logs)
    assert KEY not in printed


def test_rows_are_ordered_and_retried_as_without_ray(address: str, tmp_path: Path) -> None:
    """A bad row of a CSV fails with its line, others by their errors; they can be asked again."""
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = [f"{i},prompt {i}" for i in range(ROWS)]
    source.write_text("\n".join(["id,inputs", *lines, "too short"]), encoding="utf-8")
    refused = re.compile(r"prompt \d$")
    answers: dict[re.Pattern[str] | str, str] = {re.compile(r"prompt \d\d$"): "fine"}
    with EmulatedEndpoint(answers=answers, api_key=KEY) as endpoint:
        command = _command(source, output, endpoint.url, "--ordered", "--ray", address)
        code, printed = _run(command)
        assert code == 8, printed
        assert f"{ROWS + 1} rows: 30 answered, 11 failed, 0 left" in printed
        rows = read(output)
        assert [row["id"] for row in rows] == [*map(str, range(ROWS)), ""]
        assert rows[-1]["error_message"] == "in.csv, line 42: row: has 1 cells, the header 2"
        assert {row["error_status"] for row in rows if row["error_type"]} == {"422", ""}
        before = len(endpoint.requests)

        answers[refused] = "fine now"
    with EmulatedEndpoint(answers=answers, api_key=KEY) as endpoint:
        command = _command(source, output, endpoint.url, "--ordered", "--ray", address)
        code, printed = _run([*command, "--retry-failed"])
        assert code == 8, printed
        assert len(endpoint.requests) == 10
    assert before == ROWS
    assert [row["text"] for row in read(output)] == ["fine now"] * 10 + ["fine"] * 30 + [""]


def test_ctrl_c_waits_for_what_is_in_flight(tmp_path: Path, gate: Gate) -> None:
    """Ctrl-C waits for open requests before Ray is stopped."""
    output = tmp_path / "out.jsonl"
    with EmulatedEndpoint(answers=gate.answer, api_key=KEY) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url, "--ray")
        with _started(command) as process:
            assert process.stdout
            wait_until(lambda: endpoint.open_requests == 2 or process.poll() is not None)
            os.killpg(process.pid, signal.SIGINT)
            printed = next(line for line in process.stdout if "Waiting for open" in line)
            gate.open()
            printed += process.communicate(timeout=PATIENCE)[0]
            assert process.returncode == 130, printed
        assert 2 <= _lines(output) == len(endpoint.requests) < ROWS
        code, printed = _run(command)
        assert code == 0, printed
        assert len(endpoint.requests) == ROWS
    assert sorted(row["id"] for row in read(output)) == list(range(ROWS))


def test_a_second_ctrl_c_stops_at_once(address: str, tmp_path: Path, gate: Gate) -> None:
    """A second Ctrl-C waits for no open request; nothing was written, and everything is still left."""
    output = tmp_path / "out.jsonl"
    with EmulatedEndpoint(answers=gate.answer, api_key=KEY) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url, "--ray", address)
        with _started(command) as process:
            assert process.stdout
            wait_until(lambda: endpoint.open_requests == 2 or process.poll() is not None)
            os.killpg(process.pid, signal.SIGINT)
            printed = next(line for line in process.stdout if "Waiting for open" in line)
            os.killpg(process.pid, signal.SIGINT)
            printed += process.communicate(timeout=PATIENCE)[0]
        gate.open()  # or the endpoint would wait for its answers
        assert process.returncode == 130, printed
        assert f"{ROWS} left" in printed
        assert "Traceback" not in printed
        assert read(output) == []


def test_ctrl_c_stops_the_start_of_ray(tmp_path: Path) -> None:
    """While Ray starts no request is open: one Ctrl-C ends the command, and what it has started."""
    output = tmp_path / "out.jsonl"
    command = _command(_source(tmp_path), output, "http://127.0.0.1:9", "--ray")

    def starting() -> list[psutil.Process]:
        family = psutil.Process(process.pid).children(recursive=True)
        return [one for one in family if "gcs_server" in one.name()]

    with _started(command) as process:
        wait_until(lambda: bool(starting()))
        (server,) = starting()
        server.suspend()  # so that Ray is still starting when the signal arrives
        os.killpg(process.pid, signal.SIGINT)
        server.resume()
        printed = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130, printed
    assert f"{ROWS} left" in printed
    assert "Waiting for open requests" not in printed
    assert "Traceback" not in printed
    wait_until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("place", "environment", "message"),
    [
        (
            "127.0.0.1:9",
            {},
            "No connection to Ray at 127.0.0.1:9: Connection refused. Pass",
        ),
        ("nowhere", {}, "No connection to Ray at nowhere: Invalid address format: nowhere. Pass"),
        ("local", {"RAY_gcs_server_port_wait_time_s": "0"}, "Ray did not start: Timed out waiting"),
    ],
)
def test_ray_that_does_not_start_is_an_error(
    place: str, environment: dict[str, str], message: str, *, tmp_path: Path
) -> None:
    """A cluster that is not there and a Ray that starts too slowly: one line that says what to do."""
    output = tmp_path / "out.jsonl"
    command = _command(_source(tmp_path), output, "http://127.0.0.1:9", "--ray", place)
    code, printed = _run(command, **environment)
    assert code == 1, printed
    assert f"error: {message}" in printed
    assert "Traceback" not in printed


def test_a_server_that_refuses_all_ends_the_run(address: str, tmp_path: Path) -> None:
    """When patience ends, no row has failed; the exit code is that of the server's error."""
    output = tmp_path / "out.jsonl"
    with EmulatedEndpoint(answers="Hi", max_concurrent_requests=0, api_key=KEY) as endpoint:
        command = _command(_source(tmp_path), output, endpoint.url, "--ray", address)
        code, printed = _run([*command, "--patience", "0.1"])
    assert code == 6, printed
    assert f"{ROWS} rows: 0 answered, 0 failed, {ROWS} left" in printed
    assert read(output) == []


@pytest.mark.parametrize(
    ("files", "more", "message"),
    [
        ("in.txt out.jsonl", (), "must end with .jsonl"),
        ("none.csv out.jsonl", (), "is not a file"),
        ("in.jsonl old.jsonl", (), "exists, but has no journal"),
        ("in.jsonl out.jsonl", ("--actors", "3"), "--concurrency 2: must be 3"),
        ("bad.jsonl out.jsonl", ("--strict",), "bad.jsonl, line 1: row: is not JSON"),
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
    (tmp_path / "old.jsonl").write_text("precious\n", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text("precious\n", encoding="utf-8")
    source, output = (tmp_path / name for name in files.split())
    command = _command(source, output, "http://127.0.0.1:9", "--ray", "127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", [*command, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
