"""Errors of the server, one exception for each `error_type`.

They never leave the endpoint: each becomes the error object of a body or an event.
"""

from typing import ClassVar


class ServerError(Exception):
    """Base of the errors that the server reports; the message is the server's."""

    kind: ClassVar[str]
    """`error_type`"""
    status: ClassVar[int]
    """The HTTP status, unless a stream has already started."""


class InvalidRequestError(ServerError):
    """The request can be read but is refused."""

    kind = "validation"
    status = 422

    def __init__(self, message: str) -> None:
        super().__init__(f"Input validation error: {message}")


class OverloadedError(ServerError):
    """More requests are open than the server allows."""

    kind = "overloaded"
    status = 429

    def __init__(self) -> None:
        super().__init__("Model is overloaded")


class GenerationFailedError(ServerError):
    """The model server failed."""

    kind = "generation"
    status = 424

    def __init__(self, cause: str) -> None:
        super().__init__(f"Request failed during generation: Server error: {cause}")


class UnhealthyError(ServerError):
    """The server has no working model."""

    kind = "healthcheck"
    status = 503

    def __init__(self) -> None:
        super().__init__("unhealthy")
