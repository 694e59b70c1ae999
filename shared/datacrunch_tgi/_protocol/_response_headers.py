"""Headers of a response, without secrets. Pure."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from datacrunch_tgi._errors import REDACTED
from datacrunch_tgi._protocol._redact import (
    LONGEST_SEARCHED,
    SECRET_NAME,
    SHORTEST_SECRET,
    without_user_and_query,
)

_HARMLESS = frozenset({"content-type", "date", "server", "transfer-encoding", "vary"})
"""Headers of nearly every response, whose values a server does not take from a request."""
_COOKIE = "cookie"
_ADDRESSES = frozenset({"content-location", "location"})


class ResponseHeaders(Mapping[str, str]):
    """Headers of a response: read-only, with case-insensitive names, and without secrets.

    Cookies are left out, other values that are secret by their name are hidden, and `redact` takes out
    what a server repeats of the client's own secrets: when a value is read, which most never are.

    Args:
        values: The headers, with names in lower case.
        redact: Takes the client's secrets out of a text. None: there are none in it.
    """

    __slots__ = ("_redact", "_values")

    def __init__(
        self,
        values: Mapping[str, str] = MappingProxyType({}),
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._values, self._redact = values, redact

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        if _COOKIE in name:
            raise KeyError(name)
        value = self._values[name]
        if self._redact is None or name in _HARMLESS:
            return value
        return _shown(name, value, self._redact)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default. `Mapping.get` would raise and catch a KeyError."""
        name = name.lower()
        return self[name] if name in self._values and _COOKIE not in name else default

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._values if _COOKIE not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)  # a pickle or copy holds what is shown, and no secret

    def shortened(self) -> Self:
        """Return a copy for an error, without secrets. What is too long to be searched is hidden."""
        left, values = LONGEST_SEARCHED, dict(self)
        for name, value in values.items():
            if len(value) <= left:
                left -= len(value)
            else:
                values[name] = REDACTED
        return type(self)(values)

    def with_redacted(self, redact: Callable[[str], str]) -> Self:
        """Return a copy from which something else is taken out too, now."""
        return type(self)({name: _shown(name, value, redact) for name, value in self.items()})


NO_HEADERS = ResponseHeaders()


def _shown(name: str, value: str, redact: Callable[[str], str]) -> str:
    if len(value) < SHORTEST_SECRET:
        return value
    if value.replace(".", "").isdecimal():
        # A number, of tokens for example, is secret only if all of it is.
        return REDACTED if redact(value) == REDACTED else value
    if SECRET_NAME.search(name) and not name.endswith("-authenticate"):
        return REDACTED
    return redact(without_user_and_query(value) if name in _ADDRESSES else value)
