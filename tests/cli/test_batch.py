"""`batch`: a file of rows, progress, exit codes."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datacrunch_tgi.batch import BatchFields, BatchOptions
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.cli.batch_files import read, write

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
RunInTerminal = Callable[..., tuple[int, str]]


def test_a_csv_is_labelled_with_one_command(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """The prompt is made of columns; the output has the columns, the answers and what they took."""
    endpoint = emulated_endpoint(answers="good")
    source, output = tmp_path / "reviews.csv", tmp_path / "labels.csv"
    source.write_text('id,review\n1,"so, so"\n2,fine\n', encoding="utf-8")

    done = run(
        "batch",
        str(source),
        *("--output", str(output), "--prompt", "Label this: {review}", "--column", "text=label"),
        *("--max-tokens", "5", "--stop", "."),
        DATACRUNCH_BASE_URL=endpoint.url,
    )

    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[0] == "2 rows: 2 answered, 0 failed, 0 left"
    with output.open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert {key: (row["review"], row["label"]) for key, row in rows.items()} == {
        "1": ("so, so", "good"),
        "2": ("fine", "good"),
    }
    assert sorted(request.json["inputs"] for request in endpoint.requests) == [
        "Label this: fine",
        "Label this: so, so",
    ]
    sent = endpoint.requests[0].json["parameters"]
    assert sent == {"details": True, "max_new_tokens": 5, "stop": ["."]}


def test_messages_take_the_models_template(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """The template is found by the name that the server reports, as in `chat`; warnings are short."""
    endpoint = emulated_endpoint(answers="Hello", model_id="llama-2-7b-chat")
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    messages = [{"role": "user", "content": "Hi [INST]"}]
    source.write_text(f"{json.dumps({'messages': messages})}\n" * 3, encoding="utf-8")

    done = run("batch", str(source), "--output", str(output), "--base-url", endpoint.url)

    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert b"control tokens" in done.stderr
    assert {
        request.json["inputs"] for request in endpoint.requests if request.method == "POST"
    } == {"[INST] Hi [ INST] [/INST]"}
    assert len(read(output)) == 3


def test_some_failed_rows_have_an_exit_code(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """The exit code is 8 until every row is answered; the summary counts failures by kind."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path)
    command = ("batch", source, "--output", str(output), "--base-url", endpoint.url)
    endpoint.fail_next(2, status=400)

    first = run(*command)
    second = run(*command)
    third = run(*command, "--retry-failed")

    assert (first.returncode, second.returncode, third.returncode) == (8, 8, 0)
    assert b"5 rows: 3 answered, 2 failed, 0 left\n  InvalidRequestError: 2\n" in first.stdout
    assert b"--retry-failed" in second.stdout
    assert not any(row.get("error") for row in read(output))


def test_one_row_is_singular(emulated_endpoint: Start, run: Run, tmp_path: Path) -> None:
    """The summary of one row reads "1 row" and "1 answer"."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"inputs": "a"}\n', encoding="utf-8")

    done = run("batch", str(source), "--output", str(output), "--base-url", endpoint.url)

    assert done.stdout.startswith(b"1 row: 1 answered, 0 failed, 0 left\n1 answer in ")


def test_quiet_says_nothing(emulated_endpoint: Start, run: Run, tmp_path: Path) -> None:
    """Neither progress nor summary; the exit code says enough."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path)

    done = run("batch", source, "--output", str(output), "--base-url", endpoint.url, "--quiet")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_terminal_shows_a_bar(
    emulated_endpoint: Start, run_in_terminal: RunInTerminal, tmp_path: Path
) -> None:
    """With rows, failures, tokens a second, requests at a time and the time that is left."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path)

    code, shown = run_in_terminal(
        *("batch", source, "--output", str(output), "--base-url", endpoint.url), COLUMNS="120"
    )

    assert code == 0
    assert "5 of 5 rows, 0 failed, " in shown
    assert "tokens/s, " in shown
    assert " at a time, 0:00:00 left" in shown


def test_strict_names_bad_rows(emulated_endpoint: Start, run: Run, tmp_path: Path) -> None:
    """Nothing is sent, and the exit code is that of a mistake in the call."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = write(tmp_path)
    rows = '{"inputs": "sesame"}\n{"inputs": \n{"inputs": "a", "parameters": {"top_k": 0}}\n'
    Path(source).write_text(rows, encoding="utf-8")

    done = run("batch", source, "--output", str(output), "--base-url", endpoint.url, "--strict")

    assert done.returncode == 2
    assert b"in.jsonl, line 2" in done.stderr
    assert b"line 3: top_k=0: must be" in done.stderr  # as it is spelled in the file
    assert b"sesame" not in done.stderr
    assert not endpoint.requests


