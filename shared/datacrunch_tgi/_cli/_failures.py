"""Messages and exit codes for errors. Pure."""

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
ROWS_FAILED = 8
INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""128 + SIGPIPE, as shells report it."""

_BY_ERROR: tuple[tuple[type[DataCrunchError], int], ...] = (
    (ArgumentError, USAGE),
    (AuthenticationError, 3),
    (ConnectError, 4),
    (NotFoundError, 5),
    (InvalidRequestError, 5),
    (APIError, 6),
    (DataCrunchError, 7),
)
"""The first matching class counts."""
_MEANINGS = {
    0: "success",
    CANNOT_RUN: "the command cannot run here: a package is missing, for example",
    USAGE: "an option or the prompt is not valid; nothing was sent",
    3: "the server refused the key",
    4: "no connection: address, proxy or certificate",
    5: "the server refused the request, or does not have the route",
    6: "the server failed or is overloaded: try again later",
    7: "the answer timed out, broke off, or is not from a TGI server",
    ROWS_FAILED: "batch: some rows have no answer",
    INTERRUPTED: "interrupted by Ctrl-C",
    OUTPUT_CLOSED: "the reader closed the output",
}
EXIT_CODES = "\n".join(
    # \b keeps click from wrapping the lines into a paragraph.
    ["\b", "Exit codes:", *(f"{code:>5}  {meaning}" for code, meaning in _MEANINGS.items())]
)
"""Text for the end of each help page."""

_BATCH = ("columns", "concurrency", "output", "patience", "prompt", "retry_failed", "system")
_NAMES = (*PARAMETERS, *SETTINGS, *_BATCH, "base_path", "chat_template")
_NAME = re.compile(rf"(?<![\w./-])({'|'.join(_NAMES)})\b(?![/-]|\.\w)(?:(=)(\w+)?)?")


def exit_code(error: DataCrunchError) -> int:
    """Return the exit code for an error."""
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))


def message_of(error: DataCrunchError) -> str:
    """Return what went wrong, in one line."""
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
    rule = error.rule if name == "source" else in_options(error.rule)  # a file has no options
    return one_line(f"{what} {rule}")


def hint_of(error: DataCrunchError) -> str:
    """Return what to do about an error, in one line; "" if there is no general advice."""
    return one_line(in_options(error.hint))


def in_options(text: str) -> str:
    """Replace `api_key` or `api_key=` with `--api-key`, and the like, but not in names of files."""

    def option(found: re.Match[str]) -> str:
        name, equals, value = found.groups()
        if "_" not in name and not equals:
            return found[0]  # may be an ordinary word, such as "model"
        return option_name(name) + (f" {value}" if value and value != "True" else "")

    return _NAME.sub(option, text)


def one_line(text: str) -> str:
    """Join a text into one printable line."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Replace control characters, except line feeds and tabs, which a terminal would obey."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
