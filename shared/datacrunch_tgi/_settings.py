"""Settings of a client: URL, key, model, time limits and connections.

    arguments ────────┐
                      ├─▶ resolve ─▶ Settings
    environment ──────┘

Both sources are kept, so that a copy with changes is resolved as new settings would be. Only these
modules read DATACRUNCH_API_KEY, DATACRUNCH_BASE_URL, DATACRUNCH_MODEL and the proxy variables.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypedDict, Unpack, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
)

from datacrunch_tgi._aliases import SpelledAsGiven, resolve_aliases
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._parameters import CALL_ARGUMENTS
from datacrunch_tgi._resolve import (
    DEFAULT_BASE_URL,
    VARIABLES,
    from_environment,
    read_environment,
    resolve,
)
from datacrunch_tgi._secrets import Secret, SecretHeaders
from datacrunch_tgi._signatures import with_arguments, with_documented_fields
from datacrunch_tgi._tokenizers import Encode, Encoder, as_function
from datacrunch_tgi._validation import Text, check_fields, refuse_unknown

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Engine = Literal["httpx", "fast"]


def _hide(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return None if headers is None else SecretHeaders(headers)


def _as_dict(value: object) -> object:
    return dict(value) if isinstance(value, SecretHeaders) else value


def _as_path(value: object) -> object:
    return os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value


def _as_tuple(value: object) -> object:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


class SettingsFields(BaseModel):
    """Every setting, with its type, unit and default."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    base_url: Text = DEFAULT_BASE_URL
    """URL prefix of `/generate` and `/generate_stream`. Default: DATACRUNCH_BASE_URL, else
    https://inference.datacrunch.io/v1/completions."""
    api_key: Secret | None = Field(default=None, repr=False, exclude=True)
    """API key, sent as a bearer token. Default: DATACRUNCH_API_KEY. Required for DataCrunch's own host."""
    model: Text = "tgi"
    """Model name. Default: DATACRUNCH_MODEL, else "tgi". Required for DataCrunch's own host; a plain
    server ignores it."""
    connect_timeout: Seconds = 10.0
    """Longest time to open a connection, in seconds."""
    first_token_timeout: Seconds = 120.0
    """Longest wait from sending a request to its first token (its answer, if not streamed), in seconds.
    Not retried: the server may still be generating. `timeout` is accepted too."""
    idle_timeout: Seconds = 60.0
    """Longest silence after the first token, in seconds. Keep-alive comments reset it."""
    deadline: Seconds = 300.0
    """Longest time for all attempts and the waits between them, up to the first token, in seconds. It
    starts when a connection is free."""
    pool_timeout: Seconds = 300.0
    """Longest wait for a free connection, in seconds. It starts again whenever another request ends."""
    startup_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How long to wait for a server that is starting (502, 503, 504, no connection), in seconds."""
    max_retries: Annotated[int, Field(ge=0)] = 2
    """Maximum number of retries. A request is never retried after its first token."""
    max_connections: Annotated[int, Field(ge=1)] = 64
    """Maximum number of open requests, for each event loop; others wait for a free connection."""
    max_stop_sequences: Annotated[int, Field(ge=0)] = 4
    """Number of stop strings that the server accepts; the client looks for the others."""
    headers: Annotated[
        Mapping[str, str] | None, BeforeValidator(_as_dict), AfterValidator(_hide)
    ] = Field(default=None, repr=False, exclude=True)
    """Extra headers for every request. If they include Authorization, DATACRUNCH_API_KEY is ignored and
    `api_key` must not be set."""
    proxy: Secret | None = Field(default=None, repr=False, exclude=True)
    """URL of a proxy (http, https, socks5). Default: HTTPS_PROXY, NO_PROXY and the other standard
    variables."""
    ca_bundle: Annotated[str | None, BeforeValidator(_as_path)] = None
    """File of certificate authorities to trust, in PEM format. Default: the system's."""
    client_certificate: Annotated[
        str | tuple[str, str] | tuple[str, str, Secret] | None, BeforeValidator(_as_tuple)
    ] = Field(default=None, repr=False, exclude=True)
    """Client certificate: a file, or (certificate file, key file), or (certificate, key, password)."""
    server_hostname: Text | None = None
    """Host name expected in the server's certificate. Default: the host of `base_url`."""
    engine: Engine = "httpx"
    """HTTP engine: "httpx", or "fast" for direct connections (extra `fast`)."""
    tokenizer: Annotated[Encode | None, BeforeValidator(as_function)] = Field(
        default=None, repr=False, exclude=True
    )
    """Counts prompt tokens if the server does not report them. A function from text to tokens, a
    tokenizers.Tokenizer, or the path of a tokenizer.json; reads back as a function."""


