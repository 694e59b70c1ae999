"""The default engine: httpx with one connection, on the network backend of `_network`.

vcrpy and similar tools work with this engine: they hook `httpx.HTTPTransport.handle_request`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from datacrunch_tgi._protocol._responses import Head
from datacrunch_tgi._protocol._steps import Open, Read
from datacrunch_tgi._secrets import reveal
from datacrunch_tgi._transport._http import httpx
from datacrunch_tgi._transport._http_core import httpcore
from datacrunch_tgi._transport._link import AsyncLink, SyncLink
from datacrunch_tgi._transport._network import AsyncBackend, Network, SyncBackend
from datacrunch_tgi._transport._target import Target

KEEPALIVE = 15.0
"""How long httpcore keeps an idle connection, in seconds; the same as the pool."""


class _SyncTransport(httpx.HTTPTransport):
    def __init__(self, target: Target, backend: SyncBackend) -> None:
        # httpx has no setting for the backend; its settings only create `_pool`.
        self._pool = _pool(httpcore.ConnectionPool, httpcore.HTTPProxy, target, backend)


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, target: Target, backend: AsyncBackend) -> None:
        self._pool = _pool(httpcore.AsyncConnectionPool, httpcore.AsyncHTTPProxy, target, backend)


class SyncWire:
    """A connection of httpx for threads."""

    def __init__(self, target: Target) -> None:
        self._target, self._link = target, SyncLink(target)
        self._network = Network(self._link, target)
        self._transport = _SyncTransport(target, SyncBackend(self._network, self._link))
        self._response: httpx.Response | None = None
        self._is_reading = False
        self._chunks: Iterator[bytes] = iter(())

    def open(self, step: Open) -> Head:
        """Send the request, and return the head of its response."""
        self._link.limits.begin(step)
        self._network.begin_response()
        response = self._transport.handle_request(_request(self._target, step))
        self._response, self._chunks = response, response.iter_raw()
        return _head(response)

    def read(self, step: Read) -> bytes:
        """Return the next bytes of the body; b"" at its end."""
        self._link.limits.begin(step)
        self._is_reading = True
        chunk = next(self._chunks, b"")
        self._is_reading = False
        return chunk

    def drop_response(self) -> None:
        """End the response; httpcore keeps the connection only if it was read to its end."""
        if not (response := self._response):
            return
        is_usable = False  # if an interrupt strikes in httpcore, here or in `read`, it is not
        try:
            self._chunks = iter(())
            response.close()
            is_usable = not (self._is_reading or self._network.merger.has_surplus)
        finally:
            if not is_usable:
                self.close()
            self._response, self._is_reading = None, False

    def abort(self) -> None:
        """End the connection for whoever is waiting for it, from any thread."""
        self._link.abort()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()
        self._link.close()

    close_after_fork = close  # closing a socket sends nothing while the parent has it open


class AsyncWire:
    """A connection of httpx for event loops."""

    def __init__(self, target: Target) -> None:
        self._target, self._link = target, AsyncLink(target)
        self._network = Network(self._link, target)
        self._transport = _AsyncTransport(target, AsyncBackend(self._network, self._link))
        self._response: httpx.Response | None = None
        self._is_whole = True
        self._chunks: AsyncIterator[bytes]

    async def open(self, step: Open) -> Head:
        """Send the request, and return the head of its response."""
        self._link.limits.begin(step)
        self._network.begin_response()
        self._is_whole = False
        response = await self._transport.handle_async_request(_request(self._target, step))
        self._response, self._chunks = response, response.aiter_raw()
        return _head(response)

    async def read(self, step: Read) -> bytes:
        """Return the next bytes of the body; b"" at its end."""
        self._link.limits.begin(step)
        chunk = await anext(self._chunks, b"")
        self._is_whole = not chunk
        return chunk

    async def drop_response(self) -> None:
        """End the response; the connection is kept only if it was read to its end."""
        if not self._is_whole:
            # First, because this does not wait: httpx's own way to end a response does, and a second
            # cancellation would leave the socket open.
            self._is_whole = True
            self._link.close()
            await self._transport.aclose()
        response, self._response = self._response, None
        if response:
            await response.aclose()
            if self._network.merger.has_surplus:
                await self.close()

    def abort(self) -> None:
        """Close the connection at once, for whoever is waiting for it."""
        self._link.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._link.close()
        await self._transport.aclose()


_NO_TLS: Any = object()
"""Where it is None, httpcore reads certificates, even for http."""


def _pool(direct: Any, through_proxy: Any, target: Target, backend: Any) -> Any:
    """Create httpcore's pool of one connection."""
    is_secure = target.base_url.startswith("https:")
    options: dict[str, Any] = {
        "ssl_context": target.tls.context() if is_secure else _NO_TLS,
        "max_connections": 1,
        "keepalive_expiry": KEEPALIVE,
        "network_backend": backend,
    }
    scheme = urlsplit(reveal(target.proxy) or "").scheme
    if scheme not in {"http", "https"} or target.proxy is None:  # the link speaks SOCKS
        return direct(**options)
    if scheme == "https":
        options["proxy_ssl_context"] = target.tls.context()
    return through_proxy(**options, **_proxy(target.proxy))


def _proxy(proxy: SecretStr) -> dict[str, Any]:
    parts = urlsplit(proxy.get_secret_value())
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return {"proxy_url": address, "proxy_auth": login}


def _request(target: Target, step: Open) -> httpx.Request:
    request = step.request
    headers = [(name, value.get_secret_value()) for name, value in target.headers]
    if request.body is not None:
        headers.append(("Content-Type", "application/json"))
    extensions = {"sni_hostname": name} if (name := target.tls.server_hostname) else None
    return httpx.Request(
        request.method,
        f"{target.base_url}{request.path}",
        headers=headers,
        content=request.body,
        extensions=extensions,
    )


def _head(response: httpx.Response) -> Head:
    return Head(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}
    )
