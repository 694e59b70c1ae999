"""A real browser, and the recipe's app as a reader starts it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

APP = Path(__file__).parents[2] / "cookbook" / "web" / "app.py"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""What keeps Chromium from talking to anyone but the page's server."""

expect.set_options(timeout=30_000)


class RunningApp:
    """The app in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.url = self._read_url()

    def _read_url(self) -> str:
        assert self.process.stderr
        said = ""
        for line in self.process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                return found[1]
            said += line
        raise AssertionError(f"no URL in {said!r}")


@pytest.fixture(scope="session")
def start_app() -> Callable[..., AbstractContextManager[RunningApp]]:
    """Start the app, with variables by name; it does not outlive the block."""

    @contextmanager
    def start(**variables: str) -> Iterator[RunningApp]:
        clean = {name: value for name, value in os.environ.items() if "DATACRUNCH" not in name}
        with subprocess.Popen(  # noqa: S603 -- our own script
            [sys.executable, "-W", "error", str(APP)],
            env={**clean, "NO_PROXY": "127.0.0.1", "PORT": "0", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                yield RunningApp(process)
            finally:
                process.kill()

    return start


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or else the one that Playwright installed."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=QUIET,
            # Playwright's default hides what readers meet: a page that is left lives on for Back.
            ignore_default_args=["--disable-back-forward-cache"],
        )
