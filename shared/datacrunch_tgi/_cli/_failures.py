"""What an error means at a terminal: its words, and the exit code of the command. Pure."""

import re

from datacrunch_tgi._cli._options import PARAMETERS, SETTINGS, option_name
from datacrunch_tgi._errors import (
    APIError,
    ArgumentError,
    AuthenticationError,
    ConnectError,
    DataCrunchError,
    InvalidRequestError,
    NotFoundError,
)

CANNOT_RUN = 1
USAGE = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""As shells report a process that a closed pipe has ended."""

_BY_ERROR: tuple[tuple[type[DataCrunchError], int], ...] = (
    (ArgumentError, USAGE),
    (AuthenticationError, 3),
    (ConnectError, 4),
    (NotFoundError, 5),
    (InvalidRequestError, 5),
    (APIError, 6),
    (DataCrunchError, 7),
)
"""The first that an error is of counts."""
_MEANINGS = {
    0: "all is well",
    CANNOT_RUN: "this command cannot run here, such as for want of a package",
    USAGE: "an option or the prompt was refused before any request",
    3: "the server refused the key",
    4: "no connection: address, proxy or certificate",
    5: "the server refused the request, or has no such route",
    6: "the server failed, or has too much to do: try later",
    7: "the answer came too late, broke off, or is not a TGI server's",
    INTERRUPTED: "ended by Ctrl-C",
    OUTPUT_CLOSED: "whatever read the output has closed it",
}
EXIT_CODES = "\n".join(
    # The first line keeps click from filling the others into a paragraph.
    ["\b", "Exit codes:", *(f"{code:>5}  {meaning}" for code, meaning in _MEANINGS.items())]
)
"""Stands at the end of the help."""

_NAMES = (*PARAMETERS, *SETTINGS)
_NAME = re.compile(rf"\b({'|'.join(_NAMES)})\b(?:(=)(\w+)?)?")


def exit_code(error: DataCrunchError) -> int:
    """Return what the command ends with."""
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))


def message_of(error: DataCrunchError) -> str:
    """Say what went wrong, in one line."""
    if not isinstance(error, ArgumentError):
        return one_line(error.message)
    if error.field == "inputs":
        return f"the prompt {error.rule}"
    name = error.field.partition("[")[0]
    shown = option_name(name) if name in _NAMES else name
    value = "" if error.value in {"True", "False"} else error.value
    what = f"{shown} {value}:" if value else shown
    if not value and not error.rule.startswith(("is ", "must ", "cannot ", "needs ")):
        what += ":"
    return one_line(f"{what} {in_options(error.rule)}")


def hint_of(error: DataCrunchError) -> str:
    """Say what to do about it, "" where nothing general can be said."""
    return one_line(in_options(error.hint))


def in_options(text: str) -> str:
    """Say `--api-key` where a text for programmers says `api_key` or `api_key=`."""

    def said(found: re.Match[str]) -> str:
        name, equals, value = found.groups()
        if "_" not in name and not equals:
            return found[0]  # "model" and the like are words, too
        return option_name(name) + (f" {value}" if value and value != "True" else "")

    return _NAME.sub(said, text)


def one_line(text: str) -> str:
    """Put a text on one line, for a terminal: a server's words may hold anything."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Take the power over a terminal from a text: its control characters, line ends and tabs apart."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
