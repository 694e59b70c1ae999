"""What the endpoint saw: requests as they came, and how many were open at once.

Written by the server's thread and read by the tests'; it never looks into what is answered.
"""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

RECEIVED_REQUEST = "datacrunch_tgi.received_request"
"""ASGI extension: the request's `ReceivedRequest`."""


@dataclass
class ReceivedRequest:
    """A request that the endpoint received, and what became of it."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; of a header that came several times, the last."""
    body: bytes = b""
    status: int | None = None
    """What was answered; None as long as nothing was."""
    events: int = 0
    """Events written; comments do not count."""
    finished: bool = False
    """The whole answer was written."""
    left_early: bool = False
    """The client closed the connection before it had the whole answer."""

    @cached_property
    def json(self) -> Any:
        """The body, read as JSON.

        Raises:
            ValueError: It is none.
        """
        return json.loads(self.body)


class Gauge:
    """How many of something there are, and how many there were at most."""

    def __init__(self) -> None:
        self.open = 0
        self.peak = 0
        self._changed = threading.Condition()

    @contextmanager
    def count(self) -> Generator[None]:
        """Count one more for as long as the block runs."""
        self.add(1)
        try:
            yield
        finally:
            self.add(-1)

    def add(self, difference: int) -> None:
        """Count more or fewer."""
        with self._changed:
            self.open += difference
            self.peak = max(self.peak, self.open)
            self._changed.notify_all()

    def wait_until_none(self, timeout: float) -> None:
        """Block until there are none.

        Raises:
            TimeoutError: There still are some after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.open == 0, timeout):
                raise TimeoutError(f"{self.open} still open after {timeout} s")


@dataclass
class Records:
    """All that is written down."""

    requests: list[ReceivedRequest] = field(default_factory=list[ReceivedRequest])
    open_requests: Gauge = field(default_factory=Gauge)
    open_connections: Gauge = field(default_factory=Gauge)
