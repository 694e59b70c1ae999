"""Byte stream of a connection for event loops: an asyncio protocol that wakes its reader once per read."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from datacrunch_tgi._transport._addresses import STAGGER, Address, in_order, literal
from datacrunch_tgi._transport._readiness import Readiness

PAUSE_AT = 256 * 1024
"""Unread bytes at which reading is paused."""


async def connect(host: str, port: int) -> "AsyncioStream":
    """Connect to a host.

    Raises:
        OSError: No address can be reached.

    asyncio's own `create_connection` leaks a socket if it is cancelled at certain points, so each socket
    has an owner here from its creation.
    """
    loop = asyncio.get_running_loop()
    addresses = literal(host, port) or in_order(
        await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    if len(addresses) == 1:
        sock = await _connected(addresses[0])
    else:
        sock = await _first_connected(addresses)
    stream = AsyncioStream()
    try:
        await loop.create_connection(lambda: stream, sock=sock)
    except BaseException:
        sock.close()
        raise
    return stream


async def _connected(address: Address) -> socket.socket:
    sock = address.open()
    try:
        await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _first_connected(addresses: Sequence[Address]) -> socket.socket:
    waiting = list(reversed(addresses))
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: OSError | None = None
    winner: socket.socket | None = None
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connected(waiting.pop())))
            done, _ = await asyncio.wait(
                attempts,
                timeout=STAGGER if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                error = attempt.exception()
                if error is None:
                    winner = attempt.result()
                    return winner
                attempts.discard(attempt)
                failure = cast("OSError", error)
        raise failure or OSError("no address")
    finally:
        for attempt in attempts:
            attempt.cancel()
            # Nothing is awaited here: a cancellation would leave the winner open.
            attempt.add_done_callback(partial(_close_loser, winner))


def _close_loser(winner: socket.socket | None, attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and not attempt.exception() and attempt.result() is not winner:
        attempt.result().close()


class AsyncioStream(asyncio.Protocol):
    """Byte stream of one connection. Time limits are times on the monotonic clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._readiness: Readiness | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_paused = self._is_congested = self._is_ended = False
        self._is_new = True
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._end = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The asyncio transport."""
        return self._transport

    async def start_tls(self, context: ssl.SSLContext, hostname: str | None, end: float) -> None:
        """Start TLS on the connection.

        Raises:
            OSError: The handshake failed or timed out.
        """
        plain = self._transport
        try:
            async with asyncio.timeout(end - time.monotonic()):
                secure = await self._loop.start_tls(plain, self, context, server_hostname=hostname)
        except BaseException:
            plain.abort()
            raise
        if secure is None:
            raise ConnectionAbortedError("the connection ended in the handshake")
        self._transport, self._is_paused, self._is_new = secure, False, True

    async def read(self, end: float) -> bytes:
        """Return the bytes that have arrived, at least one; b"" at the end of the connection.

        Raises:
            OSError: The connection broke; TimeoutError if not in time.
        """
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        if self._is_paused:
            self._resume()
        if not self._chunks and not self._is_ended:
            try:
                await self._news(seconds)
            finally:
                self._waiter = None
        if not self._chunks:
            if self._failure:
                raise self._failure
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        return data

    async def write(self, data: bytes, end: float) -> bool:
        """Send bytes; return whether all were sent; False if the server answered first.

        Raises:
            OSError: The connection broke; TimeoutError if not in time.
        """
        self._resume()
        if self._is_new:
            # A failed write would discard what the other side said before it left, such as a TLS alert.
            self._is_new = False
            await self._process_news()
        if self._is_ended:
            raise self._failure or ConnectionResetError("the connection was closed")
        self._transport.write(data)
        while self._is_congested and not self._chunks:
            if self._is_ended:
                raise self._failure or ConnectionResetError("the connection was closed")
            try:
                await self._news(end - time.monotonic())
            finally:
                self._waiter = None
        return not self._is_congested

    @property
    def has_news(self) -> bool:
        """Whether bytes or the end of the stream have arrived, or can be read now."""
        if self._chunks or self._is_ended or self._transport.is_closing():
            return True
        if self._readiness is None:
            self._readiness = Readiness(self._transport.get_extra_info("socket"))
        return self._readiness.is_readable()

    async def is_usable(self) -> bool:
        """Return whether an idle connection is still open and silent."""
        await self._process_news()
        return not (self._chunks or self._is_ended or self._transport.is_closing())

    async def _process_news(self) -> None:
        """Let the loop process what has arrived; with TLS it may not be data."""
        if self.has_news:
            for _ in range(2):
                await asyncio.sleep(0)

    def abort(self) -> None:
        """Close the connection at once, for whoever is waiting for it."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, paused: TLS may have to read the first bytes."""
        self._transport = cast("asyncio.Transport", transport)
        self._pause()

    def data_received(self, data: bytes) -> None:
        """Store the bytes, and wake the reader."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > PAUSE_AT:
            self._pause()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader for the last time."""
        self._is_ended, self._failure = True, exc
        if self._timer:
            self._timer.cancel()
        self._wake()

    def eof_received(self) -> None:
        """Wake the reader; asyncio closes the connection."""
        self._is_ended = True
        self._wake()

    def pause_writing(self) -> None:
        """Pause writing."""
        self._is_congested = True

    def resume_writing(self) -> None:
        """Resume writing."""
        self._is_congested = False
        self._wake()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _news(self, seconds: float) -> asyncio.Future[None]:
        """Return what is done when something happens, or fails with TimeoutError."""
        self._waiter = self._loop.create_future()
        self._end = self._loop.time() + seconds
        # One timer serves many waits, because a timer for each would cost more than a token.
        if self._timer is None or self._timer.when() > self._end:
            self._set_timer()
        return self._waiter

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._end, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._end:
            self._set_timer()
        else:
            self._waiter.set_exception(TimeoutError("timed out"))

    def get_extra_info(self, name: str) -> Any:
        """Return extra information of the transport."""
        return self._transport.get_extra_info(name)
