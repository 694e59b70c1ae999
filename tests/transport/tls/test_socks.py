"""A SOCKS5 proxy is used, with and without a password; time limits hold behind every kind of proxy."""

import socket
from typing import Any

import pytest

from datacrunch_tgi import (
    AuthenticationError,
    ConnectError,
    ConnectTimeoutError,
    RequestTimeoutError,
)
from tests.transport.tls.relay import relay

LOGIN = (b"user", b"p:w@")


class SocksProxy:
    """Speaks SOCKS5 (RFC 1928, RFC 1929), and forwards every host to one server."""

    def __init__(self, serve: Any, upstream: Any, login: tuple[bytes, bytes] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self.refuses = self.stalls = False
        self._upstream, self._login = upstream, login
        server = serve()
        server.receive = self._forward
        self.host = server.host
        self.url = f"socks5://{server.host}"

    def _forward(self, peer: Any) -> bool:
        read = peer.sock.makefile("rb").read
        _, methods = read(2)
        offered = read(methods)
        method = 2 if self._login else 0
        if method not in offered:
            peer.send(b"\5\xff")
            return False
        peer.send(bytes([5, method]))
        if self._login:
            _, size = read(2)
            user = read(size)
            password = read(read(1)[0])
            if (user, password) != self._login:
                peer.send(b"\1\1")
                return False
            peer.send(b"\1\0")
        kind = read(4)[3]
        host = read(read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(read(4))
        self.asked.append((host, int.from_bytes(read(2), "big")))
        if self.stalls:
            peer.wait_until_left()
            return False
        peer.send(bytes([5, 2 if self.refuses else 0, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not self.refuses:
            forward(peer, self._upstream)
        return False


def forward(peer: Any, server: Any) -> None:
    """Copy bytes in both directions."""
    address, _, port = server.host.partition(":")
    with socket.create_connection((address, int(port))) as upstream:
        relay(peer, upstream)
    peer.close()


@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("secure", [False, True])
def test_a_socks_proxy_is_used(  # noqa: PLR0917 -- fixtures
    login: Any, secure: Any, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """A SOCKS proxy resolves the host's name, and its connection is used again."""
    server = serve(http.answer(), tls=authority.secure("h.invalid") if secure else None)
    proxy = SocksProxy(serve, server, login)
    client = caller(
        f"{'https' if secure else 'http'}://h.invalid",
        proxy=proxy.url.replace("//", "//user:p%3Aw%40@") if login else proxy.url,
        ca_bundle=authority.file,
    )
    for _ in range(2):
        assert client.ask("generate").text == "Hi you"
    client.close()
    assert proxy.asked == [("h.invalid", 443 if secure else 80)]


@pytest.mark.parametrize("login", ["", "user:wrong@"])
def test_a_socks_proxy_that_refuses_a_login_is_named(
    login: str, http: Any, serve: Any, caller: Any
) -> None:
    """A refused login at a SOCKS proxy is reported once, without the password."""
    proxy = SocksProxy(serve, serve(http.answer()), LOGIN)
    client = caller("http://h.invalid", proxy=proxy.url.replace("//", f"//{login}"))
    error = client.ask("generate").error
    assert type(error) is AuthenticationError
    assert proxy.url in str(error)
    assert "wrong" not in str(error)
    assert error.requests == 1


def test_a_socks_proxy_that_refuses_the_host_is_told(http: Any, serve: Any, caller: Any) -> None:
    """A SOCKS proxy that refuses the host raises `ConnectError` with its reason."""
    proxy = SocksProxy(serve, serve(http.answer()))
    proxy.refuses = True
    error = caller("http://h.invalid", proxy=proxy.url, max_retries=0).ask("generate").error
    assert type(error) is ConnectError
    assert "the SOCKS proxy cannot connect: not allowed" in str(error)


@pytest.mark.parametrize("kind", ["socks", "http", "https"])
def test_connecting_by_a_silent_proxy_ends_in_time(
    kind: str, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """`connect_timeout` counts the proxy's part too, of every kind of proxy."""
    proxy: Any = serve(
        lambda peer: peer.wait_until_left(), tls=authority.secure() if kind == "https" else None
    )
    if kind == "socks":
        proxy = SocksProxy(serve, serve(http.answer()))
        proxy.stalls = True
    limits = {"connect_timeout": 0.2, "max_retries": 0}
    client = caller("https://h.invalid", proxy=proxy.url, ca_bundle=authority.file, **limits)
    error = client.ask("generate").error
    assert type(error) is ConnectTimeoutError
    assert (error.setting, error.seconds, error.requests) == ("connect_timeout", 0.2, 1)


@pytest.mark.parametrize("kind", ["socks", "http", "https"])
@pytest.mark.parametrize("setting", ["first_token_timeout", "deadline", "idle_timeout"])
def test_limits_hold_behind_a_proxy(  # noqa: PLR0917 -- fixtures
    kind: str, setting: str, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """Time limits apply to connections through a proxy."""

    def silent(peer: Any) -> None:
        if setting == "idle_timeout":
            peer.send(http.head() + http.chunk(http.event("Hi")))
        peer.wait_until_left()

    server = serve(silent, tls=authority.secure("h.invalid"))
    proxy: Any = SocksProxy(serve, server)
    if kind != "socks":
        proxy = serve(tls=authority.secure() if kind == "https" else None)
        proxy.scripts = (lambda peer: tunnel(peer, server),)
    limits = {setting: 0.2, "max_retries": 0}
    client = caller("https://h.invalid", proxy=proxy.url, ca_bundle=authority.file, **limits)
    error = client.ask("stream").error
    client.close()
    assert isinstance(error, RequestTimeoutError)  # while connecting, on a busy machine
    assert (error.setting, error.seconds, error.requests) == (setting, 0.2, 1)


def tunnel(peer: Any, server: Any) -> None:
    """Do what CONNECT asks for."""
    peer.send(b"HTTP/1.1 200 .\r\n\r\n")
    forward(peer, server)
