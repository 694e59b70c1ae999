"""Errors: a line or two on standard error, an exit code, no traceback, no key."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import datacrunch_tgi
from datacrunch_tgi import (
    ArgumentError,
    AuthenticationError,
    ClientClosedError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    RequestTimeoutError,
    ServerError,
    StreamNotEndedError,
    StructuredOutputError,
    TLSError,
)
from datacrunch_tgi._cli._failures import EXIT_CODES, exit_code, hint_of, message_of
from datacrunch_tgi._errors import set_limit
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]

KEY = "sesame-open-thyself"
NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize("command", ["generate", "stream"])
@pytest.mark.parametrize(
    ("endpoint", "fault", "code", "words"),
    [
        ({"api_key": "another"}, None, 3, ["401 Unauthorized", "Check --api-key"]),
        (
            {"base_path": "/v1"},
            None,
            5,
            ["404 Not Found", "--base-url is the URL prefix of /generate"],
        ),
        ({}, {"status": 422, "body": f"no {KEY}"}, 5, ["422", "no **********"]),
        (
            {},
            {"status": 503, "body": "busy\r\n\x1b[2Jnow"},
            6,
            ["503", "busy \N{REPLACEMENT CHARACTER}[2Jnow"],
        ),
        ({}, {"hang_up": True}, 7, ["broke"]),
    ],
    ids=["key", "route", "refused", "busy", "broken"],
)
def test_a_failure_is_reported_in_two_lines(
    *,
    emulated_endpoint: Start,
    run: Run,
    command: str,
    endpoint: dict[str, Any],
    fault: dict[str, Any] | None,
    code: int,
    words: list[str],
) -> None:
    """The message says what went wrong and what to do; the exit code says which kind of error."""
    started = emulated_endpoint(answers="Hello", **endpoint)
    if fault:
        started.fail_next(**fault)
    url = started.url.removesuffix("/v1")

    done = run(
        command,
        "Hi",
        "--base-url",
        url,
        "--max-retries",
        "0",
        DATACRUNCH_API_KEY=KEY,
    )

    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (code, b"")
    assert lines[0].startswith("error: ")
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
    assert all(word in " ".join(lines) for word in words)
    assert KEY not in done.stderr.decode()


@pytest.mark.parametrize(
    ("fault", "code"), [({"error_after": 2}, 6), ({"cut_after": 2}, 7)], ids=["event", "cut"]
)
def test_text_before_a_failure_is_printed(
    emulated_endpoint: Start, run: Run, fault: dict[str, Any], code: int
) -> None:
    """The text received is on standard output and ends with a line end; the error is on standard error."""
    endpoint = emulated_endpoint(answers="one two three")
    endpoint.fail_next(**fault)

    done = run("stream", "Hi", "--base-url", endpoint.url)

    assert (done.returncode, done.stdout) == (code, b"one two\n")
    assert done.stderr.startswith(b"error: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temperature", "-1"], "--temperature -1.0: must be 0 (greedy) or greater"),
        (["--stop", ""], "--stop '': must not be empty"),
        (["--best-of", "2"], "--best-of 2: needs sampling when > 1: set --do-sample"),
        (["--grammar", "{"], "'--grammar': it is not JSON"),
        (["--grammar", "[]"], "'--grammar': it must be an object"),
        (["--grammar", "{}"], "--grammar {}: must have the keys 'type'"),
        (["--top-k", "many"], "'--top-k': 'many' is not a valid integer"),
        (["--connect-timeout", "0"], "--connect-timeout 0.0: must be greater than 0"),
        (["--base-url", "localhost"], "--base-url 'localhost': must begin with http"),
        (["--base-url", f"http://me:{KEY}@x"], "--base-url must not contain a user or password"),
        (["--header", f"Key: {KEY}"], "'--header': it must be NAME=VALUE"),
        (["--header", f"Key={KEY}\n"], "--header: the value of 'Key' must be printable"),
        (["--api-key", f"{KEY} "], "--api-key must not contain white space"),
        ([f"--api-kye={KEY}"], "No such option"),
        ([KEY], "the prompt is more than one word"),
    ],
)
def test_a_refused_option_is_named(run: Run, arguments: list[str], words: str) -> None:
    """The error names the option, its value unless secret, and the rule; nothing was sent."""
    done = run("generate", "Hi", "--base-url", NOWHERE, *arguments)

    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert len(done.stderr.splitlines()) <= 2
    assert KEY not in done.stderr.decode()


def test_what_datacrunch_requires_is_said(run: Run) -> None:
    """Without settings the error names what is missing, as an option and as a variable."""
    done = run("generate", "Hi")

    assert done.returncode == 2
    assert b"--api-key is required for https://inference.datacrunch.io" in done.stderr
    assert b"DATACRUNCH_API_KEY" in done.stderr


def test_an_unknown_command_is_reported(run: Run) -> None:
    """An unknown command is reported with a reference to `--help`."""
    done = run("genrate", "Hi")

    assert done.returncode == 2
    assert b"No such command 'genrate'" in done.stderr
    assert b"--help" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ArgumentError("top_k", "must be"), 2),
        (AuthenticationError("no"), 3),
        (ConnectError("no"), 4),
        (TLSError("no"), 4),
        (ConnectTimeoutError("no"), 4),
        (NotFoundError("no"), 5),
        (InvalidRequestError("no"), 5),
        (OverloadedError("no"), 6),
        (GenerationError("no"), 6),
        (ServerError("no"), 6),
        (RequestTimeoutError("no"), 7),
        (DisconnectedError("no"), 7),
        (MalformedResponseError("no"), 7),
        (ClientClosedError(), 7),
        (StreamNotEndedError("no"), 7),
        (StructuredOutputError("no"), 7),
    ],
)
def test_every_error_has_an_exit_code(error: DataCrunchError, code: int) -> None:
    """Every error exits with a code that the help lists."""
    assert exit_code(error) == code
    assert f"{code}  " in EXIT_CODES


def test_every_error_is_in_that_table() -> None:
    """The table of exit codes has every error."""
    errors = {
        name
        for name in datacrunch_tgi.__all__
        if name.endswith("Error") and name not in {"DataCrunchError", "APIError", "TransportError"}
    }
    (table,) = (
        mark
        for mark in test_every_error_has_an_exit_code.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert {type(error).__name__ for error, _ in table.args[1]} == errors


def test_a_limit_is_named_as_an_option() -> None:
    """The hint names the option of the time limit to raise."""
    error = RequestTimeoutError("no answer in time")
    set_limit(error, "first_token_timeout", 2)

    assert (message_of(error), hint_of(error)) == (
        "no answer in time",
        "Raise --first-token-timeout (2 seconds) if the server needs longer.",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has such a device")
@pytest.mark.parametrize("arguments", [("check",), ("generate", "Hi"), ("stream", "Hi", "--json")])
def test_an_output_that_cannot_be_written_is_one_line(
    emulated_endpoint: Start, arguments: tuple[str, ...]
) -> None:
    """A full disk is an error as others are, without a traceback."""
    url = emulated_endpoint(answers="Hello").url
    command = [sys.executable, "-m", "datacrunch_tgi", *arguments, "--base-url", url]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(  # noqa: S603
            command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )

    assert (done.returncode, done.stderr) == (1, b"error: No space left on device\n")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named(missing: str) -> None:
    """Without the extra, the command prints one line: the pip command that installs it."""
    program = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; "
        "runpy.run_module('datacrunch_tgi', run_name='__main__')"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert missing in done.stderr
    assert 'pip install "datacrunch-tgi[cli]"' in done.stderr
