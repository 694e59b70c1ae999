"""Resolve settings: check the arguments, and fill in the rest from the environment. Pure."""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._proxies import environment_proxy
from datacrunch_tgi._secrets import reveal

DEFAULT_BASE_URL = "https://inference.datacrunch.io/v1/completions"

VARIABLES = {
    "base_url": "DATACRUNCH_BASE_URL",
    "api_key": "DATACRUNCH_API_KEY",
    "model": "DATACRUNCH_MODEL",
}
"""Settings whose default is an environment variable."""
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Environment = Mapping[str, SecretStr]


def read_environment() -> dict[str, SecretStr]:
    """Read the variables that settings depend on: our own, and those for proxies."""
    return {
        name: SecretStr(value)
        for name, value in os.environ.items()
        if value and (name in VARIABLES.values() or name.lower() in _PROXY_VARIABLES)
    }


def from_environment(given: Mapping[str, Any], environment: Environment) -> dict[str, str]:
    """Return the settings that were not passed and have a variable."""
    headers = given.get("headers")
    authorized = isinstance(headers, Mapping) and is_authorized(cast("Mapping[str, str]", headers))
    return {
        name: reveal(environment[variable])
        for name, variable in VARIABLES.items()
        if not given.get(name)
        and variable in environment
        and not (name == "api_key" and authorized)
    }


def resolve(
    settings: Mapping[str, Any], environment: Environment
) -> tuple[dict[str, Any], SecretStr | None]:
    """Resolve settings whose types have been checked; return them and the proxy in use.

    Raises:
        ArgumentError: A setting is invalid. The error names the setting, its value unless secret, and the
            rule.
    """
    _check_engine(settings.get("engine"))
    _check_headers(settings.get("headers") or {})
    authorized = is_authorized(settings.get("headers"))
    if authorized and settings.get("api_key"):
        raise ArgumentError("headers", "Authorization cannot be combined with api_key; pass one")
    key, proxy = _api_key(settings.get("api_key")), _proxy_url(settings.get("proxy"))
    url = _base_url(settings.get("base_url") or DEFAULT_BASE_URL)
    if urlsplit(url).hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        _require("api_key", key or authorized, url)
        _require("model", settings.get("model"), url)
    resolved = {
        **settings,
        "base_url": url,
        "api_key": key,
        "model": settings.get("model") or "tgi",
        "proxy": proxy,
    }
    return resolved, proxy or _environment_proxy(url, environment)


def is_authorized(headers: Mapping[str, str] | None) -> bool:
    """Return whether the headers include Authorization."""
    return "authorization" in (str(name).lower() for name in headers or {})


def _secret(value: SecretStr | str | None) -> SecretStr | None:
    return SecretStr(value) if isinstance(value, str) else value


def _require(name: str, value: object, url: str) -> None:
    if not value:
        raise ArgumentError(
            name, f"is required for {url}: pass {name}= or set the variable {VARIABLES[name]}"
        )


def _split(name: str, url: str, shown: str = "") -> SplitResult:
    """Split a URL; refuse an invalid one."""
    if re.search(r"[^!-~]", url):
        rule = "must not contain white space or non-ASCII characters"
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
            "base_url", "must not contain a user or password: pass the key as api_key="
        )
    if "?" in url or "#" in url:
        raise ArgumentError("base_url", "must not contain a query or fragment")
    parts = _split("base_url", url, repr(url))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ArgumentError(
            "base_url", "must begin with http:// or https:// and name a host", value=repr(url)
        )
    if re.search(r"/generate(_stream)?/*$", parts.path):
        raise ArgumentError(
            "base_url", "must be the URL prefix of /generate: leave the route off", value=repr(url)
        )
    return parts.geturl().rstrip("/")  # geturl makes the scheme lower case


def _api_key(key: SecretStr | str | None) -> SecretStr | None:
    if re.search(r"[^!-~]", reveal(key) or ""):
        raise ArgumentError("api_key", "must not contain white space or non-ASCII characters")
    return _secret(key) if reveal(key) else None


def _check_engine(engine: str | None) -> None:
    if engine == "fast" and not find_spec("httptools"):
        rule = 'needs an extra: pip install "datacrunch-tgi[fast]"'
        raise ArgumentError("engine", rule, value=repr(engine))


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ArgumentError("headers", "a name must be made of letters, digits and hyphens")
        if name.lower() in {"content-length", "transfer-encoding"}:
            raise ArgumentError("headers", f"{name} is set by the client")
        if not re.fullmatch(r"[!-~]([ \t!-~]*[!-~])?|", value):
            raise ArgumentError(
                "headers", f"the value of {name!r} must be printable ASCII, without line ends"
            )


def _proxy_url(url: SecretStr | str | None) -> SecretStr | None:
    if not (text := reveal(url)):
        return None
    parts = _split("proxy", text)
    if parts.scheme not in {"http", "https", "socks5", "socks5h"} or not parts.hostname:
        raise ArgumentError(
            "proxy", "must begin with http://, https:// or socks5:// and name a host"
        )
    return SecretStr(parts.geturl())


def _environment_proxy(url: str, environment: Environment) -> SecretStr | None:
    found = environment_proxy(url, {name: reveal(value) for name, value in environment.items()})
    if found is None:
        return None
    variable, proxy = found
    try:
        return _proxy_url(proxy)
    except ArgumentError as error:
        rule = f"{error.rule} (from the variable {variable})"
        raise ArgumentError(error.field, rule, value=error.value) from None
