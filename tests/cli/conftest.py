"""What the tests of the command line share: the command, in this process or one of its own."""

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
    """Run the command to its end; variables by name, `stdin` as bytes.

    In this process, which is much faster. Variables that Python itself reads need a new one.
    """

    def run(
        *arguments: str, stdin: bytes = b"", **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        if any(name.startswith("PYTHON") for name in variables):
            return _run_process(arguments, stdin, variables)
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return _run_here(patch, arguments, stdin)

    return run


def _run_process(
    arguments: tuple[str, ...], stdin: bytes, variables: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **variables},
        timeout=60,
        check=False,
    )


def _run_here(
    patch: pytest.MonkeyPatch, arguments: tuple[str, ...], stdin: bytes
) -> subprocess.CompletedProcess[bytes]:
    shown, complained = io.BytesIO(), io.BytesIO()
    patch.setattr(sys, "argv", ["datacrunch-tgi", *arguments])
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
    patch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="utf-8", write_through=True))
    patch.setattr(sys, "stderr", io.TextIOWrapper(complained, encoding="utf-8", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code or 0
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, shown.getvalue(), complained.getvalue())


@pytest.fixture
def begin() -> Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]:
    """Begin the command, with pipes to read from while it runs; it does not outlive the block."""

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
