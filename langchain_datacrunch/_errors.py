"""Transport errors that are LangChain's errors too.

    datacrunch_tgi.OverloadedError ──▶ DataCrunchOverloadedError, which is both
                                       OverloadedError and langchain_core's ModelRateLimitError

Chains can handle errors of all providers alike, and the transport's fields are kept. Errors without a
matching LangChain class are raised unchanged.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
    OutputParserException,
)

from datacrunch_tgi import (
    APIError,
    AuthenticationError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    GenerationError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RequestTimeoutError,
    ServerError,
    StructuredOutputError,
    TLSError,
)


@dataclass(frozen=True)
class ErrorResponse:
    """What LangChain reads from an error and shows in traces: of the headers two that hold no secret."""

    status_code: int
    text: str
    """The server's message."""
    error_type: str | None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def json(self) -> dict[str, str | None]:
        """Return the message and error type as TGI sends them."""
        return {"error": self.text, "error_type": self.error_type}


class _RespondedError(APIError):
    @property
    def response(self) -> ErrorResponse:
        """The server's response."""
        asked = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        name = {"x-request-id": self.request_id} if self.request_id else {}
        headers = {**name, **asked}
        return ErrorResponse(self.status, self.server_message, self.error_type, headers)


class DataCrunchAuthenticationError(_RespondedError, AuthenticationError, ModelAuthenticationError):
    """Raised when the server does not accept the key: 401."""


class DataCrunchPermissionDeniedError(
    _RespondedError, AuthenticationError, ModelPermissionDeniedError
):
    """Raised when the key has no permission for this request: 403."""


class DataCrunchInvalidRequestError(_RespondedError, InvalidRequestError, ModelInvalidRequestError):
    """Raised when the server refuses the request: 400, 413, 415, 422."""


class DataCrunchContextOverflowError(DataCrunchInvalidRequestError, ContextOverflowError):
    """Raised when prompt and `max_new_tokens` exceed the server's limit."""


class DataCrunchNotFoundError(_RespondedError, NotFoundError, ModelNotFoundError):
    """Raised when the server has no such route: 404, 405, or a redirect."""


class DataCrunchOverloadedError(_RespondedError, OverloadedError, ModelRateLimitError):
    """Raised when the server has too many requests: 429."""


class DataCrunchGenerationError(_RespondedError, GenerationError, ModelAPIError):
    """Raised when the model fails during generation: 424."""


class DataCrunchServerError(_RespondedError, ServerError, ModelAPIError):
    """Raised when the server or a gateway in front of it fails: 5xx."""


class DataCrunchConnectError(ConnectError, ModelConnectionError):
    """Raised when no connection can be opened."""


class DataCrunchTLSError(TLSError, ModelConnectionError):
    """Raised when no secure connection can be established."""

    is_retryable = False


class DataCrunchConnectTimeoutError(ConnectTimeoutError, ModelTimeoutError, ModelConnectionError):
    """Raised when no connection can be opened in time."""


class DataCrunchDisconnectedError(DisconnectedError, ModelConnectionError):
    """Raised when the connection breaks."""


class DataCrunchRequestTimeoutError(RequestTimeoutError, ModelTimeoutError):
    """Raised when a time limit is exceeded."""

    is_retryable = False


class DataCrunchStructuredOutputError(StructuredOutputError, OutputParserException):
    """Raised when an answer is not the requested JSON or tool call."""

    observation = None
    send_to_llm = False

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)  # LangChain's own appends a URL to it
        self.message = message

    @property
    def llm_output(self) -> str:  # type: ignore[override]  # LangChain's is an attribute
        """The answer."""
        return self.text


_AS_LANGCHAINS: dict[type[DataCrunchError], type[DataCrunchError]] = {
    AuthenticationError: DataCrunchAuthenticationError,
    InvalidRequestError: DataCrunchInvalidRequestError,
    NotFoundError: DataCrunchNotFoundError,
    OverloadedError: DataCrunchOverloadedError,
    GenerationError: DataCrunchGenerationError,
    ServerError: DataCrunchServerError,
    ConnectError: DataCrunchConnectError,
    TLSError: DataCrunchTLSError,
    ConnectTimeoutError: DataCrunchConnectTimeoutError,
    DisconnectedError: DataCrunchDisconnectedError,
    RequestTimeoutError: DataCrunchRequestTimeoutError,
    StructuredOutputError: DataCrunchStructuredOutputError,
}
_FORBIDDEN = 403
_TOO_LONG = ("`inputs` tokens + `max_new_tokens` must be <=", "`inputs` must have less than")
"""Start of the message for a prompt that is too long, in TGI 1.1.1 to 3.3.7."""


@contextmanager
def map_errors() -> Generator[None]:
    """Raise transport errors as LangChain errors too."""
    try:
        yield
    except DataCrunchError as error:
        # A new error would have this one as its context, and need copies of its fields and traceback.
        error.__class__ = _class_for(error)
        raise


def _class_for(error: DataCrunchError) -> type[DataCrunchError]:
    if isinstance(error, AuthenticationError) and error.status == _FORBIDDEN:
        return DataCrunchPermissionDeniedError
    if isinstance(error, InvalidRequestError) and any(
        words in error.server_message for words in _TOO_LONG
    ):
        return DataCrunchContextOverflowError
    return _AS_LANGCHAINS.get(type(error), type(error))
