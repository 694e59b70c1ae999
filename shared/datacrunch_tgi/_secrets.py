"""Secret values, which no repr shows."""

from collections.abc import Iterator, Mapping
from typing import Annotated, cast, overload

from pydantic import BeforeValidator, SecretStr

Secret = Annotated[
    SecretStr, BeforeValidator(lambda value: SecretStr(value) if isinstance(value, str) else value)
]
"""A string that is kept as a secret."""


class SecretHeaders(Mapping[str, str]):
    """Headers whose values no repr shows."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values = {name: SecretStr(value) for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name].get_secret_value()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(cast("Mapping[str, str]", other))

    __hash__ = None  # type: ignore[assignment]  # as for other mappings


@overload
def reveal(secret: SecretStr | str) -> str: ...
@overload
def reveal(secret: SecretStr | str | None) -> str | None: ...
def reveal(secret: SecretStr | str | None) -> str | None:
    """Return the secret as a plain string."""
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
