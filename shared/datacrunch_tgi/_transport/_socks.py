"""SOCKS5 handshake. Pure: replies in, requests out.

httpx supports SOCKS, but httpcore writes the password to its debug log.
"""

from collections.abc import Generator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from socksio import ProtocolError, socks5

_LONGEST_REPLY = 262
"""Longest reply, in bytes (RFC 1928)."""

_REFUSALS = {
    b"\x01": "general failure",
    b"\x02": "not allowed",
    b"\x03": "network unreachable",
    b"\x04": "host unreachable",
    b"\x05": "connection refused",
    b"\x06": "TTL expired",
    b"\x07": "command not supported",
    b"\x08": "address type not supported",
}


class SocksError(OSError):
    """The proxy refused; `is_about_login` is True if because of user and password."""

    is_about_login = False


def negotiate(proxy: SecretStr, host: str, port: int) -> Generator[bytes | None, bytes, None]:
    """Yield bytes to send to the proxy, and receive its replies; None is the end.

    Raises:
        SocksError: The proxy refused, or does not speak SOCKS5.
    """
    parts = urlsplit(proxy.get_secret_value())
    connection: Any = socks5.SOCKS5Connection()  # its methods are untyped
    methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
    if parts.username:
        methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
    connection.send(socks5.SOCKS5AuthMethodsRequest(methods))
    reply = yield from _reply(connection)
    method = getattr(reply, "method", None)
    if method == socks5.SOCKS5AuthMethod.USERNAME_PASSWORD and parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
        connection.send(socks5.SOCKS5UsernamePasswordRequest(user.encode(), password.encode()))
        reply = yield from _reply(connection)
        if not getattr(reply, "success", False):
            raise _login_error("the SOCKS proxy refused user and password")
    elif method != socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED:
        raise _login_error("the SOCKS proxy requires a user and password")
    command = socks5.SOCKS5Command.CONNECT
    connection.send(socks5.SOCKS5CommandRequest.from_address(command, (host, port)))
    reply = yield from _reply(connection)
    code = getattr(reply, "reply_code", None)
    if code != socks5.SOCKS5ReplyCode.SUCCEEDED:
        reason = _REFUSALS.get(getattr(code, "value", b""), "unknown reason")
        raise SocksError(f"the SOCKS proxy cannot connect: {reason}")
    yield None


def _login_error(message: str) -> SocksError:
    error = SocksError(message)
    error.is_about_login = True
    return error


def _reply(connection: socks5.SOCKS5Connection) -> Generator[bytes | None, bytes, object]:
    """Send pending data; read a reply, however it is chunked."""
    received = yield connection.data_to_send()
    while True:
        try:
            return connection.receive_data(received)
        except (ProtocolError, ValueError, IndexError):
            if len(received) > _LONGEST_REPLY:
                raise SocksError("the proxy does not speak SOCKS5") from None
        more = yield b""
        if not more:
            raise SocksError("the SOCKS proxy closed the connection")
        received += more
