"""Byte stream of a connection for threads: a non-blocking socket with total time limits."""

import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from datacrunch_tgi._transport._addresses import STAGGER, Address, in_order, literal
from datacrunch_tgi._transport._nested_tls import NestedTLS
from datacrunch_tgi._transport._readiness import Readiness

READ_SIZE = 256 * 1024
"""Largest number of bytes of one read."""


def connect(host: str, port: int, end: float, is_stopped: Callable[[], bool]) -> "SocketStream":
    """Connect to a host.

    Args:
        host: Name or address.
        port: Port.
        end: When to give up, on the monotonic clock. Name resolution has no limit.
        is_stopped: Returns whether the call was ended, from another thread.

    Raises:
        OSError: No address can be reached; TimeoutError if not in time.
    """
    addresses = literal(host, port) or in_order(
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    waiting = list(reversed(addresses))
    connecting: list[socket.socket] = []
    failure: OSError = OSError(f"no address of {host}")
    next_at = time.monotonic()
    try:
        while True:
            now = time.monotonic()
            if now >= end:
                raise TimeoutError("timed out")
            if is_stopped():
                raise ConnectionAbortedError("the call was ended")
            if waiting and now >= next_at:
                _begin(waiting.pop(), connecting)
                next_at = now + STAGGER
            until = min(end, next_at if waiting else now + STAGGER)
            ready = _writable(connecting, until - time.monotonic())
            for each in ready:
                if not (code := each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                    stream = SocketStream(each)
                    connecting.remove(each)
                    return stream
                failure = OSError(code, "connect failed")
                connecting.remove(each)
                each.close()
                next_at = now
            if not waiting and not connecting:
                raise failure
    finally:
        for each in connecting:
            each.close()


def _begin(address: Address, connecting: list[socket.socket]) -> None:
    made = address.open()
    try:
        connecting.append(made)
    except BaseException:  # an interrupt: the socket has no owner yet
        made.close()
        raise
    made.connect_ex(address.sockaddr)


def _writable(sockets: list[socket.socket], seconds: float) -> list[socket.socket]:
    """Wait until one of the sockets is connected, or has failed."""
    if not hasattr(select, "poll"):  # Windows, which reports a failure as an exceptional condition
        _, writable, failed = select.select([], sockets, sockets, max(seconds, 0))
        return [each for each in sockets if each in writable or each in failed]
    poll = select.poll()
    for each in sockets:
        poll.register(each, select.POLLOUT)
    ready = {fd for fd, _ in poll.poll(max(seconds, 0) * 1000)}
    return [each for each in sockets if each.fileno() in ready]


class SocketStream:
    """Byte stream of one connection.

    Every time limit is a time on the monotonic clock and checked before each wait, so that it also holds
    while bytes keep arriving.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock: Any = sock  # with TLS, a socket or an object like one
        self._readiness = Readiness(sock)
        self._early = b""  # bytes that arrived during a write
        self._alert: ssl.SSLError | None = None  # what TLS reported during a write

    @property
    def is_secure(self) -> bool:
        """Whether TLS is used."""
        return isinstance(self._sock, ssl.SSLSocket | NestedTLS)

    def start_tls(self, context: ssl.SSLContext, hostname: str | None, end: float) -> None:
        """Start TLS on the connection.

        Raises:
            OSError: The handshake failed or timed out.
        """
        # TLS within TLS; on these platforms truststore checks sockets before the handshake.
        if isinstance(self._sock, ssl.SSLSocket) or sys.platform in {"darwin", "win32"}:
            self._sock = NestedTLS(self._sock, context, hostname)
        else:
            self._sock = context.wrap_socket(
                self._sock, server_hostname=hostname, do_handshake_on_connect=False
            )
        secure = self._sock
        self._readiness = Readiness(secure)  # the plain socket has lost its file descriptor
        while True:
            if time.monotonic() >= end:
                raise TimeoutError("timed out")
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(end, read=True)
            except ssl.SSLWantWriteError:
                self._wait(end, write=True)
            else:
                return

    def read(self, end: float, max_bytes: int = READ_SIZE) -> bytes:
        """Return the next bytes; b"" at the end of the connection.

        Raises:
            OSError: The connection broke; TimeoutError if not in time.
        """
        if self._early:
            early, self._early = self._early[:max_bytes], self._early[max_bytes:]
            return early
        while True:
            if time.monotonic() >= end:
                raise TimeoutError("timed out")
            try:
                if alert := self._alert:
                    self._alert = None
                    raise alert
                if not self.is_secure:  # TLS may hold bytes that have been read from the socket
                    self._wait(end, read=True)  # before recv, whose exception would cost more
                data: bytes = self._sock.recv(max_bytes)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(end, read=True)
            except ssl.SSLWantWriteError:
                self._wait(end, write=True)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""
            else:
                return data

    def write(self, data: bytes, end: float) -> bool:
        """Send bytes; return whether all were sent; False if the server answered first, be it by an alert of TLS.

        Raises:
            OSError: The connection broke; TimeoutError if not in time.
        """
        rest = memoryview(data)
        while rest:
            if time.monotonic() >= end:
                raise TimeoutError("timed out")
            # Once sending has failed, TLS cannot read what the other side said before it left.
            if self.is_secure and self._readiness.is_readable() and self._has_early():
                return False
            try:
                rest = rest[self._sock.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._wait(end, read=True, write=True) and self._has_early():
                    return False
            except ssl.SSLWantReadError:
                self._wait(end, read=True)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                raise ConnectionResetError("the connection was closed") from error
        return True

    @property
    def has_news(self) -> bool:
        """Whether bytes or the end of the stream have arrived."""
        return bool(self._early) or self._readiness.is_readable()

    def is_usable(self) -> bool:
        """Return whether an idle connection is still open and silent."""
        if not self.has_news:
            return True
        if self._early or not self.is_secure:
            return False
        try:
            self._sock.recv(1)
        except ssl.SSLWantReadError:  # not data, for example a session ticket
            return True
        except OSError:
            pass
        return False

    def abort(self) -> None:
        """End the connection for whoever is waiting for it, from any thread."""
        with suppress(OSError):  # it may be closed already
            sock = self._sock.outer if isinstance(self._sock, NestedTLS) else self._sock
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _has_early(self) -> bool:
        try:
            self._early = self._sock.recv(READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except ssl.SSLError as alert:  # an answer too: it is raised by the next read
            alert.__context__ = None  # that the request could not be sent at once
            self._alert = alert
        return True

    def _wait(self, end: float, *, read: bool = False, write: bool = False) -> bool:
        """Wait until the socket can be used; return whether it can be read."""
        return self._readiness.wait(max(end - time.monotonic(), 0), read=read, write=write)
