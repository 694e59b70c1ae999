"""What test proxies do once they are connected: pass bytes on."""

import socket
import threading
from contextlib import suppress
from typing import Any


def relay(peer: Any, upstream: socket.socket) -> None:
    """Copy bytes in both directions until both sides have ended."""
    back = threading.Thread(target=_pump, args=(upstream, peer.sock))
    back.start()
    _pump(peer.sock, upstream)
    back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
