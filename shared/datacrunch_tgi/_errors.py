"""Every error that this package raises, and what each has to say. No I/O, no httpx.

    DataCrunchError
    ├── ArgumentError (a ValueError)   a setting or parameter was refused, before any request
    ├── ClientClosedError              the client was closed
    ├── StreamNotEndedError            the answer of a stream was read too early
    ├── StructuredOutputError          an answer is not the requested JSON (a ValueError)
    ├── TransportError                 no complete answer arrived
    │   ├── ConnectError               no connection: name, port or proxy
    │   │   ├── TLSError               no secure connection: certificates
    │   │   └── ConnectTimeoutError    not in time (a RequestTimeoutError too)
    │   ├── RequestTimeoutError        a time limit of this client ran out
    │   ├── DisconnectedError          the connection broke, or a stream ended without its last event
    │   └── MalformedResponseError     what arrived is not what such a server sends
    └── APIError                       the server answered with an error
        ├── InvalidRequestError        400, 413, 415, 422; error_type "validation" and its like
        ├── AuthenticationError        401, 403; 407, which is a proxy's
        ├── NotFoundError              404, 405, and any redirect
        ├── OverloadedError            429; error_type "overloaded"
        ├── GenerationError            424; error_type "generation", "incomplete_generation…"
        └── ServerError                5xx and any other status that is not a success

None of them is a RuntimeError, which LlamaIndex takes for a mistake about event loops. None holds the
key, the prompt, the request or the exception behind it, whose traceback would hold them: a cause is
kept as text.
"""

from collections.abc import Callable
from typing import ClassVar

REDACTED = "**********"
"""What is shown instead of a secret."""
LONGEST_MESSAGE = 300
"""Characters of the other side's words that the message of an error shows."""
LONGEST_WORDS = 2000
"""Characters of them that an error keeps."""


class DataCrunchError(Exception):
    """The base of every error of this package.

    Args:
        message: What went wrong, in the words of this package.
        said: What the server, a proxy or a library said about it.

    Attributes:
        message: What went wrong, in one sentence.
        hint: What to do about it; "" where nothing general can be said.
        text: The part of the answer that was received before the error, "" if none.
        requests: How many requests were sent to the server for this call.
        url: The URL that they were sent to, without user and query; "" if none was sent.
    """

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed when it is sent again."""
    hint: str = ""
    text: str = ""
    requests: int = 0
    url: str = ""

    def __init__(self, message: str, *, said: str = "") -> None:
        super().__init__(message)
        self._summary, self._said = message, said
        self._compose()

    def __str__(self) -> str:
        """Return the message, then where the requests went and how many, then what to do."""
        host = "/".join(self.url.split("/")[:3])
        where = self.url if host not in self.message else ""
        number = (
            f"{self.requests} request{'s' * (self.requests != 1)} sent" if self.requests else ""
        )
        details = "; ".join(filter(None, (where, number)))
        words = f"{self.message} ({details})" if details else self.message
        end = "" if words.endswith((".", "!", "?", "…")) else "."
        return f"{words}{end} {self.hint}" if self.hint else words

    def redact(self, redacted: Callable[[str, str], str], prompt: str) -> None:
        """Take secrets and the prompt out of what the other side said, before it is shortened."""
        self._said = redacted(self._said, prompt)
        self._compose()

    def _compose(self) -> None:
        self.message = ": ".join(
            filter(None, (self._summary, truncate(self._said, LONGEST_MESSAGE)))
        )
        self.args = (self.message,)


def truncate(text: str, longest: int) -> str:
    """Return the first words of a text; no word is cut, since half a key is a secret too."""
    return text if len(text) <= longest else text[:longest].rpartition(" ")[0] + "…"


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
    """The answer of a stream was read before its last event."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class StructuredOutputError(DataCrunchError, ValueError):
    """An answer is not the requested JSON; `text` is the answer."""


class TransportError(DataCrunchError):
    """No complete answer arrived."""


class ConnectError(TransportError):
    """No connection could be opened: name, port or proxy."""

    retryable = True
    hint = "Check base_url, the proxy, and that the server is running."


class TLSError(ConnectError):
    """No secure connection: a certificate was refused, or the other side speaks no TLS."""

    retryable = False
    hint = "Set ca_bundle to the certificate authorities to trust."


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
        """Name the limit that ran out."""
        self.setting, self.seconds = setting, seconds
        self.hint = f"Raise {setting} ({seconds:g} seconds) if the server needs longer."


class ConnectTimeoutError(RequestTimeoutError, ConnectError):
    """The connection was not open in time; sent again, since the server has seen nothing."""

    retryable = True


class DisconnectedError(TransportError):
    """The connection broke, or a stream ended without its last event."""

    retryable = True


class MalformedResponseError(TransportError):
    """What arrived is not what a Text Generation Inference server sends."""

    hint = "Check that base_url is the URL prefix of /generate and /generate_stream."


class APIError(DataCrunchError):
    """The server answered with an error.

    Args:
        message: What went wrong; "" where the server's words say it.
        server_message: The server's own words.
        status: See below, as for the others.
        error_type: See below.
        retry_after: See below.

    Attributes:
        status: The HTTP status; for an error inside a stream, the one that the server uses for it
            outside of streams.
        error_type: The server's own name for the error, None where it has none.
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
        self.status, self.error_type, self.retry_after = status, error_type, retry_after
        super().__init__(message, said=server_message)

    @property
    def server_message(self) -> str:
        """The server's own words, "" where it had none; the first 2,000 characters."""
        return truncate(self._said, LONGEST_WORDS)

    def redact(self, redacted: Callable[[str, str], str], prompt: str) -> None:
        """Take secrets and the prompt out of the words; out of `error_type`, which is a name, secrets."""
        super().redact(redacted, prompt)
        if self.error_type:
            self.error_type = redacted(self.error_type, "")


class InvalidRequestError(APIError):
    """The server refused the request itself: 400, 413, 415, 422."""


class AuthenticationError(APIError):
    """The server refused the key: 401, 403; or a proxy its user and password: 407."""

    hint = "Check api_key, or the variable DATACRUNCH_API_KEY."


class NotFoundError(APIError):
    """The server has no such route: 404, 405, or a redirect, which is never followed.

    Attributes:
        location: Where a redirect points to, without user and query; "" for other errors.
    """

    hint = "Check that base_url is the URL prefix of /generate and /generate_stream."
    location: str = ""

    def redact(self, redacted: Callable[[str, str], str], prompt: str) -> None:
        """Take secrets and the prompt out of the location, too."""
        super().redact(redacted, prompt)
        if self.location:
            self.set_location(redacted(self.location, prompt))

    def set_location(self, location: str) -> None:
        """Say where a redirect points to."""
        self.location = location
        self.hint = f"Redirects are not followed. Set base_url to what it points to: {location}"


class OverloadedError(APIError):
    """The server has too many requests: 429."""

    retryable = True


class GenerationError(APIError):
    """The model failed while it generated: 424."""

    retryable = True


class ServerError(APIError):
    """The server, or a gateway in front of it, failed: 5xx."""

    retryable = True
