"""Links: the socket of a connection, for either engine.

A link has the time limits of the current step, opens the connection, through a SOCKS proxy if one is used,
and can be aborted from outside at any time.
"""

import asyncio
import time
from urllib.parse import urlsplit

from datacrunch_tgi._protocol._steps import Open, Read
from datacrunch_tgi._secrets import reveal
from datacrunch_tgi._transport import _asyncio_stream, _socket_stream
from datacrunch_tgi._transport._asyncio_stream import AsyncioStream
from datacrunch_tgi._transport._socket_stream import SocketStream
from datacrunch_tgi._transport._socks import negotiate
from datacrunch_tgi._transport._target import Target


class StepLimits:
    """Times on the monotonic clock by which a step must end, however many reads it takes."""

    def __init__(self) -> None:
        self.connect_by = self.end = 0.0

    def begin(self, step: Open | Read) -> None:
        """Start a step."""
        now = time.monotonic()
        self.end = now + step.timeout
        if isinstance(step, Open):
            self.connect_by = min(now + step.connect_timeout, self.end)


class _Link:
    """What both links share."""

    def __init__(self, target: Target) -> None:
        self.limits = StepLimits()
        self._is_aborted = False
        url = reveal(target.proxy) or ""
        self._socks = target.proxy if url.startswith("socks") else None

    def _check_not_aborted(self) -> None:
        if self._is_aborted:
            raise ConnectionAbortedError("the call was ended")

    def _address(self, host: str, port: int) -> tuple[str, int]:
        """Return the address to connect to: the SOCKS proxy's, if there is one."""
        if self._socks is None:
            return host, port
        parts = urlsplit(self._socks.get_secret_value())
        return parts.hostname or "", parts.port or 1080


class SyncLink(_Link):
    """The link of a thread's connection."""

    _stream: SocketStream | None = None

    def connect(self, host: str, port: int) -> SocketStream:
        """Open the connection.

        Raises:
            OSError: It cannot be opened; TimeoutError if not in time.
        """
        end = self.limits.connect_by
        address = self._address(host, port)
        stream = self._stream = _socket_stream.connect(*address, end, lambda: self._is_aborted)
        try:
            self._check_not_aborted()
            if self._socks:
                steps = negotiate(self._socks, host, port)
                data = next(steps)
                while data is not None:
                    stream.write(data, end)
                    data = steps.send(stream.read(end))
        except BaseException:
            stream.close()
            raise
        return stream

    def abort(self) -> None:
        """End the connection for whoever is waiting for it, from any thread."""
        self._is_aborted = True
        if stream := self._stream:
            stream.abort()

    def close(self) -> None:
        """Close the connection, even if it is not in use yet."""
        if self._stream:
            self._stream.close()


class AsyncLink(_Link):
    """The link of an event loop's connection."""

    _stream: AsyncioStream | None = None
    _opening: asyncio.Timeout | None = None

    async def connect(self, host: str, port: int) -> AsyncioStream:
        """Open the connection: see `SyncLink.connect`."""
        try:
            async with asyncio.timeout(self.limits.connect_by - time.monotonic()) as self._opening:
                stream = await self._open(host, port)
        except TimeoutError:
            self._check_not_aborted()
            raise
        finally:
            self._opening = None
        return stream

    async def _open(self, host: str, port: int) -> AsyncioStream:
        end = self.limits.connect_by
        stream = self._stream = await _asyncio_stream.connect(*self._address(host, port))
        try:
            self._check_not_aborted()
            if self._socks:
                steps = negotiate(self._socks, host, port)
                data = next(steps)
                while data is not None:
                    await stream.write(data, end)
                    data = steps.send(await stream.read(end))
        except BaseException:
            stream.abort()
            raise
        return stream

    def abort(self) -> None:
        """Close the connection at once, for whoever is waiting for it."""
        self._is_aborted = True
        if self._opening and not self._opening.expired():
            self._opening.reschedule(0)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._stream:
            self._stream.abort()
