"""The error message in the body of a response from a server or gateway. Pure."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, cast

from pydantic_core import from_json

LONGEST_ESTIMATE = 86_400
"""Seconds; a longer `estimated_time` is ignored."""

_PLAIN = 4096  # bytes of a text that are read
_NAMES = ("message", "detail", "error", "errors", "msg")
"""Keys of the message; an "error" next to a "message" is only the name of the status."""
_TYPE = re.compile(r"[\w.:-]{1,64}", re.ASCII)
"""An `error_type` is a name; anything else may be text of a user."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The error in a body."""

    words: str = ""
    error_type: str | None = None
    status: int | None = None
    estimated_time: float | None = None
    """Seconds until the model is loaded, as estimated by Hugging Face's gateway."""


def parse_error_body(body: bytes) -> ErrorBody:
    """Read JSON: TGI's flat object, OpenAI's nested one, a gateway's."""
    try:
        said: Any = from_json(body)  # unlike json.loads, it limits nesting
    except ValueError:
        return ErrorBody()
    error = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    within = (error[name] for name in _NAMES if isinstance(error.get(name), dict))
    inner = next(within, dict[str, Any]())
    error_type, status = error.get("error_type") or inner.get("type"), inner.get("http_status_code")
    return ErrorBody(
        (_message(error.get("error")) if "error_type" in error else "") or _message(said),
        error_type if isinstance(error_type, str) and _TYPE.fullmatch(error_type) else None,
        status if isinstance(status, int) else None,
        _seconds(error.get("estimated_time")),
    )


def _seconds(said: Any) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if is_number and 0 <= said <= LONGEST_ESTIMATE else None


def _message(said: Any) -> str:
    """Return a text itself, an object's message, or the message of a list's first item."""
    if isinstance(said, list) and said:
        return _message(said[0])
    if isinstance(said, dict):
        said = cast("dict[str, Any]", said)
        return next(filter(None, (_message(said.get(name)) for name in _NAMES)), "")
    return said if isinstance(said, str) else ""


def strip_html(body: bytes) -> str:
    """Return the visible text of a body that is plain text or HTML."""
    begin = body[:_PLAIN].decode(errors="replace")
    if len(body) > _PLAIN:  # cut between words: half a key is a secret too
        begin = begin.rpartition(" ")[0]
    text = re.sub(r"(?is)<(script|style).*?</\1>|<!--.*?-->|<[^>]*>", " ", begin)
    return " ".join(unescape(text).split())
