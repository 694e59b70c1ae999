"""TLS within TLS, for https servers behind an https proxy."""

import socket
import ssl
from contextlib import suppress

_SIZE = 64 * 1024


class NestedTLS:
    """TLS over a non-blocking TLS socket; raises the same exceptions as such a socket."""

    def __init__(self, outer: socket.socket, context: ssl.SSLContext, hostname: str | None) -> None:
        self.outer = outer
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = b""
        self._accepted = 0  # bytes of the caller's that are encrypted, but not sent yet
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=hostname)

    def do_handshake(self) -> None:
        """Continue the handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                self._flush()
                return

    def recv(self, size: int) -> bytes:
        """Return bytes."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                with suppress(
                    OSError
                ):  # what cannot be sent does not keep an answer from being read
                    self._flush()
                self._receive()

    def send(self, data: memoryview | bytes) -> int:
        """Send bytes; return how many. As for a TLS socket, a call that could not be completed is repeated."""
        if not self._accepted:
            self._flush()
            self._accepted = self._tls.write(data[:_SIZE])
        self._flush()
        sent, self._accepted = self._accepted, 0
        return sent

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self.outer.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.outer.close()

    def _receive(self) -> None:
        if data := self.outer.recv(_SIZE):
            self._received.write(data)
        else:
            self._received.write_eof()

    def _flush(self) -> None:
        while self._unsent or self._to_send.pending:
            self._unsent = self._unsent or self._to_send.read(_SIZE)
            self._unsent = self._unsent[self.outer.send(self._unsent) :]
