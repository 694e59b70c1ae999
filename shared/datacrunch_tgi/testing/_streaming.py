"""A response of server-sent events: one chunk for each, and comments in long silences."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

KEEP_ALIVE = b":\n\n"
"""The comment that the servers send in a silent stream."""


class EventStream(StreamingResponse):
    """A stream of events."""

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        *,
        headers: dict[str, str],
        keep_alive_interval: float,
    ) -> None:
        """Wrap the events.

        Args:
            events: The bytes of each; closed however the stream ends.
            headers: Of the response.
            keep_alive_interval: Seconds of silence before a comment is sent.
        """
        super().__init__(events, headers=headers)
        self._events = events
        self._interval = keep_alive_interval
        self._last_sent = 0.0

    async def stream_response(self, send: Send) -> None:
        """Send the head at once, then the events."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group, aclosing(self._events):
            heartbeat = group.create_task(self._keep_alive(send))
            async for event in self._events:
                self._last_sent = asyncio.get_running_loop().time()
                await _send_chunk(send, event)
            heartbeat.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep_alive(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        self._last_sent = loop.time()
        while True:
            await asyncio.sleep(self._last_sent + self._interval - loop.time())
            if loop.time() >= self._last_sent + self._interval:
                self._last_sent = loop.time()
                await _send_chunk(send, KEEP_ALIVE)


async def _send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})
