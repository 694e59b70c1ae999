"""The processes of a run: the server, and each client in one of its own, with a time limit on all it does."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "tests.benchmarks"
EARLIER = Path(".cache/earlier/shared").resolve()
"""The files of an earlier commit, which `make bench` puts there."""


@contextmanager
def _started(*command: str, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    python = [sys.executable, "-m", *command]
    environment = os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    if path:
        environment["PYTHONPATH"] = str(path)
    with subprocess.Popen(  # noqa: S603 -- this package's own modules
        python, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def server() -> Iterator[str]:
    """The server's address."""
    with _started(f"{PACKAGE}.server") as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def emulated(*options: str) -> Iterator[str]:
    """The emulated endpoint's address."""
    with _started("datacrunch_tgi", "serve", "--port", "0", *options) as process:
        assert process.stdout
        addresses = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        yield next(filter(None, addresses))[0]


class Worker:
    """A client in a process of its own; one that does not answer in time is ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.started = self._answer(60) or {}

    def do(self, case: str, limit: float, **sizes: int) -> dict[str, Any] | None:
        """What came of the case; None if it took too long or broke."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"case": case, **sizes}) + "\n")
        self._process.stdin.flush()
        return self._answer(limit)

    def _answer(self, limit: float) -> dict[str, Any] | None:
        assert self._process.stdout
        timer = threading.Timer(limit, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        return json.loads(line) if line else None


@contextmanager
def worker(client: str, kind: str, url: str) -> Iterator[Worker]:
    """Start a client."""
    path = EARLIER if client == "ours_earlier" else None
    with _started(f"{PACKAGE}.worker", client, kind, url, path=path) as process:
        yield Worker(process)
