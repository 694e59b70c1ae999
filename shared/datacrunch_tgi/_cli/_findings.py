"""What a check of an endpoint found, made of what the endpoint answered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

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
from datacrunch_tgi._resolve import DEFAULT_BASE_URL
from datacrunch_tgi._settings import Settings

KEY, BASE_URL, ROUTE, MODEL = "key", "base URL", "route", "model"
TOKEN, STREAM = "one token", "one stream"
CHECKS = (KEY, BASE_URL, ROUTE, MODEL, TOKEN, STREAM)

_OF_SETTING = {"api_key": KEY, "base_url": BASE_URL, "model": MODEL}
_PROVEN: dict[str, tuple[str, ...]] = {
    KEY: (BASE_URL,),
    BASE_URL: (),
    ROUTE: (BASE_URL,),
    MODEL: (KEY, BASE_URL, ROUTE),
    TOKEN: (KEY, BASE_URL, ROUTE, MODEL),
    STREAM: (KEY, BASE_URL, ROUTE, MODEL, TOKEN),
}
"""What a request has shown to be right when it fails at a check."""


class Mark(Enum):
    """How a check ended; in ASCII for terminals that have no other signs."""

    PASSED = ("✓", "+", "green", "")
    FAILED = ("✗", "x", "bold red", "")
    SKIPPED = ("·", "-", "dim", "dim")

    def __init__(self, sign: str, plain: str, style: str, text_style: str) -> None:
        self.sign, self.plain, self.style, self.text_style = sign, plain, style, text_style


@dataclass(frozen=True)
class Finding:
    """The line of one check."""

    check: str
    mark: Mark
    words: str
    hint: str = ""


def facts(client: Settings, given: Mapping[str, object]) -> dict[str, str]:
    """Say what is to be checked, and where it is from.

    Args:
        client: The settings as they were resolved.
        given: Those that the command line gave; others are from the environment, or defaults.
    """

    def source(name: str, *, is_default: bool) -> str:
        if name in given:
            return f"from {option_name(name)}"
        return "the default" if is_default else f"from DATACRUNCH_{name.upper()}"

    is_default = client.base_url == DEFAULT_BASE_URL
    key = source("api_key", is_default=False) if client.api_key else "none"
    return {
        KEY: key,
        BASE_URL: f"{client.base_url}, {source('base_url', is_default=is_default)}",
        MODEL: f"{client.model}, {source('model', is_default=client.model == 'tgi')}",
    }


def failed_check(error: DataCrunchError, *, streaming: bool = False) -> str | None:
    """Say which check an error is the failure of; None for an option that none is about."""
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
    """Whether a gateway speaks of the model, which is all that it can refuse in so small a request."""
    return "model" in error.server_message.lower()


def findings(
    found: Mapping[str, str], error: DataCrunchError | None = None, failed: str | None = None
) -> list[Finding]:
    """Put what was found in a line for each check.

    Args:
        found: The words of what was found, by check.
        error: What the checks ended with, if one failed.
        failed: The check that it is the failure of.
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


def _failed(check: str, found: str | None, error: DataCrunchError) -> str:
    # An error about a connection names the address itself.
    return f"{found}: {message_of(error)}" if found and check != BASE_URL else message_of(error)


def _skipped(found: str | None) -> str:
    return f"not checked: {found}" if found else "not checked"
