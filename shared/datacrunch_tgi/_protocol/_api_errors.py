"""Errors from responses: by error_type first, by status second, with the server's message. Pure.

Sources: TGI 1.1.1 to 3.3.7 for types and statuses; RFC 9110 for reasons and Retry-After.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import ValidationError

from datacrunch_tgi._errors import (
    APIError,
    AuthenticationError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    ServerError,
    set_location,
)
from datacrunch_tgi._protocol._error_body import parse_error_body, strip_html
from datacrunch_tgi._protocol._redact import without_user_and_query

STARTING = frozenset({502, 503, 504})
"""Statuses of a gateway while the server behind it starts."""
_PROXY = 407

_STATUS_OF_TYPE = {
    "validation": 422,
    "template_error": 422,
    "missing_template_variable": 422,
    "tool_error": 422,
    "overloaded": 429,
    "generation": 424,
    "incomplete_generation": 500,
    "incomplete_generation_stream": 500,
}
_ERROR_OF_TYPE: dict[str | None, type[APIError]] = {
    "validation": InvalidRequestError,
    "overloaded": OverloadedError,
    "generation": GenerationError,
    "incomplete_generation": GenerationError,
    "incomplete_generation_stream": GenerationError,
}
_ERROR_OF_STATUS: dict[int, type[APIError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    405: NotFoundError,
    407: AuthenticationError,
    408: ServerError,
    409: ServerError,
    424: GenerationError,
    425: ServerError,
    429: OverloadedError,
}
_REASONS = {
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
    529: "Site is overloaded",
}
"""Not `http.HTTPStatus`, whose phrases differ between Python versions."""
_SECONDS = re.compile(r"(?i)\s*([0-9]+(?:\.[0-9]*)?)\s*(?:s|sec|secs|seconds?)?\s*")


def api_error(
    status: int, headers: Mapping[str, str], content_type: str, body: bytes
) -> APIError | MalformedResponseError:
    """Return the error for a response."""
    said = parse_error_body(body)
    words = said.words or ("" if content_type == "application/json" else strip_html(body))
    message = f"{status} {_REASONS.get(status, '')}".strip()
    error_class = _ERROR_OF_TYPE.get(said.error_type)
    if not error_class and 200 <= status < 300:  # noqa: PLR2004 -- the class of successes
        return MalformedResponseError(f"expected 200 with an answer, got {message}", said=words)
    error = (error_class or _class_of(status))(
        message,
        status=status,
        error_type=said.error_type,
        server_message=words,
        retry_after=_retry_after(headers, said.estimated_time),
    )
    _set_hint(error, headers)
    return error


def _set_hint(error: APIError, headers: Mapping[str, str]) -> None:
    hints: list[str] = []
    if error.retry_after is not None:
        hints.append(f"The server asks to wait {error.retry_after:g} seconds.")
    if error.status in STARTING:
        hints.append("If the server is still starting, set startup_timeout to wait for it.")
    if error.status == _PROXY:
        hints.append("Check the user and password in the proxy's URL.")
    if hints:
        error.hint = " ".join(hints)
    if isinstance(error, NotFoundError) and (location := headers.get("location")):
        set_location(error, without_user_and_query(location))


def unexpected_body(
    what: str, data: bytes, error: ValidationError
) -> APIError | MalformedResponseError:
    """Return the error that was sent instead of an answer, or one that says what is wrong with the body."""
    said = parse_error_body(data) if data.lstrip().startswith(b"{") else None
    if said and (said.words or said.error_type):
        status = _STATUS_OF_TYPE.get(said.error_type or "") or said.status or 500
        error_class = _ERROR_OF_TYPE.get(said.error_type) or _class_of(status)
        return error_class(
            "" if said.words else f"{_REASONS.get(status, 'error')}",
            status=status,
            error_type=said.error_type,
            server_message=said.words,
            retry_after=said.estimated_time,
        )
    first = error.errors(include_context=False, include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return MalformedResponseError(
        f"the {what} is not TGI's: {where and where + ': '}{first['msg']}"
    )


def _class_of(status: int) -> type[APIError]:
    if status in _ERROR_OF_STATUS:
        return _ERROR_OF_STATUS[status]
    if 300 <= status < 400:  # noqa: PLR2004 -- the class of redirects
        return NotFoundError
    return InvalidRequestError if 400 <= status < 500 else ServerError  # noqa: PLR2004 -- likewise


def _retry_after(headers: Mapping[str, str], estimate: float | None) -> float | None:
    """Return the seconds to wait; of several, the most.

    A date is compared with the server's clock if it sends its time.
    """
    value = headers.get("retry-after", "").strip()
    seconds = [_SECONDS.fullmatch(each) for each in value.split(",")]
    if all(seconds):
        return max(float(each[1]) for each in seconds if each)
    then = _date(value)
    if then is None:
        return estimate
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _date(value: str) -> datetime | None:
    """Parse an HTTP or ISO 8601 date; without a zone it is UTC."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = parse(value)
            return date if date.tzinfo else date.replace(tzinfo=UTC)
        except (TypeError, ValueError, OverflowError):
            continue
    return None
