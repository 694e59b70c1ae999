"""Where to send, as whom, and how patiently: from arguments, then the environment. Pure.

The only reader of the environment: `DATACRUNCH_API_KEY`, `DATACRUNCH_BASE_URL`, `DATACRUNCH_MODEL`
and the standard proxy variables; the standard certificate variables are httpx's to read.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, wraps
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import BaseModel, Field, SecretStr

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._tokenizers import Encode, Encoder, as_function
from datacrunch_tgi._validation import Text, checked, checker, refuse_unknown

DEFAULT_BASE_URL = "https://inference.datacrunch.io/v1/completions"

Made = TypeVar("Made", bound="Settings")
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _with_known_names(settings: type[Made]) -> type[Made]:
    """Let a misspelt setting be refused as any other wrong one is: with a suggestion."""
    make = settings.__init__

    @wraps(make)
    def init(self: Made, **given: Any) -> None:
        known = (item.name for item in fields(Settings))
        refuse_unknown(given, known, kind="setting", call_arguments=self.call_arguments)
        make(self, **given)

    settings.__init__ = init  # type: ignore[assignment]  # the signature is the wrapped one
    return settings


@_with_known_names
@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """The settings of a client; each can be read back, none can be changed.

    Raises:
        ArgumentError: Names the setting, its value unless secret, and the rule that it breaks.
    """

    base_url: Annotated[
        Text | None,
        Field(
            description="What stands before /generate and /generate_stream. Else DATACRUNCH_BASE_URL, "
            f"else {DEFAULT_BASE_URL}."
        ),
    ] = None
    api_key: Annotated[
        SecretStr | str | None,
        Field(
            description="Sent as a bearer token. Else DATACRUNCH_API_KEY. Required for DataCrunch's own "
            "host, optional elsewhere."
        ),
    ] = field(default=None, repr=False)
    model: Annotated[
        Text | None,
        Field(
            description="The language model; a gateway demands it, a plain server ignores it. Else "
            "DATACRUNCH_MODEL. Required for DataCrunch's own host, elsewhere 'tgi' by default."
        ),
    ] = None
    connect_timeout: Annotated[_Seconds, Field(description="Seconds to open a connection.")] = 10.0
    first_token_timeout: Annotated[
        _Seconds,
        Field(
            description="Seconds from sending a request to its first token; where nothing is streamed, "
            "to the answer. Not tried again: the server may still be generating."
        ),
    ] = 120.0
    idle_timeout: Annotated[
        _Seconds,
        Field(
            description="Seconds without a byte, once the first token is there; a comment is life."
        ),
    ] = 60.0
    deadline: Annotated[
        _Seconds,
        Field(
            description="Seconds for all attempts and the waits between them, up to the first token."
        ),
    ] = 300.0
    max_retries: Annotated[
        int,
        Field(ge=0, description="How often a request is sent again; never after its first token."),
    ] = 2
    max_connections: Annotated[
        int,
        Field(
            ge=1,
            description="Open requests at a time (for each event loop); others wait their turn.",
        ),
    ] = 64
    max_stop_sequences: Annotated[
        int,
        Field(
            ge=0, description="Stop strings that the server takes; the client looks for the others."
        ),
    ] = 4
    headers: Annotated[
        Mapping[str, str] | None,
        Field(
            description="Further headers of every request; never shown. An Authorization among them "
            "stands in the place of a key: none is read from DATACRUNCH_API_KEY, none may be given."
        ),
    ] = field(default=None, repr=False)
    proxy: Annotated[
        SecretStr | str | None,
        Field(
            description="URL of a proxy. Else the standard variables HTTPS_PROXY, NO_PROXY and so on."
        ),
    ] = field(default=None, repr=False)
    ca_bundle: Annotated[
        str | os.PathLike[str] | None,
        Field(description="File with the certificate authorities to trust, PEM."),
    ] = None
    client_certificate: Annotated[
        str | tuple[str, str] | tuple[str, str, str] | None,
        Field(
            description="This client's certificate: file, or files of certificate and key, and password."
        ),
    ] = field(default=None, repr=False)
    tokenizer: Annotated[
        Encode | Encoder | str | os.PathLike[str] | None,
        Field(
            description="Counts a prompt where the server does not tell its tokens: a function from "
            "text to tokens, a tokenizers.Tokenizer, or the path of a tokenizer.json. Reads back as "
            "the function."
        ),
    ] = field(default=None, repr=False)

    proxy_url: ClassVar[SecretStr | None] = None
    """The proxy in use: `proxy`, else the environment's for this `base_url`. Follows from the settings."""
    call_arguments: ClassVar[Iterable[str]] = ()
    """What is no setting, but an argument of a client's calls."""

    def __post_init__(self) -> None:
        given = {item.name: getattr(self, item.name) for item in fields(Settings)}
        variables: dict[str, str] = {}
        try:
            settings = _resolved(checked(_checker(), given, secret=_SECRET), variables)
        except ArgumentError as error:
            if error.field not in variables:
                raise
            rule = f"{error.rule} (from the variable {variables[error.field]})"
            raise ArgumentError(error.field, rule, value=error.value) from None
        for name, value in settings.items():
            object.__setattr__(self, name, value)


