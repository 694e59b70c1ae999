"""`generate` and `stream`: what is sent, and what is printed."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
Begin = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
RunInTerminal = Callable[..., tuple[int, str]]

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")

both = pytest.mark.parametrize("command", ["generate", "stream"])


@both
def test_plain_output_is_the_text_alone(emulated_endpoint: Start, run: Run, command: str) -> None:
    """The output can be piped: the answer, a line end, nothing else."""
    endpoint = emulated_endpoint(answers="eins zwei drei äöü😀")

    done = run(command, "Hi there", "--base-url", endpoint.url)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == "eins zwei drei äöü😀\n"
    assert endpoint.requests[0].json["inputs"] == "Hi there"


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=["absent", "hyphen"])
@pytest.mark.parametrize(
    ("stdin", "prompt"),
    [
        (b"Hi there\n", "Hi there"),
        (b"Hi there\r\n", "Hi there"),
        (b"Hi\n\n", "Hi\n"),
        (b"\xef\xbb\xbf\xc3\xa9\xf0\x9f\x98\x80", "é😀"),
    ],
    ids=["line", "Windows", "lines", "UTF-8"],
)
def test_a_prompt_can_be_piped_in(
    emulated_endpoint: Start, run: Run, arguments: tuple[str, ...], stdin: bytes, prompt: str
) -> None:
    """Without an argument, or with a hyphen, the prompt is standard input but for its line end."""
    endpoint = emulated_endpoint(answers="Hello")

    done = run("generate", *arguments, stdin=stdin, DATACRUNCH_BASE_URL=endpoint.url)

    assert done.returncode == 0
    assert endpoint.requests[0].json["inputs"] == prompt


def test_a_terminal_is_not_waited_for(run_in_terminal: RunInTerminal) -> None:
    """Without a prompt the command reports it instead of waiting for one."""
    code, shown = run_in_terminal("generate")

    assert code == 2
    assert "there is no prompt" in shown


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("Hi", "sesame"), b"", "the prompt is more than one word: put it in quotes"),
        ((), b"sesame\xff", "the prompt on standard input is not UTF-8"),
        (("",), b"", "the prompt cannot be empty"),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_not_shown(
    run: Run, arguments: tuple[str, ...], stdin: bytes, words: str
) -> None:
    """The error says what is wrong, in a line or two, without any part of the prompt."""
    done = run("generate", *arguments, "--base-url", "http://localhost:1", stdin=stdin)

    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"sesame" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_json_has_the_details(emulated_endpoint: Start, run: Run) -> None:
    """Programs get text, finish reason, usage and tokens, without asking for details."""
    endpoint = emulated_endpoint(answers="one two three")

    done = run("generate", "Hi", "--json", "--base-url", endpoint.url)

    answer = json.loads(done.stdout)
    assert (answer["text"], answer["finish_reason"]) == ("one two three", "eos_token")
    assert [token["text"] for token in answer["details"]["tokens"]][:2] == ["one", " two"]
    assert answer["usage"]["completion_tokens"] == 4


@both
def test_details_can_be_turned_off(emulated_endpoint: Start, run: Run, command: str) -> None:
    """What the user passes takes precedence over what JSON asks for."""
    endpoint = emulated_endpoint(answers="Hello")

    run(command, "Hi", "--json", "--no-details", "--base-url", endpoint.url)

    assert endpoint.requests[0].json["parameters"]["details"] is False


@pytest.mark.parametrize("dialect", ["3.3.7", "1.1.1"])
def test_a_stream_is_a_line_of_json_for_each_event(
    emulated_endpoint: Start, run: Run, dialect: str
) -> None:
    """The events' texts are the answer; the last line also has finish reason and usage."""
    endpoint = emulated_endpoint(answers="one two three four", dialect=dialect)

    done = run("stream", "Hi", "--json", "--base-url", endpoint.url)

    *before, last = map(json.loads, done.stdout.splitlines())
    assert [event["text"] for event in before] == ["one", " two", " three", " four"]
    assert not any("usage" in event for event in before)
    assert last["finish_reason"] == "eos_token"
    assert last["usage"]["completion_tokens"] == 5


def test_a_streams_last_line_has_why_it_stopped(emulated_endpoint: Start, run: Run) -> None:
    """At a stop string too, the last line has finish reason and usage."""
    endpoint = emulated_endpoint(answers="one two three four")

    done = run("stream", "Hi", "--stop", "three", "--json", "--base-url", endpoint.url)

    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["finish_reason"], last["usage"]["completion_tokens"]) == ("stop_sequence", 3)


@both
def test_a_prompt_can_be_put_into_the_chat_template(
    emulated_endpoint: Start, run: Run, command: str
) -> None:
    """With `--chat` the prompt is a user's message, in the template of the model's name."""
    endpoint = emulated_endpoint(answers="Hello")
    ask = (command, "Hi", "--chat", "--system", "Be kind.", "--base-url", endpoint.url)

    done = run(*ask, "--model", "llama-2-13b-chat", "--seed", "7", "--json")

    sent = endpoint.requests[0].json
    assert done.returncode == 0
    assert sent["inputs"] == "[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST]"
    assert (sent["parameters"]["seed"], sent["parameters"]["details"]) == (7, True)


