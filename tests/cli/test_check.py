"""`check`: results, hints, and checks that are skipped."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
Begin = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
RunInTerminal = Callable[..., tuple[int, str]]

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")

KEY = "sesame-open-thyself"


def marks(output: bytes) -> dict[str, str]:
    """The mark of each check, by its name."""
    lines = [line for line in output.decode().splitlines() if not line.startswith(" ")]
    return {line[2:14].strip(): line[0] for line in lines}


def test_all_is_well(emulated_endpoint: Start, run: Run) -> None:
    """Each check shows its value and source, but never the key."""
    endpoint = emulated_endpoint(answers="one two three", api_key=KEY)

    done = run("check", "--base-url", endpoint.url, DATACRUNCH_API_KEY=KEY)

    assert (done.returncode, done.stderr) == (0, b"")
    assert marks(done.stdout) == dict.fromkeys(
        ("key", "base URL", "route", "model", "one token", "one stream"), "✓"
    )
    shown = done.stdout.decode()
    assert "from DATACRUNCH_API_KEY" in shown
    assert f"{endpoint.url}, from --base-url" in shown
    assert "tgi, the default" in shown
    assert "'one' in " in shown
    assert "4 tokens in " in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    ("fault", "code", "expected", "words"),
    [
        ({"status": 401}, 3, "✗✓····", "Check --api-key"),
        ({"status": 404}, 5, "·✓✗···", "--base-url is the URL prefix of /generate"),
        ({"status": 200, "body": "<html>"}, 7, "·✓✗···", "not TGI's"),
        ({"status": 404, "body": {"error": "no such model"}}, 5, "✓✓✓✗··", "no such model"),
        ({"status": 400, "body": {"message": "model x is off"}}, 5, "✓✓✓✗··", "model x is off"),
        ({"status": 422, "body": {"error": "no"}}, 5, "✓✓✓✓✗·", "422"),
        ({"status": 429}, 6, "✓✓✓✓✗·", "429"),
        ({"hang_up": True}, 7, "✓✓✓✓✗·", "broke"),
    ],
    ids=["key", "route", "page", "model", "model 400", "refused", "busy", "broken"],
)
def test_what_failed_is_marked(
    *,
    emulated_endpoint: Start,
    run: Run,
    fault: dict[str, Any],
    code: int,
    expected: str,
    words: str,
) -> None:
    """One check fails and says what to do; checks that depend on it are skipped."""
    endpoint = emulated_endpoint(answers="one two three")
    endpoint.fail_next(**fault)

    done = run("check", "--base-url", endpoint.url, "--max-retries", "0")

    assert (done.returncode, done.stderr) == (code, b"")
    assert "".join(marks(done.stdout).values()) == expected
    assert words in done.stdout.decode()


def test_a_stream_that_fails_is_distinguished(emulated_endpoint: Start, run: Run) -> None:
    """A gateway that passes answers but breaks streams is detected."""
    endpoint = emulated_endpoint(answers=["one", "one two three"])
    endpoint.fail_next(delay=0)
    endpoint.fail_next(cut_after=2)

    done = run("check", "--base-url", endpoint.url)

    assert done.returncode == 7
    assert "".join(marks(done.stdout).values()) == "✓✓✓✓✓✗"


def test_nobody_there(run: Run) -> None:
    """If nothing listens at the URL, no check passes."""
    done = run("check", "--base-url", "http://127.0.0.1:1", "--max-retries", "0")

    assert done.returncode == 4
    assert "".join(marks(done.stdout).values()) == "·✗····"
    assert b"that the server is running" in done.stdout


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "✗·····"),
        ({"DATACRUNCH_API_KEY": KEY}, "···✗··"),
        ({"DATACRUNCH_BASE_URL": f"http://me:{KEY}@host"}, "·✗····"),
        ({"DATACRUNCH_API_KEY": f"{KEY}\n"}, "✗·····"),
    ],
    ids=["nothing", "no model", "password", "line end"],
)
def test_what_is_missing_is_reported(run: Run, variables: dict[str, str], expected: str) -> None:
    """Without settings it shows what to set; nothing is sent, so no check passes."""
    done = run("check", **variables)

    assert done.returncode == 2
    assert "".join(marks(done.stdout).values()) == expected
    assert KEY not in done.stdout.decode()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "none; the server did not ask for one"),
        (("--header", f"Authorization=Bearer {KEY}"), "from --header Authorization"),
    ],
    ids=["none", "header"],
)
def test_where_the_key_comes_from(
    emulated_endpoint: Start, run: Run, options: tuple[str, ...], words: str
) -> None:
    """The user sees if the server needs no key, and a key in a header counts as one."""
    endpoint = emulated_endpoint(answers="one two three", api_key=KEY if options else None)

    done = run("check", "--base-url", endpoint.url, *options)

    assert done.returncode == 0
    assert words in done.stdout.decode()
    assert KEY not in done.stdout.decode()


def test_a_monitor_reads_json(emulated_endpoint: Start, run: Run) -> None:
    """`--json` prints one line: whether all passed, each check, and the times in seconds."""
    endpoint = emulated_endpoint(answers="one two three")

    done = run("check", "--json", "--base-url", endpoint.url)

    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert (done.returncode, result["ok"], result["exit_code"]) == (0, True, 0)
    assert {check["result"] for check in result["checks"]} == {"passed"}
    assert [check["check"] for check in result["checks"]][:2] == ["key", "base URL"]
    assert result["seconds"].keys() == {"one_token", "first_token", "one_stream"}
    assert all(seconds >= 0 for seconds in result["seconds"].values())


def test_a_monitor_reads_what_failed(emulated_endpoint: Start, run: Run) -> None:
    """The failed check has message and advice, the exit code is the command's, nothing leaks."""
    endpoint = emulated_endpoint(answers="one", api_key="another")

    done = run("check", "--json", "--base-url", endpoint.url, DATACRUNCH_API_KEY=KEY)

    result = json.loads(done.stdout)
    (failed,) = (check for check in result["checks"] if check["result"] == "failed")
    assert (done.returncode, result["ok"], result["exit_code"]) == (3, False, 3)
    assert failed["check"] == "key"
    assert "401" in failed["message"]
    assert "--api-key" in failed["hint"]
    assert KEY not in done.stdout.decode() + done.stderr.decode()