_SECRET = ("base_url", "api_key", "headers", "proxy", "client_certificate")
"""Settings whose value no error shows before it is known to hold no secret."""


@cache
def _checker() -> type[BaseModel]:
    return checker(Settings)


def alone(settings: Settings) -> Settings:
    """The same settings without the client that has them, for what must not keep it alive."""
    copy = object.__new__(Settings)
    for name in (*(item.name for item in fields(Settings)), "proxy_url"):
        object.__setattr__(copy, name, getattr(settings, name))
    return copy


def reveal(secret: SecretStr | str | None) -> str | None:
    """The secret itself, to be used and dropped."""
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret


def _secret(value: SecretStr | str | None) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) else value


def _require(name: str, value: object, url: str) -> None:
    if not value:
        variable = f"DATACRUNCH_{name.upper()}"
        raise ArgumentError(
            name, f"is required for {url}: pass {name}=, or set the variable {variable}"
        )


def _resolved(settings: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    """The settings as they are used; `variables` is told which of them came from which variable."""
    authorized = _check_headers(settings["headers"] or {})
    if authorized and settings["api_key"]:
        raise ArgumentError("headers", "must not hold Authorization beside api_key: give one")
    for name in ("base_url", "model") if authorized else ("base_url", "model", "api_key"):
        variable = f"DATACRUNCH_{name.upper()}"
        if not settings[name] and (value := os.environ.get(variable)):
            settings[name], variables[name] = value, variable
    settings |= checked(_checker(), {name: settings[name] for name in variables}, secret=_SECRET)
    url = _base_url(settings["base_url"] or DEFAULT_BASE_URL)
    key, proxy = _api_key(settings["api_key"]), _secret(settings["proxy"]) or None
    if urlsplit(url).hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        _require("api_key", key or authorized, url)
        _require("model", settings["model"], url)
    return settings | {
        "base_url": url,
        "api_key": key,
        "model": settings["model"] or "tgi",
        "proxy": proxy,
        "proxy_url": _proxy_url(reveal(proxy) or _environment_proxy(url, variables)),
        "ca_bundle": settings["ca_bundle"] and os.fspath(settings["ca_bundle"]),
        "tokenizer": as_function(settings["tokenizer"]),
    }


def _split(name: str, url: str, shown: str = "") -> SplitResult:
    """Take a URL apart, and refuse what no connection could be made from."""
    if re.search(r"[^!-~]", url):
        rule = "must not hold white space or non-ASCII characters"
        raise ArgumentError(name, rule, value=shown)
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        parts.port  # noqa: B018 -- reading it checks it
        host = re.sub(r"^.*@|:[0-9]*$", "", parts.netloc)
        if "[" in host or "]" in host:
            IPv6Address(re.sub(r"^\[([^][]*)\]$", r"\1", host))
        elif re.fullmatch(r"[0-9.]+", host):
            IPv4Address(host)
    except ValueError:
        raise ArgumentError(name, "is not a valid URL") from None
    return parts


def _base_url(url: str) -> str:
    if "@" in url:
        raise ArgumentError(
            "base_url", "must not hold a user or password: pass the key as api_key="
        )
    if "?" in url or "#" in url:
        raise ArgumentError("base_url", "must not hold a query or fragment")
    parts = _split("base_url", url, repr(url))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ArgumentError(
            "base_url", "must begin with http:// or https:// and name a host", value=repr(url)
        )
    if re.search(r"/generate(_stream)?/*$", parts.path):
        raise ArgumentError(
            "base_url", "is what stands before /generate: leave the route off", value=repr(url)
        )
    return parts.geturl().rstrip("/")  # its scheme is in lower case


def _api_key(key: SecretStr | str | None) -> SecretStr | None:
    if re.search(r"[^!-~]", reveal(key) or ""):
        raise ArgumentError("api_key", "must not hold white space or non-ASCII characters")
    return _secret(key)


def _check_headers(headers: Mapping[str, str]) -> bool:
    """Refuse what cannot be sent; tell whether there is an Authorization."""
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ArgumentError("headers", "a name must be made of letters, digits and hyphens")
        if name.lower() in {"content-length", "transfer-encoding"}:
            raise ArgumentError("headers", f"{name} is the client's to set")
        if not re.fullmatch(r"[!-~]([ \t!-~]*[!-~])?|", value):
            raise ArgumentError(
                "headers", f"the value of {name!r} must be printable ASCII, without line ends"
            )
    return any(name.lower() == "authorization" for name in headers)


def _proxy_url(url: str | None) -> SecretStr | None:
    if not url:
        return None
    parts = _split("proxy", url)
    if parts.scheme not in {"http", "https", "socks5", "socks5h"} or not parts.hostname:
        raise ArgumentError(
            "proxy", "must begin with http://, https:// or socks5:// and name a host"
        )
    return _secret(parts.geturl())


def _environment_proxy(url: str, variables: dict[str, str]) -> str | None:
    parts = urlsplit(url)
    proxies = getproxies()
    if not proxies or proxy_bypass(parts.netloc):
        return None
    for kind in (parts.scheme, "all"):
        if proxy := proxies.get(kind):
            variables["proxy"] = f"{kind.upper()}_PROXY"
            return proxy if "://" in proxy else f"http://{proxy}"
    return None
