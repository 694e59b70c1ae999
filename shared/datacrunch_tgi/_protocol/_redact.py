"""Take secrets and the prompt out of what the other side of a connection says. Pure."""

from collections.abc import Iterable

from pydantic import SecretStr

from datacrunch_tgi._errors import REDACTED

SHORTEST_SECRET = 8
"""Characters from which on a value is a secret; shorter ones are placeholders for a key, and words."""


class Redactor:
    """What a client must not show: the secrets in its headers and in its proxy's URL.

    Args:
        headers: Every header of the client's own, Authorization included.
        proxy: The URL of the proxy in use.
    """

    def __init__(
        self, headers: Iterable[tuple[str, SecretStr]] = (), proxy: SecretStr | None = None
    ) -> None:
        self._headers, self._proxy = tuple(headers), proxy

    def redact(self, words: str, prompt: str) -> str:
        """Return the words of a server, a proxy or a library without secrets and the prompt."""
        for secret in (*self._secrets(), prompt):
            if len(secret) >= SHORTEST_SECRET:
                words = words.replace(secret, REDACTED)
        return words

    def _secrets(self) -> Iterable[str]:
        for _, value in self._headers:
            yield value.get_secret_value()
            yield value.get_secret_value().partition(" ")[2]