def test_other_options_are_no_check(run: Run) -> None:
    """An invalid option without its own check is refused as in other commands."""
    done = run("check", "--base-url", "http://localhost:1", "--idle-timeout", "0")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--idle-timeout 0.0: must be greater than 0" in done.stderr


@not_on_windows
def test_a_closed_pipe_is_no_error(emulated_endpoint: Start, begin: Begin) -> None:
    """`check` ends quietly if its output is closed, as by `| head`."""
    endpoint = emulated_endpoint(answers="one two three")

    with begin("check", "--base-url", endpoint.url) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 141)


def test_marks_without_unicode(emulated_endpoint: Start, run: Run) -> None:
    """A terminal without Unicode gets distinct ASCII marks."""
    endpoint = emulated_endpoint(answers="one two three")
    endpoint.fail_next(status=422)

    done = run("check", "--base-url", endpoint.url, encoding="latin-1")

    assert "".join(marks(done.stdout).values()) == "++++x-"


def test_marks_are_coloured_on_a_terminal(
    emulated_endpoint: Start, run_in_terminal: RunInTerminal
) -> None:
    """Marks are coloured on a terminal, unless NO_COLOR is set."""
    endpoint = emulated_endpoint(answers="one two three")
    ask = ("check", "--base-url", endpoint.url)

    assert "\x1b[32m✓" in run_in_terminal(*ask, PYTHONUTF8="1")[1]
    assert "\x1b[32m✓" not in run_in_terminal(*ask, PYTHONUTF8="1", NO_COLOR="1")[1]
