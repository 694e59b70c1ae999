"""Records of the endpoint: the requests received, and how many were open at once.

Written by the server's thread and read by the tests'.
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
    """A request that the endpoint received, and its outcome."""

    method: str
    """HTTP method, in upper case."""
    path: str
    """Path of the URL, as received."""
    headers: Mapping[str, str]
    """Names in lower case; of a header that came several times, the last."""
    body: bytes = b""
    """The body, as received; `json` is the parsed one."""
    status: int | None = None
    """Status of the answer; None before it started."""
    events: int = 0
    """Events sent, without comments."""
    finished: bool = False
    """The answer was sent completely."""
    left_early: bool = False
    """The client closed the connection before the answer was complete."""

    @cached_property
    def json(self) -> Any:
        """The body, parsed as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.body)


class Gauge:
    """A count and its peak."""

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
        """Add to the count."""
        with self._changed:
            self.open += difference
            self.peak = max(self.peak, self.open)
            self._changed.notify_all()

    def wait_until_none(self, timeout: float) -> None:
        """Block until the count is 0.

        Raises:
            TimeoutError: It is not 0 after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.open == 0, timeout):
                raise TimeoutError(f"{self.open} still open after {timeout} s")


@dataclass
class Records:
    """Everything that is recorded."""

    requests: list[ReceivedRequest] = field(default_factory=list[ReceivedRequest])
    open_requests: Gauge = field(default_factory=Gauge)
    open_connections: Gauge = field(default_factory=Gauge)


class Observed:
    """What an endpoint has received and what is open now."""

    def __init__(self) -> None:
        self._records = Records()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests received, in order; kept when the endpoint stops."""
        return self._records.requests

    @property
    def open_requests(self) -> int:
        """Number of requests that are being received or answered now."""
        return self._records.open_requests.open

    @property
    def peak_open_requests(self) -> int:
        """Largest number of requests that were open at the same time."""
        return self._records.open_requests.peak

    @property
    def open_connections(self) -> int:
        """Number of open TCP connections, idle ones included."""
        return self._records.open_connections.open

    @property
    def peak_open_connections(self) -> int:
        """Largest number of TCP connections that were open at the same time."""
        return self._records.open_connections.peak

    def wait_until_idle(self, timeout: float = 10.0) -> None:
        """Block until no request is open, such as one whose client has left.

        Args:
            timeout: Longest wait, in seconds.

        Raises:
            TimeoutError: Some requests are still open.
        """
        self._records.open_requests.wait_until_none(timeout)
