"""What a server or a gateway says about an error, from the bytes of a body. Pure."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, cast

from pydantic_core import from_json

LONGEST_ESTIMATE = 86_400
"""Seconds; a longer `estimated_time` is no estimate."""

_PLAIN = 4096  # bytes of a text that are looked at
_NAMES = ("message", "detail", "error", "errors", "msg")
"""Where an object has the words; an "error" beside a "message" is but the name of the status."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a body says about an error."""

    words: str = ""
    error_type: str | None = None
    status: int | None = None
    estimated_time: float | None = None
    """Seconds until the model is loaded, as Hugging Face's gateway estimates them."""


def parse_error_body(body: bytes) -> ErrorBody:
    """Read JSON: TGI's flat object, OpenAI's nested one, a gateway's."""
    try:
        said: Any = from_json(body)  # unlike json.loads it has an end where nesting has none
    except ValueError:
        return ErrorBody()
    error = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    within = (error[name] for name in _NAMES if isinstance(error.get(name), dict))
    inner = next(within, dict[str, Any]())
    error_type, status = error.get("error_type") or inner.get("type"), inner.get("http_status_code")
    return ErrorBody(
        (_message(error.get("error")) if "error_type" in error else "") or _message(said),
        error_type if isinstance(error_type, str) else None,
        status if isinstance(status, int) else None,
        _seconds(error.get("estimated_time")),
    )


def _seconds(said: Any) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if is_number and 0 <= said <= LONGEST_ESTIMATE else None


def _message(said: Any) -> str:
    """A text itself, what an object has under a telling name, or the first thing of a list."""
    if isinstance(said, list) and said:
        return _message(said[0])
    if isinstance(said, dict):
        said = cast("dict[str, Any]", said)
        return next(filter(None, (_message(said.get(name)) for name in _NAMES)), "")
    return said if isinstance(said, str) else ""


def strip_html(body: bytes) -> str:
    """Return the words of a body that is not JSON: of text all, of HTML those that it shows."""
    begin = body[:_PLAIN].decode(errors="replace")
    if len(body) > _PLAIN:  # no word is cut: half a key is a secret too
        begin = begin.rpartition(" ")[0]
    text = re.sub(r"(?s)<(script|style).*?</\1>|<!--.*?-->|<[^>]*>", " ", begin)
    return " ".join(unescape(text).split())
