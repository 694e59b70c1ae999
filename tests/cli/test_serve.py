"""`serve`: an emulated endpoint for other terminals."""

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from datacrunch_tgi import AuthenticationError, Client
from datacrunch_tgi._cli._serve import export_line
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
Begin = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")


def read_url(process: subprocess.Popen[bytes]) -> str:
    """The address, from the line that a shell can take."""
    assert process.stdout
    for line in process.stdout:
        before, _, url = line.decode().strip().partition("=")
        if before == "export DATACRUNCH_BASE_URL":
            return url
    raise AssertionError("no URL was printed")


@not_on_windows
def test_it_serves_until_ctrl_c(begin: Begin) -> None:
    """`serve` answers at the URL that it prints, until Ctrl-C ends it without an error."""
    options = ["--answer", "first", "--answer", "second", "--base-path", "/v1/completions"]
    with begin("serve", *options, "--api-key", "sesame", "--dialect", "1.1.1") as process:
        url = read_url(process)
        with Client(base_url=url, api_key="sesame") as client:
            answers = [client.generate("Hi").text for _ in range(3)]
        with Client(base_url=url) as client, pytest.raises(AuthenticationError):
            client.generate("Hi")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)

    assert url.endswith("/v1/completions")
    assert answers == ["first", "second", "second"]
    assert (process.returncode, rest, errors) == (0, b"stopped\n", b"")


def test_it_prints_each_request(begin: Begin) -> None:
    """One line for each request and its outcome, with neither prompt nor key."""
    with begin("serve", "--verbose", "--answer", "one two", "--api-key", "sesame") as process:
        assert process.stdout
        url = read_url(process)
        with Client(base_url=url, api_key="sesame") as client:
            client.generate("Hi")
            list(client.stream("Hi"))
        lines = [process.stdout.readline() for _ in range(2)]
        with Client(base_url=url) as client, pytest.raises(AuthenticationError):
            client.generate("Hi")
        lines.append(process.stdout.readline())

    assert lines == [
        b"POST /generate 200\n",
        b"POST /generate_stream 200, 3 events\n",
        b"POST /generate 401\n",
    ]


def test_it_answers_without_a_word(begin: Begin) -> None:
    """Without options, `serve` has a default answer."""
    with begin("serve") as process, Client(base_url=read_url(process)) as client:
        assert client.generate("Hi").text == "Hello! How can I help you today?"


def test_a_model_answers(begin: Begin, tiny_llama: Path) -> None:
    """`serve --model` serves a folder with a Llama."""
    with (
        begin("serve", "--model", str(tiny_llama)) as process,
        Client(base_url=read_url(process)) as client,
    ):
        answer = client.generate("Hello", max_new_tokens=3, details=True)

    assert answer.usage.completion_tokens == 3


def test_what_cannot_be_served_is_reported(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """A taken port, a folder without a model, a wrong option: a line or two, and an exit code."""
    port = emulated_endpoint(answers="Hello").url.rpartition(":")[2]
    for code, words, *arguments in (
        (1, "in use", "--port", port),
        (1, "No such file", "--model", str(tmp_path)),
        (2, "0.0 is not in the range", "--tokens-per-second", "0"),
        (2, "99999 is not in the range", "--port", "99999"),
        (
            2,
            "--answer cannot be combined with --model",
            "--model",
            str(tmp_path),
            "--answer",
            "Hello",
        ),
        (2, "'2.0' is not one of", "--dialect", "2.0"),
        (2, "--base-path must start with a slash", "--base-path", "v1"),
    ):
        done = run("serve", *arguments)

        assert (done.returncode, done.stdout) == (code, b"")
        assert words in done.stderr.decode()
        assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("missing", "arguments"), [("starlette", ()), ("numpy", ("--model", "folder"))]
)
def test_a_missing_extra_is_named(missing: str, arguments: tuple[str, ...]) -> None:
    """Without the extra, the error is the command that installs it; other commands need it not."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        program = (
            f"import runpy, sys; sys.modules[{missing!r}] = None; sys.argv[1:] = {words!r}; "
            "runpy.run_module('datacrunch_tgi', run_name='__main__')"
        )
        return subprocess.run(  # noqa: S603
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )

    done = run("serve", *arguments)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert 'pip install "datacrunch-tgi[testing]"' in done.stderr
    assert run("--help").returncode == 0


@pytest.mark.parametrize(
    ("windows", "line"),
    [
        (False, "export DATACRUNCH_BASE_URL='http://host:1/a b'"),
        (True, '$env:DATACRUNCH_BASE_URL = "http://host:1/a b"'),
    ],
)
def test_the_line_is_for_the_shell_at_hand(windows: bool, line: str) -> None:  # noqa: FBT001 -- pytest's
    """The line to copy uses the syntax of the user's shell."""
    assert export_line("http://host:1/a b", windows=windows) == line