@pytest.mark.parametrize("text", ["", "id,inputs\n"])
def test_a_file_without_rows_is_no_error(
    emulated_endpoint: Start, run: Run, tmp_path: Path, text: str
) -> None:
    """The output is there, and the command says why it has no rows."""
    endpoint = emulated_endpoint(answers="Hello")
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text, encoding="utf-8")

    done = run("batch", str(source), "--output", str(output), "--base-url", endpoint.url)

    assert done.returncode == 0
    assert b"in.csv has no rows.\n" in done.stderr
    assert output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--concurrency", "0"], "--concurrency 0: must be"),
        (["--patience", "-1"], "--patience -1.0: must be"),
        (["--column", "answer=a"], "answer: no such column"),
        (["--prompt", "{"], "error: --prompt must have a column name"),
        (["--top-p", "3"], "--top-p 3.0: must be"),
        (["--output", "nowhere/out.jsonl"], "its folder does not exist"),
        (["--output", "out.txt"], "must end with .jsonl, .csv or .parquet"),
    ],
)
def test_a_refused_option_is_named(
    run: Run, tmp_path: Path, options: list[str], words: str
) -> None:
    """An error names the option as it is spelled on the command line."""
    source, output = write(tmp_path)
    done = run(
        "batch", source, "--output", str(output), *options, "--base-url", "http://localhost:1"
    )
    assert done.returncode == 2
    assert words in done.stderr.decode()


def test_an_endpoint_that_refuses_all_has_its_own_exit_code(
    emulated_endpoint: Start, run: Run, tmp_path: Path
) -> None:
    """When patience ends, no row has failed, and the same command can go on."""
    endpoint = emulated_endpoint(answers="Hello", max_concurrent_requests=0)
    source, output = write(tmp_path)

    done = run(
        *("batch", source, "--output", str(output), "--base-url", endpoint.url),
        *("--patience", "0.1"),
    )

    assert done.returncode == 6
    assert b"5 rows: 0 answered, 0 failed, 5 left\n" in done.stdout
    assert read(output) == []


def test_replicas_are_used_evenly(emulated_endpoint: Start, run: Run, tmp_path: Path) -> None:
    """Each replica gets its share of the requests, with the same key."""
    endpoints = [emulated_endpoint(answers="Hello", api_key="k") for _ in range(3)]
    source, output = write(tmp_path, 30)
    first, *others = (endpoint.url for endpoint in endpoints)

    done = run(
        *("batch", source, "--output", str(output), "--base-url", first),
        *(part for url in others for part in ("--replica", url)),
        DATACRUNCH_API_KEY="k",
    )

    assert done.returncode == 0
    assert all(5 <= len(endpoint.requests) <= 15 for endpoint in endpoints)


def test_ray_that_is_not_installed_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--ray` without the package says what to install, before anything is written."""
    monkeypatch.setitem(sys.modules, "ray", None)
    source, output = write(tmp_path)

    done = run(
        *("batch", source, "--output", str(output), "--base-url", "http://localhost:1", "--ray")
    )

    assert done.returncode == 1
    assert b"pip install 'datacrunch-tgi[ray]'" in done.stderr
    assert not output.exists()


def test_every_option_of_a_run_is_listed_once() -> None:
    """The listing for type checkers, and that with types, units and defaults."""
    assert list(BatchOptions.__annotations__) == list(BatchFields.model_fields)
