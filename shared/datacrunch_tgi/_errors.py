"""Every error that this package raises. No I/O, no httpx.

    DataCrunchError
    ├── ArgumentError (a ValueError)   a setting or parameter was refused, before any request
    ├── ClientClosedError              the client was closed
    ├── StreamNotEndedError            `answer` of a stream was read too early
    ├── StructuredOutputError          an answer is not the requested JSON (a ValueError)
    ├── TransportError                 no complete answer arrived
    │   ├── ConnectError               no connection: host, port or proxy
    │   │   ├── TLSError               no secure connection: certificates
    │   │   └── ConnectTimeoutError    no connection in time (also a RequestTimeoutError)
    │   ├── RequestTimeoutError        a time limit was exceeded
    │   ├── DisconnectedError          the connection broke, or a stream ended without its last event
    │   └── MalformedResponseError     the response is not from a TGI server
    └── APIError                       the server answered with an error
        ├── InvalidRequestError        400, 413, 415, 422; error_type "validation" and similar
        ├── AuthenticationError        401, 403; 407 from a proxy
        ├── NotFoundError              404, 405, and any redirect
        ├── OverloadedError            429; error_type "overloaded"
        ├── GenerationError            424; error_type "generation", "incomplete_generation…"
        └── ServerError                5xx and any other status that is not a success

None is a RuntimeError, because LlamaIndex mistakes those for event-loop errors. None contains the key, the
prompt, the request or the original exception, whose traceback has them: a cause is kept as text.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

REDACTED = "**********"
"""What is shown instead of a secret."""
LONGEST_MESSAGE = 300
"""Characters of a server's message that the message of an error shows."""
LONGEST_ID = 100
"""Characters of a request id that it shows."""
LONGEST_WORDS = 2000
"""Characters of a server's message that an error keeps."""


class DataCrunchError(Exception):
    """Base class of all errors of this package.

    Args:
        message: What went wrong.
        said: Message of the server, a proxy or a library.

    Attributes:
        message: What went wrong, in one sentence.
        hint: What to do; "" if there is no general advice.
        text: The part of the answer that was received before the error; "" if none.
        requests: Number of requests that were sent for this call.
        headers: Headers of the response that the error came with or interrupted, as in `Answer`; empty if
            there was none.
        url: URL that they were sent to, without user and query; "" if none was sent.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed if it is sent again."""
    hint: str = ""
    text: str = ""
    requests: int = 0
    url: str = ""
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self._summary, self._said = message, said
        self._compose()

    @property
    def request_id(self) -> str | None:
        """The server's id of the request (`x-request-id`); None if it sent none."""
        return self.headers.get("x-request-id")

    def __str__(self) -> str:
        """Return the message, the URL, the number of requests, the last request id, and the hint."""
        host = "/".join(self.url.split("/")[:3])
        where = self.url if host not in self.message else ""
        number = (
            f"{self.requests} request{'s' * (self.requests != 1)} sent" if self.requests else ""
        )
        name = f"request id {truncate(self.request_id, LONGEST_ID)}" if self.request_id else ""
        details = "; ".join(filter(None, (where, number, name)))
        words = f"{self.message} ({details})" if details else self.message
        end = "" if words.endswith((".", "!", "?", "…")) else "."
        return f"{words}{end} {self.hint}" if self.hint else words

    def _server_texts(self) -> list[str]:
        """Return what the server said, which may repeat secrets and the prompt."""
        return [self._said]

    def _redact(self, redact: Callable[[str], str], redact_secrets: Callable[[str], str]) -> None:  # noqa: ARG002 -- for names
        """Remove secrets and the prompt from the server's message, before it is truncated."""
        self._said = redact(self._said)
        self._compose()

    def _compose(self) -> None:
        self.message = ": ".join(
            filter(None, (self._summary, truncate(self._said, LONGEST_MESSAGE)))
        )
        self.args = (self.message,)


def truncate(text: str, longest: int) -> str:
    """Truncate a text between words, because half a key is a secret too."""
    return text if len(text) <= longest else text[:longest].rpartition(" ")[0] + "…"


class ArgumentError(DataCrunchError, ValueError):
    """A setting or parameter was refused before any request.

    Attributes:
        field: Name of the setting or parameter.
        value: `repr` of the refused value; "" if it is a secret or a prompt.
        rule: The rule that it breaks.
    """

    def __init__(self, field: str, rule: str, *, value: str = "") -> None:
        super().__init__(f"{field}={value}: {rule}" if value else f"{field}: {rule}")
        self.field, self.rule, self.value = field, rule, value

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field, self.rule), self.__dict__


