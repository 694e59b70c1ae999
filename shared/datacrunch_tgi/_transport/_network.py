"""How a connection is read: within time limits, and in few chunks.

httpcore has a setting for neither, but tells of each stream that it opens (its extension `trace`): there
the stream is given another `read`.
"""

import time
from typing import Any

from datacrunch_tgi._transport._chunks import ChunkMerger

SHORTEST_TIMEOUT = 0.001
"""Seconds given where no time is left: a socket takes 0 for "do not wait", which fails in another way."""


class Reads:
    """The reads of one connection, for one response after another.

    It is also the time limits in the form that httpx takes them. httpcore looks a limit up once for a
    head and once for a body, and lets each read take so long. But a limit here holds for a whole step,
    however many reads it takes: so each is given what is left until the step's end.
    """

    connected = end = 0.0

    def start(self, connect: float, seconds: float) -> None:
        """Begin the next response: limit its connection and head, from now on."""
        now = time.monotonic()
        self.connected, self.end = now + connect, now + seconds
        self._response = ChunkMerger()

    def get(self, key: str, _: object = None) -> float:
        """The seconds that are left; httpcore calls this."""
        left = (self.connected if key == "connect" else self.end) - time.monotonic()
        return max(left, SHORTEST_TIMEOUT)

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Hear of a stream for threads."""
        if stream := self._opened(event, info):
            own = stream.read

            def read(size: int, timeout: float | None = None) -> bytes:  # noqa: ARG001 -- httpcore's
                data: bytes = own(size, timeout=self.get("read"))
                return self._response.feed(data) or (data and read(size))

            stream.read = read

    async def async_trace(self, event: str, info: dict[str, Any]) -> None:
        """Hear of a stream for event loops."""
        if stream := self._opened(event, info):
            own = stream.read

            async def read(size: int, timeout: float | None = None) -> bytes:  # noqa: ARG001, ASYNC109 -- httpcore's
                data: bytes = await own(size, timeout=self.get("read"))
                return self._response.feed(data) or (data and await read(size))

            stream.read = read

    def _opened(self, event: str, info: dict[str, Any]) -> Any:
        """The stream that was opened, on which a response is to come; None for other events."""
        if not event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            return None
        self._response = ChunkMerger()
        return info["return_value"]
