"""`batch`: interrupts and full disks."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint
from tests.cli.batch_files import read, write

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
Begin = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")


class Gate:
    """Answers that wait until the test lets them go."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, _: str) -> str:
        self.waiting.release()
        self.open.wait(timeout=30)
        return "Hello"


@not_on_windows
def test_ctrl_c_waits_for_open_requests(
    emulated_endpoint: Start, begin: Begin, run: Run, tmp_path: Path
) -> None:
    """What is in flight is answered and kept, nothing else is asked, and the command goes on later."""
    gate = Gate()
    endpoint = emulated_endpoint(answers=gate)
    source, output = write(tmp_path, 10)
    command = ("batch", source, "--output", str(output), "--base-url", endpoint.url)

    with begin(*command, "--concurrency", "2") as process:
        assert process.stderr
        for _ in range(2):
            assert gate.waiting.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if b"Waiting for open requests" in line:
                break
        gate.open.set()
        assert process.wait(timeout=30) == 130

    assert len(read(output)) == len(endpoint.requests) == 2
    assert run(*command).returncode == 0
    assert sorted(row["id"] for row in read(output)) == list(range(10))
    assert len(endpoint.requests) == 10


@not_on_windows
def test_a_second_ctrl_c_stops_at_once(
    emulated_endpoint: Start, begin: Begin, tmp_path: Path
) -> None:
    """A second Ctrl-C stops without waiting for open requests."""
    gate = Gate()
    endpoint = emulated_endpoint(answers=gate)
    source, output = write(tmp_path, 10)

    with begin("batch", source, "--output", str(output), "--base-url", endpoint.url) as process:
        assert process.stderr
        assert gate.waiting.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        for line in process.stderr:
            if b"Waiting for open requests" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    gate.open.set()

    assert read(output) == []


@not_on_windows
def test_a_full_disk_is_reported_and_the_command_goes_on(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """What fits is kept; when there is room again, the same command asks for the rest."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path, 40)
    command = ("batch", source, "--output", str(output), "--base-url", endpoint.url)
    limited = """if True:
        from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
        from datacrunch_tgi.__main__ import main
        setrlimit(RLIMIT_FSIZE, (2000, RLIM_INFINITY))
        try:
            main()
        finally:
            setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))  # coverage writes a file
    """

    done = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-c", limited, *command, "--concurrency", "1"],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == f"error: File too large: {output}"
    assert b"Traceback" not in done.stderr
    asked = len(endpoint.requests)
    assert 2 <= asked < 40
    assert run(*command).returncode == 0
    assert sorted(row["id"] for row in read(output)) == list(range(40))
    assert len(endpoint.requests) <= 40 + 1


@not_on_windows
def test_a_closed_pipe_is_no_error(emulated_endpoint: Start, begin: Begin, tmp_path: Path) -> None:
    """If nobody reads the summary, as with `| true`, the command ends quietly with all rows written."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path, 10)

    with begin("batch", source, "--output", str(output), "--base-url", endpoint.url) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 141)
    assert len(read(output)) == 10
