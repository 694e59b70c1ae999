"""Readiness: waits until a socket can be used, by `poll`, or by `select` on Windows."""

import select
from typing import Any


class Readiness:
    """Waits for one socket, for one thread at a time."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        if hasattr(select, "poll"):
            # Once, because each request and most reads wait.
            self._reading = select.poll()
            self._reading.register(sock, select.POLLIN)

    def is_readable(self) -> bool:
        """Return whether bytes, or the end of the stream, can be read now."""
        return self.wait(0, read=True)

    def wait(self, seconds: float, *, read: bool = False, write: bool = False) -> bool:
        """Wait until the socket can be used; return whether it can be read."""
        if not hasattr(select, "poll"):  # Windows
            reading, writing = [self._sock] if read else [], [self._sock] if write else []
            readable, _, _ = select.select(reading, writing, [], seconds)
            return bool(readable)
        if not write:
            return bool(self._reading.poll(seconds * 1000))
        poll = select.poll()
        poll.register(self._sock, (select.POLLIN if read else 0) | select.POLLOUT)
        ready = poll.poll(seconds * 1000)  # no generator: an interrupt while it is closed is lost
        return bool(ready and ready[0][1] & ~select.POLLOUT)
