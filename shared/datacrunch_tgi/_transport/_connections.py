"""The one module that does I/O: what the steps of a call mean on a connection.

It alone imports httpx, and none of httpx's types or errors leaves it.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any, cast

import httpx

from datacrunch_tgi._errors import (
    ArgumentError,
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    MalformedResponseError,
    RequestTimeoutError,
    TLSError,
    TransportError,
)
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import Head
from datacrunch_tgi._protocol._steps import Close, Open, Read, Sleep, Step
from datacrunch_tgi._secrets import reveal
from datacrunch_tgi._transport._exceptions import (
    describe,
    is_about_certificates,
    is_about_tls,
    strip_traceback,
)
from datacrunch_tgi._transport._network import Reads
from datacrunch_tgi._transport._target import Target

IDLE_SECONDS = 15.0
"""How long a connection waits for its next request."""


class SyncConnection:
    """One connection, and what the steps of a call mean to a thread."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport = httpx.HTTPTransport(**_transport_options(target))
        self._reads = Reads()
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._handlers: dict[type[Step], Callable[[Any], Any]] = {
            Open: self._open,
            Read: self._read,
            Close: lambda _: self.drop_response(),
            Sleep: lambda step: time.sleep(step.seconds),
        }

    def perform(self, step: Step) -> Any:
        """Do the step; return what came of it.

        Raises:
            TransportError: It failed.
        """
        try:
            return self._handlers[type(step)](step)
        except _FAILURES as error:
            failure: BaseException = _failure(error, self._target)
        except BaseException as error:  # noqa: BLE001 -- it is raised again
            failure = strip_traceback(error)
        raise failure  # Not in the handler: a context would keep httpx's frames, which hold the key.

    def close(self) -> None:
        """Close the connection itself."""
        self._transport.close()

    def abort(self) -> None:
        """Let whatever waits for this connection fail, in whichever thread."""
        self._transport.close()

    def close_after_fork(self) -> None:
        """Close the connection in a child process, without ending the parent's."""
        self._transport.close()

    def drop_response(self) -> None:
        """End the response; a whole one leaves the connection for the next, else it is closed."""
        response, self._response = self._response, None
        if response:
            self._chunks = iter(())
            response.close()

    def _open(self, step: Open) -> Head:
        self._reads.start(step.connect_timeout, step.timeout)
        request = _http_request(self._target, step.request, self._reads)
        request.extensions["trace"] = self._reads.trace
        self._response = response = self._transport.handle_request(request)
        encoded = "content-encoding" in response.headers
        self._chunks = response.iter_bytes() if encoded else response.iter_raw()
        return _head(response)

    def _read(self, step: Read) -> bytes:
        self._reads.end = time.monotonic() + step.timeout
        return next(self._chunks, b"")


class AsyncConnection:
    """One connection, and what the steps of a call mean to an event loop."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport = httpx.AsyncHTTPTransport(**_transport_options(target))
        self._reads = Reads()
        self._response: httpx.Response | None = None
        self._body_read = True
        self._chunks: AsyncGenerator[bytes, None]
        self._handlers: dict[type[Step], Callable[[Any], Awaitable[Any]]] = {
            Open: self._open,
            Read: self._read,
            Close: lambda _: self.drop_response(),
            Sleep: lambda step: asyncio.sleep(step.seconds),
        }

    async def perform(self, step: Step) -> Any:
        """Do the step: see `SyncConnection.do`."""
        try:
            return await self._handlers[type(step)](step)
        except _FAILURES as error:
            failure: BaseException = _failure(error, self._target)
        except BaseException as error:  # noqa: BLE001 -- it is raised again
            failure = strip_traceback(error)
        raise failure  # as there

    async def close(self) -> None:
        """Close the connection itself."""
        await self._transport.aclose()

    def abort(self) -> None:
        """Close the connection at once; whatever waits for it fails."""
        self._aborting = asyncio.ensure_future(self.close())

    async def drop_response(self) -> None:
        """End the response; a whole one leaves the connection for the next, else it is closed."""
        if not self._body_read:
            # First, since this closes the socket before it waits for anything: httpx's way to end a
            # response waits, and a task that is cancelled a second time would leave the socket open.
            self._body_read = True
            await self.close()
        response, self._response = self._response, None
        if response:
            await self._chunks.aclose()
            await response.aclose()

    async def _open(self, step: Open) -> Head:
        self._reads.start(step.connect_timeout, step.timeout)
        request = _http_request(self._target, step.request, self._reads)
        request.extensions["trace"] = self._reads.async_trace
        self._body_read = False
        self._response = response = await self._transport.handle_async_request(request)
        encoded = "content-encoding" in response.headers
        chunks = response.aiter_bytes() if encoded else response.aiter_raw()
        self._chunks = cast("AsyncGenerator[bytes, None]", chunks)
        return _head(response)

    async def _read(self, step: Read) -> bytes:
        self._reads.end = time.monotonic() + step.timeout
        chunk = await anext(self._chunks, b"")
        self._body_read = not chunk
        return chunk


def _transport_options(target: Target) -> dict[str, Any]:
    """One connection, without a search for certificates where no connection is secure."""
    secure = target.base_url.startswith("https:")
    return {
        "verify": target.tls.context() if secure else cast("ssl.SSLContext", None),
        "limits": httpx.Limits(max_connections=1, keepalive_expiry=IDLE_SECONDS),
        "proxy": _proxy(target),
    }


def _proxy(target: Target) -> httpx.Proxy | None:
    """The proxy, if any; its address is in no variable here, where a traceback would show its password."""
    scheme = (reveal(target.proxy) or "").partition(":")[0]
    if scheme.startswith("socks") and not find_spec("socksio"):
        raise ArgumentError("proxy", "a SOCKS proxy needs a package: pip install httpx[socks]")
    context = target.tls.context() if scheme == "https" else None
    return httpx.Proxy(f"{reveal(target.proxy)}", ssl_context=context) if scheme else None


def _http_request(target: Target, request: Request, reads: Reads) -> httpx.Request:
    http_request = httpx.Request(
        request.method,
        f"{target.base_url}{request.path}",
        headers=[(name, value.get_secret_value()) for name, value in target.headers],
        content=request.body,
        extensions={"timeout": reads},
    )
    if request.body is not None:
        http_request.headers["Content-Type"] = "application/json"
    return http_request


def _head(response: httpx.Response) -> Head:
    return Head(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}
    )


_FAILURES = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)
"""What I/O fails with: some of the system's errors pass through httpx as they are (an asyncio timeout,
a TLS alert after the handshake, a name that cannot be looked up)."""


def _failure(error: Exception, target: Target) -> TransportError:
    """The error of this package for one of httpx's, whose words alone are kept."""
    words = describe(error)
    host = f"{target.base_url}{' through the proxy' if target.proxy else ''}"
    match error:
        case httpx.ConnectTimeout():
            return ConnectTimeoutError(f"no connection to {host} in time")
        case TimeoutError() | httpx.TimeoutException():
            return RequestTimeoutError(f"no answer from {host} in time")
        case _ if is_about_tls(error):
            failure = TLSError(f"no secure connection to {host}", said=words)
            if not is_about_certificates(error):
                failure.hint = "Check whether base_url should begin with http://."
            return failure
        case httpx.ConnectError() | httpx.ProxyError() | httpx.InvalidURL() | UnicodeError():
            return ConnectError(f"no connection to {host}", said=words)
        case httpx.DecodingError():
            return MalformedResponseError("the answer cannot be decompressed", said=words)
        case _:
            return DisconnectedError(f"the connection to {host} broke", said=words)
