"""The words in which a server or a gateway tells an error, from the bytes of a body. Pure."""

import re
from textwrap import shorten
from typing import Any, cast

from pydantic_core import from_json

LONGEST_MESSAGE = 300
"""Characters of a server's words that the message of an error shows."""
LONGEST_WORDS = 2000
"""Characters of them that an error keeps."""

_PLAIN = 4096  # bytes of a text that are looked at
_NAMES = ("message", "detail", "error", "errors", "msg")
"""Where an object has the words; an "error" beside a "message" is but the name of the status."""


def parse_error_body(body: bytes) -> tuple[str, str | None, int | None]:
    """Find message, type and status in JSON: TGI's flat object, OpenAI's nested one, a gateway's."""
    try:
        said: Any = from_json(body)  # unlike json.loads it has an end where nesting has none
    except ValueError:
        return "", None, None
    error = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    within = (error[name] for name in _NAMES if isinstance(error.get(name), dict))
    inner = next(within, dict[str, Any]())
    error_type, status = error.get("error_type") or inner.get("type"), inner.get("http_status_code")
    words = (_message(error.get("error")) if "error_type" in error else "") or _message(said)
    return (
        words,
        error_type if isinstance(error_type, str) else None,
        status if isinstance(status, int) else None,
    )


def _message(said: Any) -> str:
    """A text itself, what an object has under a telling name, or the first thing of a list."""
    if isinstance(said, list) and said:
        return _message(said[0])
    if isinstance(said, dict):
        said = cast("dict[str, Any]", said)
        return next(filter(None, (_message(said.get(name)) for name in _NAMES)), "")
    return said if isinstance(said, str) else ""


def strip_html(body: bytes) -> str:
    """The words of a body that is no JSON: text as it is, HTML without its tags."""
    begin = body[:_PLAIN].decode(errors="replace")
    if len(body) > _PLAIN:  # No word is cut, here and below: half a key is a secret too.
        begin = begin.rpartition(" ")[0]
    text = re.sub(r"(?s)<(script|style).*?</\1>|<!--.*?-->|<[^>]*>", " ", begin)
    return shorten(text, LONGEST_MESSAGE, placeholder="…")


def truncate(text: str, longest: int) -> str:
    """The first words of a text."""
    return text if len(text) <= longest else text[:longest].rpartition(" ")[0] + "…"