class SettingsArguments(TypedDict, total=False):
    """Keyword arguments of `Client` and `AsyncClient`; see `Settings` for their meaning."""

    base_url: str | None
    api_key: SecretStr | str | None
    model: str | None
    connect_timeout: float
    first_token_timeout: float
    timeout: float
    idle_timeout: float
    deadline: float
    pool_timeout: float
    startup_timeout: float
    max_retries: int
    max_connections: int
    max_stop_sequences: int
    headers: Mapping[str, str] | None
    proxy: SecretStr | str | None
    ca_bundle: str | os.PathLike[str] | None
    client_certificate: str | tuple[str, str] | tuple[str, str, str] | None
    server_hostname: str | None
    engine: Engine
    tokenizer: Encode | Encoder | str | os.PathLike[str] | None


SETTINGS = tuple(SettingsFields.model_fields)
DEFAULTS = {name: field.default for name, field in SettingsFields.model_fields.items()}
SECRET = ("base_url", "api_key", "headers", "proxy", "client_certificate")
"""Settings that may contain a secret, so that errors do not show their values."""


@with_documented_fields(SettingsArguments, SettingsFields)
class Settings(SettingsFields):
    """Settings of a client, resolved from arguments and the environment. Immutable.

    Examples:
        >>> Settings(base_url="http://localhost:8080", max_retries=0).base_url
        'http://localhost:8080'

    Args:
        **given: The settings that differ from the defaults.

    Raises:
        ArgumentError: A setting is invalid. The error names the setting, its value unless secret, and the
            rule.
    """

    model_config = ConfigDict(frozen=True)

    _given: dict[str, Any] = PrivateAttr()
    _environment: dict[str, SecretStr] = PrivateAttr()
    _proxy_url: SecretStr | None = PrivateAttr()

    @with_arguments(SettingsArguments, DEFAULTS)
    def __init__(self, **given: Unpack[SettingsArguments]) -> None:
        self._resolve(given, read_environment())

    def _resolve(self, given: Mapping[str, Any], environment: dict[str, SecretStr]) -> None:
        with SpelledAsGiven(given):
            names = resolve_aliases(given)
            refuse_unknown(names, SETTINGS, kind="setting", call_arguments=CALL_ARGUMENTS)
            names = {name: value for name, value in names.items() if value is not None}
            variables = from_environment(names, environment)
            try:
                checked = check_fields(SettingsFields, {**names, **variables}, secret=SECRET)
                resolved, proxy_url = resolve(checked, environment)
            except ArgumentError as error:
                if error.field not in variables:
                    raise
                rule = f"{error.rule} (from the variable {VARIABLES[error.field]})"
                raise ArgumentError(error.field, rule, value=error.value) from None
        super().__init__(**resolved)
        self._given = {name: checked[name] for name in names}
        self._environment, self._proxy_url = environment, proxy_url

    @property
    def proxy_url(self) -> SecretStr | None:
        """Proxy in use: `proxy`, else the environment's for this `base_url`; None for a direct connection."""
        return self._proxy_url

    def replace(self, **changed: Unpack[SettingsArguments]) -> Self:
        """Copy the settings with changes. The copy is resolved again from all arguments.

        Raises:
            ArgumentError: As for new settings.
        """
        copy = type(self).__new__(type(self))
        copy._resolve({**self._given, **resolve_aliases(changed)}, self._environment)
        return copy