def test_the_server_may_name_the_model_of_a_chat(emulated_endpoint: Start, run: Run) -> None:
    """Without a model's name the template is found by the name in `/info`."""
    endpoint = emulated_endpoint(answers="Hello", model_id="Qwen/Qwen2.5-7B-Instruct")

    done = run("generate", "Hi", "--chat", "--base-url", endpoint.url)

    assert done.stdout == b"Hello\n"
    assert "<|im_start|>user\nHi<|im_end|>" in endpoint.requests[-1].json["inputs"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--chat",), "--chat-template is required: no template is known for model 'tgi'"),
        (("--chat", "--chat-template", "sesam"), "--chat-template 'sesam': no such chat template"),
        (("--chat", "--temperature", "-1"), "--temperature -1.0: must be 0 (greedy) or greater"),
        (("--chat", "--idle-timeout", "0"), "--idle-timeout 0.0: must be greater than 0"),
        (("--system", "Be kind."), "--system requires --chat"),
        (("--chat-template", "chatml"), "--chat-template requires --chat"),
    ],
)
def test_a_refused_chat_option_is_named(
    emulated_endpoint: Start, run: Run, arguments: tuple[str, ...], words: str
) -> None:
    """The error names option and rule, and no prompt is sent."""
    endpoint = emulated_endpoint(answers="Hello", model_id="some-base-model")

    done = run("generate", "Hi", *arguments, "--base-url", endpoint.url)

    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert not [request for request in endpoint.requests if request.method == "POST"]


def test_json_is_utf8_in_every_locale(emulated_endpoint: Start, run: Run) -> None:
    """JSON does not depend on the terminal's encoding; text is shown as far as possible."""
    endpoint = emulated_endpoint(answers="é😀")
    ask = ("generate", "Hi", "--base-url", endpoint.url)

    whole = run(*ask, "--json", encoding="latin-1")
    plain = run(*ask, encoding="latin-1")

    assert json.loads(whole.stdout.decode())["text"] == "é😀"
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, b"\xe9?\n", b"")


def test_tokens_are_printed_as_they_come(emulated_endpoint: Start, begin: Begin) -> None:
    """The first token can be read before the server sends the second."""
    endpoint = emulated_endpoint(answers="one two")
    endpoint.fail_next(stall=3600, stall_after=1)

    with begin("stream", "Hi", "--base-url", endpoint.url) as process:
        assert process.stdout
        assert process.stdout.read(3) == b"one"
        assert process.poll() is None


@not_on_windows
def test_ctrl_c_stops_a_stream(emulated_endpoint: Start, begin: Begin) -> None:
    """Ctrl-C exits with 130, without a message, and the server stops generating."""
    endpoint = emulated_endpoint(answers="one two")
    endpoint.fail_next(stall=3600, stall_after=1)

    with begin("stream", "Hi", "--base-url", endpoint.url) as process:
        assert process.stdout
        assert process.stdout.read(3) == b"one"
        process.send_signal(signal.SIGINT)
        ended = process.communicate(timeout=60)

    assert (process.returncode, *ended) == (130, b"\n", b"")
    endpoint.wait_until_idle()
    assert endpoint.requests[0].left_early


@not_on_windows
def test_ctrl_c_stops_waiting(emulated_endpoint: Start, begin: Begin) -> None:
    """Ctrl-C ends a command while it waits for an answer."""
    asked, left = threading.Event(), threading.Event()

    def answer(_: str) -> str:
        asked.set()
        left.wait(60)
        return "too late"

    endpoint = emulated_endpoint(answers=answer)

    with begin("generate", "Hi", "--base-url", endpoint.url) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        ended = process.communicate(timeout=60)
        left.set()

    assert (process.returncode, *ended) == (130, b"", b"")


@not_on_windows
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "JSON"])
def test_a_closed_pipe_is_no_error(
    emulated_endpoint: Start, begin: Begin, options: tuple[str, ...]
) -> None:
    """With `| head` the command ends quietly, and the server stops generating."""
    endpoint = emulated_endpoint(answers="word " * 1000, tokens_per_second=100)

    ask = ("stream", "Hi", "--max-new-tokens", "1500", *options, "--base-url", endpoint.url)
    with begin(*ask) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(4)
        process.stdout.close()
        errors = process.stderr.read()

        assert (process.wait(timeout=60), errors) == (141, b"")
    endpoint.wait_until_idle()
    assert endpoint.requests[0].left_early


def test_an_answer_has_no_power_over_a_terminal(
    emulated_endpoint: Start, run: Run, run_in_terminal: RunInTerminal
) -> None:
    """Control characters of an answer reach a file as they are, and a terminal as signs."""
    endpoint = emulated_endpoint(answers="red \x1b[31m and\tbell\a\nend")
    ask = ("stream", "Hi", "--base-url", endpoint.url)

    assert run(*ask).stdout == b"red \x1b[31m and\tbell\a\nend\n"
    code, shown = run_in_terminal(*ask, PYTHONUTF8="1")
    assert code == 0
    assert shown == "red \N{REPLACEMENT CHARACTER}[31m and\tbell\N{REPLACEMENT CHARACTER}\nend\n"
