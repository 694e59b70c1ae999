"""Maps errors of libraries and the operating system to this package's; only their text is kept."""

import ssl
from urllib.parse import urlsplit

from datacrunch_tgi._errors import (
    APIError,
    AuthenticationError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    MalformedResponseError,
    RequestTimeoutError,
    TLSError,
    TransportError,
)
from datacrunch_tgi._secrets import reveal
from datacrunch_tgi._transport._exceptions import causes, describe, is_about_tls, is_unknown_host
from datacrunch_tgi._transport._http import httpx
from datacrunch_tgi._transport._socks import SocksError
from datacrunch_tgi._transport._target import Target

FAILURES = (
    APIError,
    TransportError,
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,
    UnicodeError,
)
"""Exceptions of I/O, and this package's own. Some of the operating system's errors pass through httpx
unchanged: an asyncio timeout, a TLS alert after the handshake, a name that cannot be resolved."""
PROXY_LOGIN = 407
"""HTTP status of a proxy that refuses user and password."""
_OTHER_NAME = (62, 64)
"""OpenSSL's codes for a certificate of another host name or IP address."""


def to_error(error: Exception, target: Target) -> DataCrunchError:  # noqa: PLR0911 -- one for each kind
    """Return this package's error for an I/O error."""
    if isinstance(error, DataCrunchError):
        return error
    words = describe(error)
    proxy = _proxy_name(target)
    host = f"{target.base_url}{f' through the proxy {proxy}' if proxy else ''}"
    if _is_login_refused(error):
        return login_error(target, words)
    match error:
        case httpx.ConnectTimeout():
            return ConnectTimeoutError(f"timed out connecting to {host}")
        case TimeoutError() | httpx.TimeoutException():
            return RequestTimeoutError(f"timed out waiting for {host}")
        case _ if is_about_tls(error):
            return _tls_error(error, host, words, proxy)
        case httpx.ConnectError() | httpx.ProxyError() | httpx.InvalidURL() | UnicodeError():
            failure = ConnectError(f"no connection to {host}", said=words)
            failure.host_not_found = is_unknown_host(error)
            return failure
        case httpx.RemoteProtocolError() if "malformed" in words.lower():
            return MalformedResponseError(f"the response of {host} is not HTTP", said=words)
        case _:
            return DisconnectedError(f"the connection to {host} broke", said=words)


def login_error(target: Target, words: str = "") -> AuthenticationError:
    """Return the error for a proxy that refuses user and password."""
    error = AuthenticationError(
        f"the proxy {_proxy_name(target)} refused user and password (407)",
        server_message=words,
        status=PROXY_LOGIN,
    )
    error.hint = "Check user and password in proxy, or in the proxy variables."
    return error


def _tls_error(error: Exception, host: str, words: str, proxy: str) -> TLSError:
    failure = TLSError(f"no secure connection to {host}", said=words)
    certificate = next(
        (cause for cause in causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None
    )
    if certificate is None:
        url = "base_url, or the proxy's URL," if proxy.startswith("https:") else "base_url"
        failure.hint = f"Check whether {url} should begin with http://."
    elif certificate.verify_code in _OTHER_NAME:
        failure.hint = "Pass server_hostname, the name that the certificate is for."
    return failure


def _is_login_refused(error: Exception) -> bool:
    if isinstance(error, httpx.ProxyError) and str(error).startswith("407"):
        return True
    return any(isinstance(cause, SocksError) and cause.is_about_login for cause in causes(error))


def _proxy_name(target: Target) -> str:
    """Return the proxy's URL without user and password; "" without a proxy."""
    parts = urlsplit(reveal(target.proxy) or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
