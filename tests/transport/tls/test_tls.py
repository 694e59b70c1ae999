"""Secure connections use the configured certificates, and failures are reported clearly."""

import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import (
    ArgumentError,
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    TLSError,
)

ROUTES = pytest.mark.parametrize("route", ["generate", "stream"])
PASSWORD = "of-the-file"  # noqa: S105 -- made up


def reply(http: Any, route: str) -> Any:
    return http.answer() if route == "generate" else http.stream(http.events("Hi", " you"))


@ROUTES
def test_a_private_authority_is_trusted_where_it_is_named(
    *,
    route: str,
    authority: Any,
    http: Any,
    serve: Any,
    caller: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A private authority is trusted only if it is set; otherwise nothing is sent."""
    server = serve(reply(http, route), tls=authority.secure())
    unknown = caller(server.url, api_key="the-secret-key").ask(route).error
    assert type(unknown) is TLSError
    assert "certificate verify failed" in str(unknown).lower()
    assert (unknown.requests, server.requests) == (1, [])
    with_bundle = caller(server.url, ca_bundle=str(authority.file))
    for _ in range(2):
        assert with_bundle.ask(route).text == "Hi you"
    assert server.accepted == 2
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert caller(server.url).ask(route).text == "Hi you"


@ROUTES
def test_a_server_that_leaves_before_it_is_secure_is_no_matter_of_certificates(
    route: str, caller: Any
) -> None:
    """A server that leaves during the handshake raises `ConnectError`, which is retried."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            sock, _ = listener.accept()
            sock.recv(65536)
            sock.close()

        server = threading.Thread(target=greet)
        server.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        error = caller(url, max_retries=0).ask(route).error
        server.join()
    assert type(error) is ConnectError
    assert error.retryable


@ROUTES
@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x03\x00\x7a"], ids=["nothing", "a part"])
def test_a_handshake_that_does_not_end_is_limited_by_connect_timeout(
    route: str, begin: bytes, serve: Any, caller: Any
) -> None:
    """A server that accepts the connection, and is silent or stops in the middle of the handshake."""

    def stall(peer: Any) -> bool:
        peer.send(begin)
        while peer.sock.recv(65536):
            pass
        return False

    server = serve(b"")
    server.receive = stall
    url = server.url.replace("http:", "https:")
    error = caller(url, connect_timeout=0.2, max_retries=1).ask(route).error
    assert type(error) is ConnectTimeoutError
    assert (error.setting, error.requests, server.accepted) == ("connect_timeout", 2, 2)


@ROUTES
def test_a_certificate_for_another_host_is_refused(
    route: str, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """A trusted certificate for another host is refused."""
    server = serve(reply(http, route), tls=authority.secure("other.invalid"))
    error = caller(server.url, ca_bundle=str(authority.file)).ask(route).error
    assert type(error) is TLSError
    assert server.requests == []


@ROUTES
def test_a_broken_secure_connection_is_no_matter_of_certificates(
    route: str, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """TLS ended without close_notify, or by a reset: retried, and reported as a broken connection."""
    for end in ("close", "reset"):
        server = serve(
            lambda peer, end=end: getattr(peer, end)(), reply(http, route), tls=authority.secure()
        )
        broken = caller(server.url, ca_bundle=authority.file, max_retries=0).ask(route).error
        assert type(broken) is DisconnectedError


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@ROUTES
def test_a_client_certificate_is_shown_to_a_server_that_asks(
    *, route: str, version: ssl.TLSVersion, authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """A client certificate is sent as one file, as two, and with a password."""
    context = authority.context()
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    context.load_verify_locations(authority.file)
    server = serve(reply(http, route), tls=authority.secure(context=context))
    both, alone = authority.sign("someone.invalid")
    secret = (*authority.sign("hidden.invalid", PASSWORD), PASSWORD)
    for certificate in (both, (both, alone), secret):
        client = caller(server.url, ca_bundle=authority.file, client_certificate=certificate)
        assert client.ask(route).text == "Hi you"
    refused = caller(server.url, ca_bundle=authority.file).ask(route).error
    assert type(refused) is TLSError  # which TLS 1.3 reports after the handshake
    assert refused.requests == 1


@pytest.mark.parametrize("name", ["ca_bundle", "client_certificate"])
@pytest.mark.parametrize("content", [None, "no certificate"])
@ROUTES
def test_a_file_that_is_no_certificate_is_named(
    route: str, name: str, content: str | None, tmp_path: Path, caller: Any
) -> None:
    """When it is first needed: making a client reads nothing."""
    file = tmp_path / "file.pem"
    if content:
        file.write_text(content)
    error = caller("https://127.0.0.1:1", **{name: str(file)}).ask(route).error
    assert isinstance(error, ArgumentError)
    assert error.field == name


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_variable_may_name_the_authorities(  # noqa: PLR0917 -- fixtures
    variable: str, authority: Any, http: Any, serve: Any, caller: Any, monkeypatch: Any
) -> None:
    """Certificate authorities can be set by environment variables."""
    monkeypatch.setenv(variable, str(authority.file))
    server = serve(http.answer(), tls=authority.secure())
    assert caller(server.url).ask("generate").text == "Hi you"


def test_a_variable_may_list_folders(caller: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """SSL_CERT_DIR may list several folders."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(map(str, folders)))
    error = caller("https://127.0.0.1:1", max_retries=0).ask("generate").error
    assert isinstance(error, ConnectError)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_a_missing_file_is_named_with_its_variable(
    variable: str, caller: Any, monkeypatch: Any
) -> None:
    """A missing certificate file is reported with its environment variable."""
    monkeypatch.setenv(variable, "/nowhere/gone.pem")
    error = caller("https://127.0.0.1:9").ask("generate").error
    assert isinstance(error, ArgumentError)
    assert "ca_bundle='/nowhere/gone.pem': No such file" in str(error)
    assert str(error).endswith(f"(from the variable {variable})")


def test_a_certificate_of_another_name_is_reported_with_the_way_out(
    authority: Any, http: Any, serve: Any, caller: Any
) -> None:
    """The expected name can be passed; trusting other authorities would not help."""
    server = serve(http.answer(), tls=authority.secure("tgi.internal"))
    bundle = {"ca_bundle": str(authority.file), "max_retries": 0}
    error = caller(server.url, **bundle).ask("generate").error
    assert isinstance(error, TLSError)
    assert "server_hostname" in error.hint
    assert "ca_bundle" not in str(error)
    named = caller(server.url, **bundle, server_hostname="tgi.internal")
    assert named.ask("generate").text == "Hi you"


def test_the_systems_authorities_are_found_where_systems_keep_them(
    *, authority: Any, http: Any, serve: Any, caller: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """The system's authorities are found in the usual places; certifi's are the last resort."""
    (tmp_path / "README").touch()
    paths = ssl.DefaultVerifyPaths("", str(tmp_path), "", "", "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    server = serve(http.answer(), tls=authority.secure())
    for bundles, trusted in (("/nowhere", str(authority.file)), True), (("/nowhere",), False):
        monkeypatch.setattr("datacrunch_tgi._transport._tls.SYSTEM_BUNDLES", bundles)
        taken = caller(server.url).ask("generate")
        assert (taken.error is None) == trusted
