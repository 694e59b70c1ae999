"""What a server says about TLS after the handshake is reported, whatever happens to the request meanwhile."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from datacrunch_tgi._transport import _asyncio_stream, _socket_stream
from datacrunch_tgi._transport._exceptions import describe
from datacrunch_tgi._transport._socket_stream import SocketStream

LONG = b"x" * 6_000_000
"""More than what fits between two sockets."""
PATIENCE = 10.0


class Refusing:
    """A TLS 1.3 server that wants a client's certificate, refuses at a moment of the test, and leaves."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.may_refuse, self.has_left = threading.Event(), threading.Event()
        self._context = context
        self._thread = threading.Thread(target=self._refuse)
        self._thread.start()

    def _refuse(self) -> None:
        sock, _ = self.listener.accept()
        with sock:
            received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = self._context.wrap_bio(received, to_send, server_side=True)
            while not self._is_refused(tls):
                sock.sendall(to_send.read())
                # Byte by byte, so that something is left unread, and the connection is reset.
                received.write(sock.recv(1))
            sock.sendall(to_send.read())
        self.has_left.set()

    def _is_refused(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            assert self.may_refuse.wait(PATIENCE)
        return True

    def stop(self) -> None:
        self._thread.join(PATIENCE)
        self.listener.close()


@pytest.fixture
def refusing(authority: Any) -> Iterator[Refusing]:
    context = authority.context()
    context.minimum_version, context.verify_mode = ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    server = Refusing(context)
    yield server
    server.stop()


@pytest.fixture
def trusting(authority: Any) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.fspath(authority.file))


async def test_a_refusal_before_the_request_is_read_in_an_event_loop(
    refusing: Refusing, trusting: ssl.SSLContext
) -> None:
    """The server has gone, so that nothing can be sent, but what it said is there."""
    end = time.monotonic() + PATIENCE
    stream = await _asyncio_stream.connect("127.0.0.1", refusing.port)
    await stream.start_tls(trusting, "127.0.0.1", end)
    refusing.may_refuse.set()
    assert refusing.has_left.wait(PATIENCE)  # the loop stands still meanwhile
    with suppress(ConnectionError):  # as the engines do
        await stream.write(b"request", end)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await stream.read(end)


class Waiting(SocketStream):
    """A stream that says when it waits."""

    waits: Callable[[], None] = staticmethod(lambda: None)

    def _wait(self, end: float, *, read: bool = False, write: bool = False) -> bool:
        self.waits()
        return super()._wait(end, read=read, write=write)


def test_a_refusal_during_the_request_is_reported_in_a_thread(
    refusing: Refusing, trusting: ssl.SSLContext
) -> None:
    """As itself, not as the wait in which it came."""
    end = time.monotonic() + PATIENCE
    plain = _socket_stream.connect("127.0.0.1", refusing.port, end, lambda: False)
    stream = Waiting(plain._sock)  # noqa: SLF001 -- the same socket
    stream.start_tls(trusting, "127.0.0.1", end)
    stream.waits = refusing.may_refuse.set
    assert not stream.write(LONG, end)
    with pytest.raises(ssl.SSLError) as caught:
        stream.read(end)
    assert "certificate required" in describe(caught.value)
    stream.close()