class ClientClosedError(DataCrunchError):
    """The client was closed, during the call or before it."""

    def __init__(self, message: str = "the client was closed; make a new one") -> None:
        super().__init__(message)


class StreamNotEndedError(DataCrunchError):
    """`answer` of a stream was read before its last event."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class StructuredOutputError(DataCrunchError, ValueError):
    """An answer is not the requested JSON or tool call; `text` is the answer."""


class TransportError(DataCrunchError):
    """No complete answer arrived."""


class ConnectError(TransportError):
    """No connection could be opened: check host, port and proxy.

    Attributes:
        host_not_found: The name of the host, or of its proxy, does not exist.
    """

    host_not_found: bool = False
    retryable = True
    hint = "Check base_url, the proxy, and that the server is running."


class TLSError(ConnectError):
    """No secure connection: a certificate was refused, or the server does not speak TLS."""

    retryable = False
    hint = "Set ca_bundle to the certificate authorities to trust."


class RequestTimeoutError(TransportError):
    """A time limit was exceeded.

    Never retried, because the server may still be generating.

    Attributes:
        setting: Name of the setting with the limit.
        seconds: The limit, in seconds.
    """

    setting: str = ""
    seconds: float = 0.0


class ConnectTimeoutError(RequestTimeoutError, ConnectError):
    """No connection could be opened in time. Retried, because the server has not seen the request."""

    retryable = True


class DisconnectedError(TransportError):
    """The connection broke, or a stream ended without its last event."""

    retryable = True


class MalformedResponseError(TransportError):
    """The response is not from a Text Generation Inference server."""

    hint = "Check that base_url is the URL prefix of /generate and /generate_stream."


class APIError(DataCrunchError):
    """The server answered with an error.

    Args:
        message: What went wrong; "" if the server's message says it.
        server_message: The server's message.
        status: See below.
        error_type: See below.
        retry_after: See below.

    Attributes:
        status: HTTP status; for an error inside a stream, the status that the server uses for this
            error elsewhere.
        error_type: The server's name for the error; None if it has none.
        retry_after: Seconds to wait before a retry, as the server asks; None if it does not ask.
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
        self.status, self.error_type, self.retry_after = status, error_type, retry_after
        super().__init__(message, said=server_message)

    @property
    def server_message(self) -> str:
        """The server's message, up to 2,000 characters; "" if it has none."""
        return truncate(self._said, LONGEST_WORDS)

    def _redact(self, redact: Callable[[str], str], redact_secrets: Callable[[str], str]) -> None:
        """Remove secrets and the prompt from the message, and secrets from `error_type`."""
        super()._redact(redact, redact_secrets)
        if self.error_type:
            self.error_type = redact_secrets(self.error_type)


class InvalidRequestError(APIError):
    """The server refused the request: 400, 413, 415, 422."""


class AuthenticationError(APIError):
    """The server refused the key (401, 403), or a proxy refused its user and password (407)."""

    hint = "Check api_key, or the variable DATACRUNCH_API_KEY."


class NotFoundError(APIError):
    """The server has no such route (404, 405), or redirects, which is never followed.

    Attributes:
        location: Target of a redirect, without user and query; "" for other errors.
    """

    hint = "Check that base_url is the URL prefix of /generate and /generate_stream."
    location: str = ""

    def _server_texts(self) -> list[str]:
        """Return the message and the location."""
        return [*super()._server_texts(), self.location]

    def _redact(self, redact: Callable[[str], str], redact_secrets: Callable[[str], str]) -> None:
        """Remove secrets and the prompt from the message and the location."""
        super()._redact(redact, redact_secrets)
        if self.location:
            set_location(self, redact(self.location))


class OverloadedError(APIError):
    """The server has too many requests: 429."""

    retryable = True


class GenerationError(APIError):
    """The model failed during generation: 424."""

    retryable = True


class ServerError(APIError):
    """The server, or a gateway in front of it, failed: 5xx."""

    retryable = True


def set_limit(error: RequestTimeoutError, setting: str, seconds: float) -> None:
    """Name the limit that was exceeded."""
    error.setting, error.seconds = setting, seconds
    error.hint = f"Raise {setting} ({seconds:g} seconds) if the server needs longer."


def set_location(error: NotFoundError, location: str) -> None:
    """Set the target of a redirect."""
    error.location = location
    error.hint = f"Redirects are not followed. Set base_url to the new location: {location}"
