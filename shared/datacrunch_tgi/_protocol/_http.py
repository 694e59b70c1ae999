"""TGI's HTTP: what a request is made of, and what a status, headers and bytes mean. Pure.

Facts: the API page for the routes and `model`; TGI 1.1.1 to 3.3.7 for bodies, events and errors.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import Any

from pydantic import TypeAdapter, ValidationError

from datacrunch_tgi._errors import (
    APIError,
    ArgumentError,
    AuthenticationError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    ServerError,
)
from datacrunch_tgi._protocol._error_body import (
    LONGEST_MESSAGE,
    LONGEST_WORDS,
    parse_error_body,
    strip_html,
    truncate,
)
from datacrunch_tgi._protocol._schema import GenerateResponse, Info, PromptToken, StreamEvent

GENERATE = "/generate"
GENERATE_STREAM = "/generate_stream"
INFO = "/info"
HEALTH = "/health"
TOKENIZE = "/tokenize"

_OK = 200
_UNHEALTHY = 503
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
    408: ServerError,
    409: ServerError,
    424: GenerationError,
    425: ServerError,
    429: OverloadedError,
}
_NO_JSON = (TypeError, ValueError, RecursionError)  # what the encoder raises
_DONE = b"[DONE]"  # ends a stream on OpenAI's routes; TGI's own just end
_RESPONSES = TypeAdapter(
    GenerateResponse | tuple[GenerateResponse]
)  # the root route answers a list of one
_PROMPT_TOKENS = TypeAdapter(list[PromptToken])
_read_event: Callable[[bytes], StreamEvent] = StreamEvent.__pydantic_validator__.validate_json


@dataclass(frozen=True)
class Request:
    """What is sent, the key apart."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    prompt: str = field(default="", repr=False)


@dataclass(frozen=True)
class Head:
    """The beginning of a response; the headers' names in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)

    @property
    def content_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def json_request(path: str, body: Mapping[str, Any]) -> Request:
    """Make the request for a JSON body.

    Raises:
        ArgumentError: Names the parameter that holds something that is no JSON.
    """
    try:
        return Request("POST", path, _dumped(body), body["inputs"])
    except _NO_JSON as error:
        parameters: Mapping[str, Any] = body.get("parameters", {})
        wrong = (name for name, value in parameters.items() if not _is_json(value))
        raise ArgumentError(next(wrong, "extra_parameters"), f"must be JSON: {error}") from None


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _is_json(value: object) -> bool:
    try:
        _dumped(value)
    except _NO_JSON:
        return False
    return True


def read_response(head: Head, body: bytes) -> GenerateResponse:
    """Read the body of `/generate`.

    Raises:
        APIError: The server answered with an error.
        MalformedResponseError: The body is not the route's.
    """
    if head.status != _OK:
        raise api_error(head, body)
    try:
        response = _RESPONSES.validate_json(body)
    except ValidationError as error:
        raise _unexpected_body("answer", body, error) from None
    return response[0] if isinstance(response, tuple) else response


def read_info(head: Head, body: bytes) -> Info:
    """Read the body of `/info`; errors are those of `read_response`."""
    _refuse_error(head, body, INFO)
    try:
        return Info.model_validate_json(body)
    except ValidationError as error:
        raise _unexpected_body("answer", body, error) from None


def read_health(head: Head, body: bytes) -> bool:
    """Read what `/health` says: True for a server that can answer, False for one that tells it cannot."""
    if head.status == _UNHEALTHY:
        return False
    _refuse_error(head, body, HEALTH)
    return True


def read_prompt_tokens(head: Head, body: bytes) -> list[PromptToken]:
    """Read the body of `/tokenize`, which there is since TGI 1.4; errors are those of `read_response`."""
    _refuse_error(head, body, TOKENIZE)
    try:
        return _PROMPT_TOKENS.validate_json(body)
    except ValidationError as error:
        raise _unexpected_body("answer", body, error) from None


def _refuse_error(head: Head, body: bytes, route: str) -> None:
    if head.status == _OK:
        return
    error = api_error(head, body)
    if isinstance(error, NotFoundError):
        error.hint = f"this server, or a gateway before it, has no {route}: not every one does"
    raise error


def is_stream(head: Head) -> bool:
    """Whether a stream of events follows."""
    return head.status == _OK and head.content_type in {"text/event-stream", ""}


def not_a_stream(head: Head, body: bytes) -> APIError | MalformedResponseError:
    """The error that a response is which should have been a stream."""
    if head.status != _OK:
        return api_error(head, body)
    try:
        _read_event(body)
    except ValidationError as error:
        failure = _unexpected_body("stream", body, error)
        if isinstance(failure, APIError):
            return failure
    return MalformedResponseError(f"the answer is {head.content_type}, not a stream of events")


def read_event(data: bytes) -> StreamEvent | None:
    """Read the data of one event; None where it means nothing.

    Raises:
        APIError: The server told an error inside the stream.
        MalformedResponseError: The data is not an event's.
    """
    try:
        return _read_event(data)
    except ValidationError as error:
        if data == _DONE:
            return None
        raise _unexpected_body("event of the stream", data, error) from None


def api_error(head: Head, body: bytes) -> APIError | MalformedResponseError:
    """Make the error that the server means: by its type first, by status second."""
    words, error_type, _ = parse_error_body(body)
    if not words:
        words = strip_html(body) if head.content_type != "application/json" else ""
    message = f"{head.status} {responses.get(head.status, '')}".strip()
    if words:
        message += f": {truncate(words, LONGEST_MESSAGE)}"
    error_class = _ERROR_OF_TYPE.get(error_type)
    if not error_class and 200 <= head.status < 300:  # noqa: PLR2004 -- the class of successes
        return MalformedResponseError(f"neither an answer nor an error came, but {message}")
    error_class = error_class or _class_of(head.status)
    error = error_class(
        message,
        status=head.status,
        error_type=error_type,
        server_message=truncate(words, LONGEST_WORDS),
        retry_after=_retry_after(head.headers),
    )
    if location := head.headers.get("location"):
        error.hint = f"redirects are not followed; it points to {_without_user(location)}"
    return error


def _unexpected_body(
    what: str, data: bytes, error: ValidationError
) -> APIError | MalformedResponseError:
    """The error that stands in the place of an answer, or what is wrong with the answer."""
    is_object = data.lstrip().startswith(b"{")
    words, error_type, status = parse_error_body(data) if is_object else ("", None, None)
    if words or error_type:
        status = _STATUS_OF_TYPE.get(error_type or "") or status or 500
        error_class = _ERROR_OF_TYPE.get(error_type) or _class_of(status)
        return error_class(
            truncate(words, LONGEST_MESSAGE) or f"{error_type} error",
            status=status,
            error_type=error_type,
            server_message=truncate(words, LONGEST_WORDS),
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


def _without_user(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; a date is taken relative to the server's own clock where it tells it."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
