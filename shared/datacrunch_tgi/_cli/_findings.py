"""Results of checking an endpoint. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from datacrunch_tgi._cli._failures import hint_of, message_of
from datacrunch_tgi._cli._options import option_name
from datacrunch_tgi._errors import (
    APIError,
    ArgumentError,
    AuthenticationError,
    ConnectError,
    DataCrunchError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
)
from datacrunch_tgi._resolve import DEFAULT_BASE_URL, is_authorized
from datacrunch_tgi._settings import Settings

KEY, BASE_URL, ROUTE, MODEL = "key", "base URL", "route", "model"
TOKEN, STREAM = "one token", "one stream"
CHECKS = (KEY, BASE_URL, ROUTE, MODEL, TOKEN, STREAM)
NO_KEY = "none"

_OF_SETTING = {"api_key": KEY, "base_url": BASE_URL, "model": MODEL}
_PROVEN: dict[str, tuple[str, ...]] = {
    KEY: (BASE_URL,),
    BASE_URL: (),
    ROUTE: (BASE_URL,),
    MODEL: (KEY, BASE_URL, ROUTE),
    TOKEN: (KEY, BASE_URL, ROUTE, MODEL),
    STREAM: (KEY, BASE_URL, ROUTE, MODEL, TOKEN),
}
"""For each check, those that must have passed if a request fails there."""


class Mark(Enum):
    """Result of a check, with an ASCII sign for terminals without Unicode."""

    PASSED = ("✓", "+", "green", "")
    FAILED = ("✗", "x", "bold red", "")
    SKIPPED = ("·", "-", "dim", "dim")

    def __init__(self, sign: str, plain: str, style: str, text_style: str) -> None:
        self.sign, self.plain, self.style, self.text_style = sign, plain, style, text_style


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    check: str
    mark: Mark
    words: str
    hint: str = ""


def facts(client: Settings, given: Mapping[str, object]) -> dict[str, str]:
    """Describe the settings that are checked, and where each comes from.

    Args:
        client: The resolved settings.
        given: Settings from the command line. Others come from the environment, or are defaults.
    """

    def source(name: str, *, is_default: bool) -> str:
        if name in given:
            return f"from {option_name(name)}"
        return "the default" if is_default else f"from DATACRUNCH_{name.upper()}"

    is_default = client.base_url == DEFAULT_BASE_URL
    key = source("api_key", is_default=False) if client.api_key else NO_KEY
    if is_authorized(client.headers):
        key = f"from {option_name('headers')} Authorization"
    return {
        KEY: key,
        BASE_URL: f"{client.base_url}, {source('base_url', is_default=is_default)}",
        MODEL: f"{client.model}, {source('model', is_default=client.model == 'tgi')}",
    }


def failed_check(error: DataCrunchError, *, streaming: bool = False) -> str | None:
    """Return the check that an error fails; None if an option was refused that no check covers."""
    if isinstance(error, ArgumentError):
        return _OF_SETTING.get(error.field)
    if isinstance(error, AuthenticationError):
        return KEY
    if isinstance(error, ConnectError):
        return BASE_URL
    if streaming:
        return STREAM
    if isinstance(error, NotFoundError | InvalidRequestError) and _names_model(error):
        return MODEL
    return ROUTE if isinstance(error, NotFoundError | MalformedResponseError) else TOKEN


def _names_model(error: APIError) -> bool:
    """Whether the server names the model, the only value in so small a request that it can refuse."""
    return "model" in error.server_message.lower()


def findings(
    found: Mapping[str, str], error: DataCrunchError | None = None, failed: str | None = None
) -> list[Finding]:
    """Return the result of each check.

    Args:
        found: Descriptions, by check.
        error: The error that ended the checks, if one failed.
        failed: The check that failed.
    """
    if error is None or failed is None:
        return [Finding(check, Mark.PASSED, found[check]) for check in CHECKS]
    proven = () if isinstance(error, ArgumentError) else _PROVEN[failed]
    return [
        Finding(check, Mark.FAILED, _failed(check, found.get(check), error), hint_of(error))
        if check == failed
        else Finding(check, Mark.PASSED, found[check])
        if check in proven
        else Finding(check, Mark.SKIPPED, _skipped(found.get(check)))
        for check in CHECKS
    ]


def report(lines: Sequence[Finding], code: int, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the results for JSON.

    Args:
        lines: Result of each check.
        code: Exit code of the command.
        seconds: Time of each request, and until the first token of the stream.
    """
    return {
        "ok": code == 0,
        "exit_code": code,
        "checks": [
            {
                "check": line.check,
                "result": line.mark.name.lower(),
                "message": line.words,
                "hint": line.hint or None,
            }
            for line in lines
        ],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _failed(check: str, found: str | None, error: DataCrunchError) -> str:
    # An error of a connection names the address itself.
    return f"{found}: {message_of(error)}" if found and check != BASE_URL else message_of(error)


def _skipped(found: str | None) -> str:
    return f"not checked: {found}" if found else "not checked"
