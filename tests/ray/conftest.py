"""A Ray of two workers on this machine, which all tests share: it takes long to start."""

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.data import DataContext

from datacrunch_tgi.testing import EmulatedEndpoint

PATIENCE = 300.0
"""Seconds after which a test gives up waiting: a worker of Ray may take half a minute to start."""
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
"""Ray starts slowly on a busy machine, and reports to nobody."""
ENVIRONMENT_KEY = "sk-of-the-environment"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Ray warn of itself, and leave its processes to end on their own."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\."))
        item.add_marker(pytest.mark.filterwarnings("ignore:subprocess .* is still:ResourceWarning"))


@pytest.fixture(scope="session")
def environment_endpoint() -> Iterator[EmulatedEndpoint]:
    """The endpoint that the workers' environment names."""
    with EmulatedEndpoint(answers=str.upper, api_key=ENVIRONMENT_KEY) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def ray_folder(environment_endpoint: EmulatedEndpoint) -> Iterator[Path]:
    """The folder in which Ray keeps its logs; Ray runs."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: there are sockets in it
    environment = {
        "DATACRUNCH_API_KEY": ENVIRONMENT_KEY,
        "DATACRUNCH_BASE_URL": environment_endpoint.url,
        **ENVIRONMENT,
    }
    os.environ.update(environment)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
    )
    for name in environment:
        del os.environ[name]
    DataContext.get_current().enable_progress_bars = False
    yield folder
    ray.shutdown()
    gc.collect()  # while these warnings are expected
    shutil.rmtree(folder, ignore_errors=True)


class Gate:
    """Holds all answers back until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def answer(self, prompt: str) -> str:
        """Answer in capitals."""
        assert self._open.wait(PATIENCE)
        return prompt.upper()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class Background:
    """Takes all rows of a dataset in a thread."""

    def __init__(self, dataset: Any) -> None:
        self._rows: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=lambda: self._rows.extend(dataset.take_all()))
        self._thread.start()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows when all are there."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self._rows
