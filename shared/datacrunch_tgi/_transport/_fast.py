"""The fast engine: direct connections, read with llhttp (httptools).

Sending a request and reading a response are written once, as generators of operations on a stream, which a
thread or an event loop performs.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import Head
from datacrunch_tgi._protocol._steps import Open, Read
from datacrunch_tgi._transport._asyncio_stream import AsyncioStream
from datacrunch_tgi._transport._http import httpx
from datacrunch_tgi._transport._link import AsyncLink, SyncLink
from datacrunch_tgi._transport._response_reader import ResponseReader
from datacrunch_tgi._transport._socket_stream import SocketStream
from datacrunch_tgi._transport._target import Target

Link = TypeVar("Link", SyncLink, AsyncLink)
ByteStream = TypeVar("ByteStream", SocketStream, AsyncioStream)
Value = TypeVar("Value")
Operations = Generator[Callable[[], Any], Any, Value]

_PORTS = {"http": 80, "https": 443}


class _Fast(Generic[Link, ByteStream]):
    """A connection and the operations on it."""

    def __init__(self, target: Target, link: Link) -> None:
        self._target = target
        self._link: Link = link
        self._stream: ByteStream | None = None
        self._reader: ResponseReader | None = None
        self._is_idle = True
        self._is_read = self._is_sent = False  # to the end

    def _open(self, step: Open) -> Operations[Head]:
        self._is_idle = self._is_read = self._is_sent = False
        limits = self._link.limits
        limits.begin(step)
        if (idle := self._stream) and idle.has_news and not (yield idle.is_usable):
            self._disconnect()
        if self._stream is None:
            yield from self._connect()
        reader = self._reader = ResponseReader()
        stream: Any = self._stream
        message = self._message(step.request)
        with suppress(ConnectionError):  # the server may have answered anyway
            self._is_sent = yield partial(stream.write, message, limits.end)
        while reader.head is None:
            reader.feed((yield partial(stream.read, limits.end)))
        return reader.head

    def _connect(self) -> Operations[None]:
        url, tls = self._target.url, self._target.tls
        host = url.raw_host.decode("ascii")
        context = tls.context() if url.scheme == "https" else None
        try:
            self._stream = yield partial(self._link.connect, host, url.port or _PORTS[url.scheme])
            if context:
                stream: Any = self._stream
                name, end = tls.server_hostname or host, self._link.limits.connect_by
                yield partial(stream.start_tls, context, name, end)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(str(error)) from error

    def _message(self, request: Request) -> bytes:
        path = f"{self._target.path}{request.path}"
        head = f"{request.method} {path} HTTP/1.1\r\n{self._target.header_lines.get_secret_value()}"
        if request.body is None:
            return f"{head}\r\n".encode("latin-1")
        length = len(request.body)
        head += f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        return head.encode("latin-1") + request.body

    def _take(self) -> bytes | None:
        """Return what is there of the body already; None if the other side has to send it."""
        if reader := self._reader:
            if body := reader.take():
                return body
            if not reader.is_complete:
                return None
        self._is_read = True
        return b""

    def _end_response(self) -> None:
        """Close the connection unless it can serve another request."""
        reader, self._reader = self._reader, None
        is_whole = self._is_sent and self._is_read and reader and reader.can_be_used_again
        if reader:
            reader.close()
        if not (self._is_idle or is_whole):
            self._disconnect()
        self._is_idle = True

    def _disconnect(self) -> None:
        self._stream = None
        self._link.close()


class SyncWire(_Fast[SyncLink, SocketStream]):
    """A direct connection for threads."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, SyncLink(target))

    def open(self, step: Open) -> Head:
        """Send the request, and return the head of its response."""
        return self._carry_out(self._open(step))

    def read(self, step: Read) -> bytes:
        """Return the next bytes of the body; b"" at its end."""
        limits, reader, stream = self._link.limits, self._reader, self._stream
        limits.begin(step)
        while (body := self._take()) is None and reader and stream:
            reader.feed(stream.read(limits.end))
        return body or b""

    def drop_response(self) -> None:
        """End the response; the connection is kept only if it was read to its end."""
        self._end_response()

    def abort(self) -> None:
        """End the connection for whoever is waiting for it, from any thread."""
        self._link.abort()

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()

    close_after_fork = close  # closing a socket sends nothing while the parent has it open

    def _carry_out(self, operations: Operations[Value]) -> Value:
        try:
            operation = next(operations)
            while True:
                try:
                    result = operation()
                except (OSError, UnicodeError) as error:
                    operation = operations.throw(error)
                else:
                    operation = operations.send(result)
        except StopIteration as end:
            value: Value = end.value
            return value
        finally:
            operations.close()  # not by the garbage collector, in which an interrupt would be lost


class AsyncWire(_Fast[AsyncLink, AsyncioStream]):
    """A direct connection for event loops."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, AsyncLink(target))

    async def open(self, step: Open) -> Head:
        """Send the request, and return the head of its response."""
        return await self._carry_out(self._open(step))

    async def read(self, step: Read) -> bytes:
        """Return the next bytes of the body; b"" at its end."""
        limits, reader, stream = self._link.limits, self._reader, self._stream
        limits.begin(step)
        while (body := self._take()) is None and reader and stream:
            reader.feed(await stream.read(limits.end))
        return body or b""

    async def drop_response(self) -> None:
        """End the response; the connection is kept only if it was read to its end."""
        self._end_response()

    def abort(self) -> None:
        """Close the connection at once, for whoever is waiting for it."""
        self._link.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._disconnect()

    async def _carry_out(self, operations: Operations[Value]) -> Value:
        try:
            operation: Callable[[], Awaitable[Any]] = next(operations)
            while True:
                try:
                    result = await operation()
                except (OSError, UnicodeError) as error:
                    operation = operations.throw(error)
                else:
                    operation = operations.send(result)
        except StopIteration as end:
            value: Value = end.value
            return value
        finally:
            operations.close()  # not by the garbage collector, in which an interrupt would be lost
