"""Inspection of exceptions of libraries and the operating system. Pure."""

import os
import socket
import ssl
from collections.abc import Iterator
from traceback import clear_frames
from typing import cast

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def strip_traceback(error: BaseException) -> BaseException:
    """Remove the key and the prompt from an exception that is not an I/O error.

    The traceback keeps all frames but without their local variables; the caller's frame, whose variables
    are in use, is left out. Context and cause, which may hold anything, are removed.
    """
    error.__context__ = error.__cause__ = None
    below = error.__traceback__ and error.__traceback__.tb_next
    clear_frames(below)
    return error.with_traceback(below)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes."""
    while error:
        yield error
        group = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
        error = group[-1] if group else error.__cause__ or error.__context__


def is_about_tls(error: BaseException) -> bool:
    """Return whether TLS failed, and not only its connection."""
    return any(
        isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
        for cause in causes(error)
    )


def is_unknown_host(error: BaseException) -> bool:
    """Whether a host's name does not exist, rather than cannot be looked up now."""
    return any(
        isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME
        for cause in causes(error)
    )


def describe(error: BaseException) -> str:
    """Return the operating system's message, else the library's."""
    words = str(error) or type(error).__name__
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError | socket.gaierror):  # their numbers are not errno values
            words = cause.strerror or words
        elif isinstance(cause, OSError) and cause.errno:
            words = os.strerror(cause.errno)
    return words
