"""Proxies and headers are given in plain terms, and obeyed: on a real proxy, with and without TLS."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import (
    ArgumentError,
    AuthenticationError,
    Client,
    ConnectError,
    InvalidRequestError,
    __version__,
)
from tests.transport.tls.relay import relay

ROUTES = pytest.mark.parametrize("route", ["generate", "stream"])


def reply(http: Any, route: str) -> Any:
    return http.answer() if route == "generate" else http.stream(http.events("Hi", " you"))


class Proxy:
    """Forwards what is sent to any host to one server, by CONNECT or by the whole address."""

    def __init__(self, serve: Any, upstream: Any, tls: Any = None) -> None:
        self._upstream = upstream
        self.server = serve(self._forward, tls=tls)
        self.url = self.server.url

    def _forward(self, peer: Any) -> None:
        received = peer.received
        host, _, port = self._upstream.host.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            if received.method == "CONNECT":
                peer.send(b"HTTP/1.1 200 .\r\n\r\n")
            else:
                path = "/" + received.target.split("/", 3)[3]
                lines = [f"{received.method} {path} HTTP/1.1"]
                lines += [f"{name}: {value}" for name, value in received.headers.items()]
                upstream.sendall("\r\n".join([*lines, "", ""]).encode() + received.body)
            relay(peer, upstream)
        peer.close()


@pytest.fixture
def ask(caller: Any) -> Callable[..., Any]:
    """Ask once, by a client that is closed then, so that what lies between ends too."""

    def once(route: str, base_url: str, **settings: Any) -> Any:
        made = caller(base_url, max_retries=0, **settings)
        taken = made.ask(route)
        made.close()
        return taken

    return once


@ROUTES
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("secure_proxy", [False, True])
def test_a_proxy_is_used(
    route: str,
    authority: Any,
    http: Any,
    serve: Any,
    ask: Any,
    *,
    secure: bool,
    secure_proxy: bool,
) -> None:
    """A proxy gets its own password, and never sees the key of a secure connection."""
    context = authority.secure("h.invalid") if secure else None
    server = serve(reply(http, route), tls=context)
    proxy = Proxy(serve, server, authority.secure() if secure_proxy else None)
    taken = ask(
        route,
        f"{'https' if secure else 'http'}://h.invalid",
        api_key="the-secret-key",
        proxy=proxy.url.replace("://", "://user:word@"),
        ca_bundle=authority.file,
    )
    assert taken.error is None
    assert taken.text == "Hi you"
    (seen,) = proxy.server.requests
    assert seen.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"
    if secure:
        assert (seen.method, seen.target) == ("CONNECT", "h.invalid:443")
        assert "authorization" not in seen.headers
    else:
        assert seen.target == f"http://h.invalid/generate{'_stream' * (route == 'stream')}"
    assert server.requests[0].headers["authorization"] == "Bearer the-secret-key"


@pytest.mark.parametrize("closes", [False, True])
def test_an_answer_to_half_a_request_comes_through_two_layers_of_tls(
    authority: Any, http: Any, serve: Any, caller: Any, *, closes: bool
) -> None:
    """From a secure server behind a secure proxy, also when the server has gone then."""
    ended = threading.Event()

    def refuse(peer: Any) -> bool:
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if peer.sock.recv(1000):
            peer.send(http.response(413, "too long", content_type="text/plain", connection="close"))
            assert closes or ended.wait(10)
        return False

    server = serve(tls=authority.secure("h.invalid"))
    server.receive = refuse
    proxy = Proxy(serve, server, authority.secure())
    settings = {"proxy": proxy.url, "ca_bundle": authority.file, "max_retries": 0}
    error = caller("https://h.invalid", **settings).ask("generate", "x" * 6_000_000).error
    ended.set()
    assert type(error) is InvalidRequestError
    assert error.status == 413


@pytest.mark.parametrize(
    ("variable", "excepted", "used"),
    [
        ("HTTP_PROXY", "", True),
        ("http_proxy", "", True),
        ("ALL_PROXY", "", True),
        ("HTTPS_PROXY", "", False),
        ("HTTP_PROXY", "127.0.0.1", False),
        ("HTTP_PROXY", "*", False),
        ("HTTP_PROXY", "h.invalid", True),
    ],
)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_standard_variables_name_a_proxy(
    *, variable: str, excepted: str, scheme: str, used: bool, http: Any, serve: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The standard proxy variables are used, with and without a scheme."""
    server = serve(http.answer())
    proxy = Proxy(serve, server)
    monkeypatch.setenv(variable, f"{scheme}{proxy.server.host}")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert ask("generate", server.url).text == "Hi you"
    assert len(proxy.server.requests) == used


@ROUTES
@pytest.mark.parametrize("base_url", ["http://h.invalid", "https://h.invalid"])
def test_a_proxy_that_does_not_serve_is_reported(
    route: str, base_url: str, http: Any, serve: Any, ask: Any
) -> None:
    """A proxy that is down or refuses raises a typed error that names it."""
    gone = ask(route, base_url, proxy="http://127.0.0.1:1").error
    assert type(gone) is ConnectError
    assert "refused" in str(gone).lower()
    refusing = serve(http.response(407, proxy_authenticate="Basic"))
    error = ask(route, base_url, proxy=refusing.url).error
    assert type(error) is AuthenticationError
    assert f"the proxy {refusing.url} refused user and password (407)" in str(error)
    assert len(refusing.requests) == 1


@ROUTES
def test_headers_are_sent(route: str, http: Any, serve: Any, ask: Any) -> None:
    """The client's own headers are sent, and the user's with them."""
    server = serve(reply(http, route))
    ask(route, server.url, api_key="the-secret-key", headers={"X-Team": "blue"})
    headers = server.requests[0].headers
    assert headers["user-agent"] == f"datacrunch-tgi/{__version__}"
    assert headers["content-type"] == "application/json"
    assert headers["x-team"] == "blue"
    assert headers["authorization"] == "Bearer the-secret-key"
    ask(route, server.url, headers={"Authorization": "Basic x", "User-Agent": "mine"})
    assert server.requests[1].headers["authorization"] == "Basic x"
    assert server.requests[1].headers["user-agent"] == "mine"


@pytest.mark.parametrize(
    "base_url", ["http://a..b", f"http://{'a' * 64}.invalid", "http://[::1", "http://h:99999"]
)
def test_a_host_that_cannot_be_looked_up_is_refused(base_url: str) -> None:
    """A host name that DNS cannot have is refused before any request."""
    with pytest.raises(ArgumentError, match="base_url"):
        Client(base_url=base_url)
    with pytest.raises(ArgumentError, match="proxy"):
        Client(base_url="http://h.invalid", proxy=base_url)


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "content-length"])
def test_headers_that_would_break_a_request_are_refused(name: str) -> None:
    """Headers with invalid characters are refused before any request."""
    with pytest.raises(ArgumentError, match=r"headers.*client"):
        Client(base_url="http://h.invalid", headers={name: "5"})
