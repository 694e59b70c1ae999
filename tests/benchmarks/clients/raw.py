"""The floor: sockets, and of HTTP no more than what the benchmarks' server sends."""

import asyncio
import json
import re
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

DISTRIBUTIONS: tuple[str, ...] = ()
EVENT = re.compile(rb"data:(.*)\n\n")


def request(path: str, prompt: str, tokens: int) -> bytes:
    """The bytes of a request."""
    body = json.dumps({"inputs": prompt, "parameters": {"max_new_tokens": tokens}}).encode()
    return b"POST %s HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), len(body), body)


def whole(received: bytes) -> dict[str, Any] | None:
    """The answer, once its body is whole."""
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return json.loads(body) if length and len(body) == int(length[1]) else None


class Sync:
    """A blocking socket for each thread."""

    def __init__(self, url: str, _connections: int) -> None:
        self._address = ("127.0.0.1", urlsplit(url).port or 80)
        self._here = threading.local()
        self._sockets: list[socket.socket] = []

    def _send(self, data: bytes) -> socket.socket:
        sock: socket.socket | None = getattr(self._here, "socket", None)
        if sock is None:
            sock = self._here.socket = socket.create_connection(self._address)
            self._sockets.append(sock)
        sock.sendall(data)
        return sock

    def stream(self, prompt: str, tokens: int) -> int:
        sock = self._send(request("/generate_stream", prompt, tokens))
        count, rest = 0, b""
        while not rest.endswith(b"\r\n0\r\n\r\n"):
            rest += sock.recv(65536)
            for event in EVENT.finditer(rest):
                count += len(json.loads(event[1])["token"]["text"]) > 0
            rest = rest[max(rest.rfind(b"\n\n"), 0) :]
        return count

    def generate(self, prompt: str) -> None:
        sock, received = self._send(request("/generate", prompt, 20)), b""
        while whole(received) is None:
            received += sock.recv(65536)

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


class _Protocol(asyncio.Protocol):
    """Counts the tokens of a stream, or waits for a whole answer."""

    def __init__(self) -> None:
        self.done: asyncio.Future[int]
        self._rest = b""
        self._count = 0

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data
        if rest.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json"):
            if whole(rest) is not None:
                rest = b""
                self.done.set_result(1)
        else:
            for event in EVENT.finditer(rest):
                self._count += len(json.loads(event[1])["token"]["text"]) > 0
            rest = rest[max(rest.rfind(b"\n\n"), 0) :]
            if rest.endswith(b"\r\n0\r\n\r\n"):
                self.done.set_result(self._count)
                self._count, rest = 0, b""
        self._rest = rest


class Async:
    """A protocol of asyncio."""

    def __init__(self, url: str, _connections: int) -> None:
        self._port = urlsplit(url).port or 80
        self._idle: list[tuple[asyncio.Transport, _Protocol]] = []

    async def _ask(self, data: bytes) -> int:
        loop = asyncio.get_running_loop()
        if self._idle:
            transport, protocol = self._idle.pop()
        else:
            transport, protocol = await loop.create_connection(_Protocol, "127.0.0.1", self._port)
        protocol.done = loop.create_future()
        transport.write(data)
        count = await protocol.done
        self._idle.append((transport, protocol))
        return count

    async def stream(self, prompt: str, tokens: int) -> int:
        return await self._ask(request("/generate_stream", prompt, tokens))

    async def generate(self, prompt: str) -> None:
        await self._ask(request("/generate", prompt, 20))

    async def close(self) -> None:
        for transport, _ in self._idle:
            transport.close()
