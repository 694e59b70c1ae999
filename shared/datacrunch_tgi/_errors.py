"""Every error that this package raises, and what each tells. No I/O, no httpx.

    DataCrunchError
    ├── ArgumentError (a ValueError)   a setting or parameter was refused, before any request
    ├── ClientClosedError              the client was closed
    ├── StreamNotEndedError            a stream was asked for its answer too early
    ├── StructuredOutputError          an answer is not the JSON that was asked for (a ValueError)
    ├── TransportError                 no whole answer arrived
    │   ├── ConnectError               no connection: name, port or proxy
    │   │   ├── TLSError               no secure connection: certificates
    │   │   └── ConnectTimeoutError    not in time (a RequestTimeoutError too)
    │   ├── RequestTimeoutError        a time limit of this client ran out
    │   ├── DisconnectedError          the connection broke, or a stream ended without its last event
    │   └── MalformedResponseError     what arrived is not what such a server sends
    └── APIError                       the server answered with an error
        ├── InvalidRequestError        400, 413, 415, 422; error_type "validation" and its like
        ├── AuthenticationError        401, 403
        ├── NotFoundError              404, 405, and any redirect
        ├── OverloadedError            429; error_type "overloaded"
        ├── GenerationError            424; error_type "generation", "incomplete_generation…"
        └── ServerError                5xx and whatever else is no success

None of them is a RuntimeError, which LlamaIndex takes for a mistake about event loops. None holds the
key, the prompt, the request or the exception behind it, whose traceback would hold them: a cause is
kept as text.
"""

from collections.abc import Callable
from typing import ClassVar

REDACTED = "**********"
"""What is shown instead of a secret."""


class DataCrunchError(Exception):
    """The base of every error of this package.

    Attributes:
        message: What went wrong, in one sentence.
        hint: What to do about it; "" where nothing general can be said.
        text: The part of the answer that had been shown before the error, "" if none.
        requests: How many requests had been sent to the server for this call.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed when it is sent again."""
    hint: str = ""
    text: str = ""
    requests: int = 0

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def redact(self, redacted: Callable[[str], str]) -> None:
        """Take out what the other side has repeated of secrets."""
        for name, value in vars(self).items():
            if isinstance(value, str) and name != "text":
                setattr(self, name, redacted(value))
        self.args = (self.message,)


class ArgumentError(DataCrunchError, ValueError):
    """A setting or a parameter was refused before any request.

    Attributes:
        field: The name of the setting or parameter.
        value: The refused value, as `repr` shows it; "" where it is secret or a prompt.
        rule: The rule that it breaks.
    """

    def __init__(self, field: str, rule: str, *, value: str = "") -> None:
        super().__init__(f"{field}={value}: {rule}" if value else f"{field}: {rule}")
        self.field, self.rule, self.value = field, rule, value

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field, self.rule), self.__dict__


class ClientClosedError(DataCrunchError):
    """The client was closed: what it had running ended, and a later call is refused."""

    def __init__(self, message: str = "the client was closed; make a new one") -> None:
        super().__init__(message)


class StreamNotEndedError(DataCrunchError):
    """A stream was asked for its answer before its last event was taken."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class StructuredOutputError(DataCrunchError, ValueError):
    """An answer is not the JSON that was asked for; `text` is the answer."""


class TransportError(DataCrunchError):
    """No whole answer arrived."""


class ConnectError(TransportError):
    """No connection could be opened: name, port or proxy."""

    retryable = True
    hint = "are base_url and any proxy right, and does the server run?"


class TLSError(ConnectError):
    """No secure connection: a certificate was refused, or the other side speaks no TLS."""

    retryable = False
    hint = "ca_bundle names the certificate authorities to trust"


class RequestTimeoutError(TransportError):
    """A time limit of this client ran out.

    Never sent again: the server may still be generating.

    Attributes:
        setting: The name of the setting that holds the limit.
        seconds: The limit, in seconds.
    """

    setting: str = ""
    seconds: float = 0.0

    def set_limit(self, setting: str, seconds: float) -> None:
        """Tell which limit ran out."""
        self.setting, self.seconds = setting, seconds
        self.hint = f"{setting} is {seconds:g} seconds"


class ConnectTimeoutError(RequestTimeoutError, ConnectError):
    """The connection was not open in time; sent again, since the server has seen nothing."""

    retryable = True


class DisconnectedError(TransportError):
    """The connection broke, or a stream ended without its last event."""

    retryable = True


class MalformedResponseError(TransportError):
    """What arrived is not what a Text Generation Inference server sends."""

    hint = "base_url is what stands before /generate"


class APIError(DataCrunchError):
    """The server answered with an error.

    Attributes:
        status: The HTTP status; for an error told inside a stream, the one that the server gives it
            outside of streams.
        error_type: The server's own name for the error, None where it gave none.
        server_message: The server's own words, "" where it gave none.
        retry_after: The seconds that the server asks to wait, None where it asks for none.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        error_type: str | None = None,
        server_message: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.error_type = status, error_type
        self.server_message, self.retry_after = server_message, retry_after


class InvalidRequestError(APIError):
    """The server refused the request itself: 400, 413, 415, 422."""


class AuthenticationError(APIError):
    """The server refused the key: 401, 403."""

    hint = "check api_key, or the variable DATACRUNCH_API_KEY"


class NotFoundError(APIError):
    """The server has no such route: 404, 405, or a redirect, which is never followed."""

    hint = "base_url is what stands before /generate"


class OverloadedError(APIError):
    """The server has too many requests: 429."""

    retryable = True


class GenerationError(APIError):
    """The model failed while it generated: 424."""

    retryable = True


class ServerError(APIError):
    """The server or a gateway before it failed: 5xx."""

    retryable = True
