"""The target of requests."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from datacrunch_tgi._transport._tls import TLSConfig


@dataclass(frozen=True, slots=True)
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
