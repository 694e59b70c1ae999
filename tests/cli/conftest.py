"""What the tests of the command line share: the command, in this process or in a new one.

A process starts in a second, so it is for signals, pipes and terminals.
"""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from datacrunch_tgi.__main__ import main

COMMAND = [sys.executable, "-W", "error", "-m", "datacrunch_tgi"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command to its end in this process; variables by name, `stdin` as bytes.

    `encoding` is that of the terminal, which Python takes from the locale.
    """

    def run(
        *arguments: str, stdin: bytes = b"", encoding: str = "utf-8", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        output, errors = (
            io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)
        )
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["datacrunch-tgi", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding))
            patch.setattr(sys, "stdout", output)
            patch.setattr(sys, "stderr", errors)
            with pytest.raises(SystemExit) as ended:
                main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        written = [stream.buffer.getvalue() for stream in (output, errors)]
        return subprocess.CompletedProcess(arguments, code, *written)

    return run


@pytest.fixture
def begin() -> Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]:
    """Start the command with pipes to read from while it runs; it ends with the block."""

    @contextmanager
    def begin(*arguments: str, **variables: Any) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(  # noqa: S603
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **variables},
        ) as process:
            too_late = threading.Timer(60, process.kill)  # a test that waits in vain fails
            too_late.start()
            try:
                yield process
            finally:
                too_late.cancel()
                process.kill()

    return begin


@pytest.fixture
def run_in_terminal() -> Callable[..., tuple[int, str]]:
    """Run the command in a terminal, where nothing is typed; return its exit code and what it shows."""
    pty = pytest.importorskip("pty", reason="there are no such terminals on Windows")

    def run(*arguments: str, **variables: str) -> tuple[int, str]:
        ours, its = pty.openpty()
        with open(ours, "rb", buffering=0) as screen:  # noqa: PTH123 -- a descriptor has no path
            process = subprocess.Popen(  # noqa: S603
                [*COMMAND, *arguments],
                stdin=its,
                stdout=its,
                stderr=its,
                env={**os.environ, "TERM": "xterm", **variables},
            )
            os.close(its)
            too_late = threading.Timer(60, process.kill)  # as above
            too_late.start()
            shown = b""
            with suppress(OSError):  # which is how Linux says that nobody is at the other end
                while piece := screen.read(4096):
                    shown += piece
            too_late.cancel()
            return process.wait(), shown.decode().replace("\r\n", "\n")

    return run
