"""TLS within TLS, for https servers behind an https proxy."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

_SIZE = 64 * 1024


class NestedTLS:
    """TLS over a non-blocking TLS socket; raises the same exceptions as such a socket."""

    def __init__(self, outer: socket.socket, context: ssl.SSLContext, hostname: str | None) -> None:
        self.outer = outer
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = b""
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=hostname)

    def do_handshake(self) -> None:
        """Continue the handshake."""
        self._run(self._tls.do_handshake)

    def recv(self, size: int) -> bytes:
        """Return bytes."""
        data: bytes = self._run(self._tls.read, size)
        return data

    def send(self, data: memoryview | bytes) -> int:
        """Send bytes; return how many."""
        self._flush()
        sent: int = self._run(self._tls.write, data[:_SIZE], must_flush=False)
        return sent

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self.outer.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.outer.close()

    def _run(self, function: Callable[..., Any], *args: Any, must_flush: bool = True) -> Any:
        while True:
            try:
                result = function(*args)
            except ssl.SSLWantReadError:
                self._flush()
                data = self.outer.recv(_SIZE)
                if data:
                    self._received.write(data)
                else:
                    self._received.write_eof()
            else:
                if must_flush:
                    self._flush()
                return result

    def _flush(self) -> None:
        while self._unsent or self._to_send.pending:
            self._unsent = self._unsent or self._to_send.read(_SIZE)
            self._unsent = self._unsent[self.outer.send(self._unsent) :]
