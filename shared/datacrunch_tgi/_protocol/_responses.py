"""TGI's responses: from status, headers and bytes to values. Pure.

Source: TGI 1.1.1 to 3.3.7, for bodies, events and errors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from datacrunch_tgi._errors import (
    APIError,
    MalformedResponseError,
    NotFoundError,
)
from datacrunch_tgi._protocol._api_errors import api_error, unexpected_body
from datacrunch_tgi._protocol._requests import HEALTH, INFO, TOKENIZE
from datacrunch_tgi._protocol._schema import GenerateResponse, Info, PromptToken, StreamEvent

_OK = 200
_UNHEALTHY = 503
_DONE = b"[DONE]"  # ends a stream on OpenAI's routes; TGI's own just end
_read_generated: Callable[[bytes], GenerateResponse] = (
    GenerateResponse.__pydantic_validator__.validate_json
)
_read_list = TypeAdapter(tuple[GenerateResponse]).validate_json
_PROMPT_TOKENS = TypeAdapter(list[PromptToken])
_read_event: Callable[[bytes], StreamEvent] = StreamEvent.__pydantic_validator__.validate_json


@dataclass(slots=True)
class Head:
    """Status and headers of a response; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)

    @property
    def content_type(self) -> str:
        """Media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_response(head: Head, body: bytes) -> GenerateResponse:
    """Parse the body of `/generate`.

    Raises:
        APIError: The server answered with an error.
        MalformedResponseError: The body is not what this route returns.
    """
    if head.status != _OK:
        raise _api_error(head, body)
    try:
        if body[:16].lstrip().startswith(b"["):  # the root route answers with a list of one
            return _read_list(body)[0]
        return _read_generated(body)
    except ValidationError as error:
        raise unexpected_body("answer", body, error) from None


def read_info(head: Head, body: bytes) -> Info:
    """Parse the body of `/info`. Raises the errors of `read_response`."""
    _refuse_error(head, body, INFO)
    try:
        return Info.model_validate_json(body)
    except ValidationError as error:
        raise unexpected_body("answer", body, error) from None


def read_health(head: Head, body: bytes) -> bool:
    """Return whether `/health` reports that the server can generate."""
    if head.status == _UNHEALTHY:
        return False
    _refuse_error(head, body, HEALTH)
    return True


def read_prompt_tokens(head: Head, body: bytes) -> list[PromptToken]:
    """Parse the body of `/tokenize` (TGI 1.4). Raises the errors of `read_response`."""
    _refuse_error(head, body, TOKENIZE)
    try:
        return _PROMPT_TOKENS.validate_json(body)
    except ValidationError as error:
        raise unexpected_body("answer", body, error) from None


def _api_error(head: Head, body: bytes) -> APIError | MalformedResponseError:
    return api_error(head.status, head.headers, head.content_type, body)


def _refuse_error(head: Head, body: bytes, route: str) -> None:
    if head.status == _OK:
        return
    error = _api_error(head, body)
    if isinstance(error, NotFoundError):
        error.hint = f"This server, or a gateway in front of it, has no {route}."
    raise error


def is_stream(head: Head) -> bool:
    """Return whether a stream of events follows."""
    return head.status == _OK and head.content_type in {"text/event-stream", ""}


def not_a_stream(head: Head, body: bytes) -> APIError | MalformedResponseError:
    """Return the error for a response that should have been a stream."""
    if head.status != _OK:
        return _api_error(head, body)
    try:
        _read_event(body)
    except ValidationError as error:
        failure = unexpected_body("stream", body, error)
        if isinstance(failure, APIError):
            return failure
    return MalformedResponseError("expected a stream of events, got", said=head.content_type)


def read_event(data: bytes) -> StreamEvent | None:
    """Parse the data of one event; return None if it carries no token.

    Raises:
        APIError: The server reported an error inside the stream.
        MalformedResponseError: The data is not an event.
    """
    try:
        return _read_event(data)
    except ValidationError as error:
        if data == _DONE:
            return None
        raise unexpected_body("event of the stream", data, error) from None
