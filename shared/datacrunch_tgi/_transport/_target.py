"""The target of requests."""

from dataclasses import dataclass, field
from functools import cached_property

from pydantic import SecretStr

from datacrunch_tgi._transport._http import httpx
from datacrunch_tgi._transport._tls import TLSConfig


@dataclass(frozen=True)
class Target:
    """Where and how requests are sent. Clients with equal targets share connections.

    Attributes:
        base_url: URL prefix of the routes, without user, query and trailing slash.
        headers: The client's headers, including Authorization.
        proxy: URL of the proxy in use; None for a direct connection.
        tls: Certificates to trust and to present.
        engine: "httpx" or "fast".
        max_connections: Maximum number of open requests.
    """

    base_url: str
    headers: tuple[tuple[str, SecretStr], ...] = ()
    proxy: SecretStr | None = None
    tls: TLSConfig = field(default_factory=TLSConfig)
    engine: str = "httpx"
    max_connections: int = 64

    @cached_property
    def url(self) -> httpx.URL:
        """`base_url`, with host and path quoted as httpx does."""
        return httpx.URL(self.base_url)

    @cached_property
    def path(self) -> str:
        """Prefix of the paths of the routes."""
        return self.url.raw_path.decode("ascii").rstrip("/")

    @cached_property
    def header_lines(self) -> SecretStr:
        """The header lines of every request. A header of the user's replaces one of ours."""
        headers = {
            "host": ("Host", self.url.netloc.decode("ascii")),
            **{name.lower(): (name, value.get_secret_value()) for name, value in self.headers},
        }
        headers.pop("content-type", None)  # it is that of the body
        return SecretStr("".join(f"{name}: {value}\r\n" for name, value in headers.values()))
