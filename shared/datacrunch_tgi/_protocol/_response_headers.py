"""Headers of a response, without secrets. Pure."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from datacrunch_tgi._errors import REDACTED
from datacrunch_tgi._protocol._redact import SECRET_NAME, SHORTEST_SECRET, without_user_and_query

_HARMLESS = frozenset({"content-type", "date", "server", "transfer-encoding", "vary"})
"""Headers of nearly every response, whose values a server does not take from a request."""
_ADDRESSES = frozenset({"content-location", "location"})


class ResponseHeaders(Mapping[str, str]):
    """Headers of a response: read-only, with case-insensitive names."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] = MappingProxyType({})) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


NO_HEADERS = ResponseHeaders()


def without_secrets(headers: Mapping[str, str], redact: Callable[[str], str]) -> ResponseHeaders:
    """Return the headers that are not secret, with names in lower case.

    Cookies are left out, other values that are secret by their name are hidden, and `redact` takes out
    what a server repeats of the client's own secrets.
    """
    return ResponseHeaders(
        {
            name: _shown(name, value, redact)
            for name, value in headers.items()
            if "cookie" not in name
        }
    )


def _shown(name: str, value: str, redact: Callable[[str], str]) -> str:
    if len(value) < SHORTEST_SECRET or name in _HARMLESS or value.replace(".", "").isdecimal():
        return value
    if SECRET_NAME.search(name) and not name.endswith("-authenticate"):
        return REDACTED
    return redact(without_user_and_query(value) if name in _ADDRESSES else value)
