"""httpcore's network backends: how httpx's connections are opened and read.

httpcore has a limit for each single operation only. Here a limit covers a whole step, and chunks that
arrive together are merged before httpcore sees them.
"""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from datacrunch_tgi._secrets import reveal
from datacrunch_tgi._transport._asyncio_stream import AsyncioStream
from datacrunch_tgi._transport._chunks import ChunkMerger
from datacrunch_tgi._transport._http_core import httpcore
from datacrunch_tgi._transport._link import AsyncLink, SyncLink
from datacrunch_tgi._transport._socket_stream import SocketStream
from datacrunch_tgi._transport._target import Target


class Network:
    """What the streams of one connection share: the step's limits, and the merger of the response."""

    def __init__(self, link: SyncLink | AsyncLink, target: Target) -> None:
        self.link = link
        self.limits = link.limits
        self.merger = ChunkMerger()
        proxy = reveal(target.proxy) or ""
        self._handshakes = sum(url.startswith("https:") for url in (target.base_url, proxy))
        self._handshakes_left = 0

    @property
    def end(self) -> float:
        """When the current operation has to be over: what is said to a proxy is part of connecting."""
        return self.limits.connect_by if self._handshakes_left else self.limits.end

    def begin_connection(self) -> None:
        """Begin to connect, and to secure the connection, if need be, to a proxy and to the server."""
        self._handshakes_left = self._handshakes

    def end_handshake(self) -> None:
        """Go on after a handshake of TLS: nothing has been read of the response."""
        self._handshakes_left -= 1
        self.begin_response()

    @contextmanager
    def errors(self, timeout: type[Exception], other: type[Exception]) -> Generator[None]:
        """Raise httpcore's errors, while connecting those of connecting."""
        if self._handshakes_left:
            timeout, other = httpcore.ConnectTimeout, httpcore.ConnectError
        with _errors(timeout, other):
            yield

    def begin_response(self) -> None:
        """Start reading another response."""
        self.merger = ChunkMerger()


class SyncBackend(httpcore.NetworkBackend):
    """Opens connections for threads."""

    def __init__(self, network: Network, link: SyncLink) -> None:
        self._network, self._link = network, link

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Connect to a host."""
        self._network.begin_connection()
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            return _SyncStream(self._link.connect(host, port), self._network)


class AsyncBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for event loops."""

    def __init__(self, network: Network, link: AsyncLink) -> None:
        self._network, self._link = network, link

    async def connect_tcp(
        self, host: str, port: int, *_: Any, **__: Any
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host."""
        self._network.begin_connection()
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            return _AsyncStream(await self._link.connect(host, port), self._network)


class _SyncStream(httpcore.NetworkStream):
    def __init__(self, stream: SocketStream, network: Network) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 -- httpcore's
        with self._network.errors(httpcore.ReadTimeout, httpcore.ReadError):
            while data := self._stream.read(self._network.end, max_bytes):
                if merged := self._network.merger.feed(data):
                    return merged
            return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 -- httpcore's
        with self._network.errors(httpcore.WriteTimeout, httpcore.WriteError):
            if not self._stream.write(buffer, self._network.end):
                raise BrokenPipeError("the server answered before it had received the request")

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 -- httpcore's
    ) -> httpcore.NetworkStream:
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                limits = self._network.limits
                self._stream.start_tls(ssl_context, server_hostname, limits.connect_by)
            except BaseException:
                self._stream.close()
                raise
        self._network.end_handshake()
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return not self._stream.is_usable()
        return None


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: AsyncioStream, network: Network) -> None:
        self._stream, self._network = stream, network

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 -- httpcore's
        with self._network.errors(httpcore.ReadTimeout, httpcore.ReadError):
            while data := await self._stream.read(self._network.end):
                if merged := self._network.merger.feed(data):
                    return merged
            return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 -- httpcore's
        with self._network.errors(httpcore.WriteTimeout, httpcore.WriteError):
            if not await self._stream.write(buffer, self._network.end):
                raise BrokenPipeError("the server answered before it had received the request")

    async def aclose(self) -> None:
        self._stream.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 -- httpcore's
    ) -> httpcore.AsyncNetworkStream:
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            limits = self._network.limits
            await self._stream.start_tls(ssl_context, server_hostname, limits.connect_by)
        self._network.end_handshake()
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._stream.has_news
        return self._stream.get_extra_info(info)


@contextmanager
def _errors(timeout: type[Exception], other: type[Exception]) -> Generator[None]:
    """Raise httpcore's errors. In the handler, because httpcore keeps only the context as the cause."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except (OSError, ssl.SSLError) as error:
        raise other(str(error)) from error
