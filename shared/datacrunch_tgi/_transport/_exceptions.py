"""What an error of a library or of the system is about, and what of it may be kept. Pure."""

import os
import socket
import ssl
from collections.abc import Iterator
from traceback import clear_frames
from typing import cast


def strip_traceback(error: BaseException) -> BaseException:
    """Take what holds the key and the prompt from an exception that is not about I/O.

    Its traceback still shows every place that it came through, without their local variables; the frame
    of the caller, whose variables are in use, is left out. What led to it may hold anything, and goes.
    """
    error.__context__ = error.__cause__ = None
    below = error.__traceback__ and error.__traceback__.tb_next
    clear_frames(below)
    return error.with_traceback(below)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    while error:
        yield error
        group = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
        error = group[-1] if group else error.__cause__ or error.__context__


def is_about_tls(error: BaseException) -> bool:
    """Whether TLS failed, and not just the connection that it ran on."""
    return any(
        isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
        for cause in causes(error)
    )


def describe(error: BaseException) -> str:
    """What the operating system says, else what the nearest library says."""
    words = str(error) or type(error).__name__
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError | socket.gaierror):  # their numbers are not the system's
            words = cause.strerror or words
        elif isinstance(cause, OSError) and cause.errno:
            words = os.strerror(cause.errno)
    return words
