"""Options: generated from the package's lists, and all of them take effect."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from inspect import signature
from typing import Any

import click
import pytest
from click.testing import CliRunner

import datacrunch_tgi
from datacrunch_tgi import Settings, __main__
from datacrunch_tgi._cli._app import app
from datacrunch_tgi._cli._failures import in_options
from datacrunch_tgi._cli._options import NOT_OPTIONS, option_name, setting_options
from datacrunch_tgi._cli._serve import HELP
from datacrunch_tgi._protocol._parameters import PARAMETERS
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Run = Callable[..., subprocess.CompletedProcess[bytes]]

GRAMMAR = {"type": "regex", "value": "[0-9]+"}
EXAMPLES: dict[str, tuple[list[str], Any]] = {
    "do_sample": (["--no-do-sample"], False),
    "max_new_tokens": (["--max-new-tokens", "20"], 20),
    "repetition_penalty": (["--repetition-penalty", "1.5"], 1.5),
    "return_full_text": (["--return-full-text"], True),
    "stop": (["--stop", "a", "--stop", "b c"], ["a", "b c"]),
    "seed": (["--seed", str(2**64 - 1)], 2**64 - 1),
    "temperature": (["--temperature", "2"], 2.0),
    "top_k": (["--top-k", "7"], 7),
    "top_p": (["--top-p", "0.5"], 0.5),
    "truncate": (["--truncate", "9"], 9),
    "typical_p": (["--typical-p", "0.25"], 0.25),
    "best_of": (["--best-of", "1"], 1),
    "watermark": (["--watermark"], True),
    "details": (["--no-details"], False),
    "decoder_input_details": (["--no-decoder-input-details"], False),
    "frequency_penalty": (["--frequency-penalty", "-1"], -1.0),
    "top_n_tokens": (["--top-n-tokens", "3"], 3),
    "grammar": (["--grammar", json.dumps(GRAMMAR)], GRAMMAR),
    "adapter_id": (["--adapter-id", "mine"], "mine"),
}


@pytest.mark.parametrize("command", ["generate", "stream"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_reaches_the_server(
    emulated_endpoint: Start, command: str, name: str
) -> None:
    """Options that are passed are sent with their type; others are not sent."""
    endpoint = emulated_endpoint(answers="Hello")
    options, value = EXAMPLES[name]

    CliRunner().invoke(app, [command, "Hi", "--base-url", endpoint.url, *options])

    sent = endpoint.requests[0].json["parameters"]
    assert sent == {"max_new_tokens": 512} | {name: value}
    assert type(sent[name]) is type(value)


def test_parameters_of_newer_servers_reach_them(emulated_endpoint: Start) -> None:
    """Extra parameters are sent unchanged."""
    endpoint = emulated_endpoint(answers="Hello")
    newer = ["--extra-parameters", '{"newer": [1, null]}', "--base-url", endpoint.url]

    CliRunner().invoke(app, ["generate", "Hi", *newer])

    assert endpoint.requests[0].json["parameters"] == {"max_new_tokens": 512, "newer": [1, None]}


@pytest.mark.parametrize("command", ["chat", "check", "generate", "stream"])
def test_every_setting_is_an_option(command: str) -> None:
    """Each command accepts and lists every setting that is useful in a terminal."""
    shown = CliRunner().invoke(app, [command, "--help"]).output
    names = shown.partition("Settings:")[2].partition("Exit codes:")[0].replace(",", " ").split()

    assert set(NOT_OPTIONS) == {"max_connections", "tokenizer"}
    expected = [option_name(name) for name in Settings.model_fields if name not in NOT_OPTIONS]
    assert sorted(name for name in names if name.startswith("--")) == sorted(expected)


def test_settings_are_described_once() -> None:
    """The description of each setting is in the help of the whole command, and nowhere else."""
    commands = ["chat", "check", "generate", "stream"]
    pages = [CliRunner().invoke(app, [command, "--help"]).output for command in commands]
    group = CliRunner().invoke(app, ["--help"]).output

    assert group.count("Longest silence after the first token") == 1
    assert not any("Longest silence after the first token" in page for page in pages)


def test_the_adapters_spellings_are_options(emulated_endpoint: Start) -> None:
    """`--max-tokens` and `--timeout` mean what they mean in the adapters."""
    endpoint = emulated_endpoint(answers="Hello")
    short = ["--max-tokens", "7", "--timeout", "30", "--base-url", endpoint.url]

    assert CliRunner().invoke(app, ["generate", "Hi", *short]).exit_code == 0
    assert endpoint.requests[0].json["parameters"] == {"max_new_tokens": 7}


def test_a_shell_completes_commands_and_options(run: Run) -> None:
    """The line that help shows prints a script, which completes from what is typed."""
    words = {"COMP_WORDS": "datacrunch-tgi stream --max-t", "COMP_CWORD": "2"}

    shown = run("--help").stdout.decode()
    script = run(_DATACRUNCH_TGI_COMPLETE="bash_source")
    completed = run(_DATACRUNCH_TGI_COMPLETE="bash_complete", **words)

    assert 'eval "$(_DATACRUNCH_TGI_COMPLETE=bash_source datacrunch-tgi)"' in shown
    assert b"complete -o nosort" in script.stdout
    assert completed.stdout.decode().split() == ["plain,--max-tokens"]


def test_settings_reach_the_client(emulated_endpoint: Start, run: Run) -> None:
    """URL, model, key and headers are sent; options take precedence over variables."""
    endpoint = emulated_endpoint(answers="Hello", base_path="/v1", api_key="sesame-option")
    options = ["--base-url", endpoint.url, "--api-key", "sesame-option", "--model", "llama"]
    headers = ["--header", "X-One=1=1", "--header", "X-Two="]
    others = dict.fromkeys(("DATACRUNCH_BASE_URL", "DATACRUNCH_MODEL", "DATACRUNCH_API_KEY"), "x")

    done = run("generate", "Hi", *options, *headers, **others)

    (request,) = endpoint.requests
    assert (done.returncode, done.stdout) == (0, b"Hello\n")
    assert request.json["model"] == "llama"
    assert (request.headers["x-one"], request.headers["x-two"]) == ("1=1", "")


@pytest.mark.parametrize(
    ("files", "certificate"),
    [([], None), (["own.pem"], "own.pem"), (["own.pem", "own.key"], ("own.pem", "own.key"))],
)
def test_a_certificate_may_be_several_files(files: list[str], certificate: object) -> None:
    """One file is a certificate with its key; of several each has its place."""
    (option,) = (option for option in setting_options() if option.name == "client_certificate")
    command = click.Command("any", params=[option])
    arguments = [word for file in files for word in ("--client-certificate", file)]

    with command.make_context("any", arguments) as context:
        assert context.params == {"client_certificate": certificate}


def test_every_argument_of_the_endpoint_is_an_option_of_serve() -> None:
    """A new one cannot be forgotten, and has a description."""
    shown = CliRunner().invoke(app, ["serve", "--help"]).output

    assert {*HELP, "respond"} == set(signature(EmulatedEndpoint).parameters)
    for name in HELP:
        assert f"{option_name(name)} " in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("check api_key, or the variable", "check --api-key, or the variable"),
        ("pass model=, or set", "pass --model, or set"),
        ("set do_sample=True", "set --do-sample"),
        ("best_of=2", "--best-of 2"),
        ("the model failed: details, stop", "the model failed: details, stop"),
        ("headers= or max_new_tokens", "--header or --max-new-tokens"),
        ("Raise max_new_tokens.", "Raise --max-new-tokens."),
        ("pass the chat_template.jinja of it", "pass the chat_template.jinja of it"),
        ("in chat_template/, /a/chat_template", "in chat_template/, /a/chat_template"),
    ],
)
def test_hints_speak_of_options(words: str, said: str) -> None:
    """Messages name options instead of keyword arguments; ordinary words and names of files stay."""
    assert in_options(words) == said


def test_the_command_is_installed(run: Run) -> None:
    """`datacrunch-tgi` is the same as `python -m datacrunch_tgi`, and both have `--version`."""
    (installed,) = entry_points(group="console_scripts", name="datacrunch-tgi")

    assert installed.load() is __main__.main
    assert run("--version").stdout.decode().split()[-1] == datacrunch_tgi.__version__


def test_the_package_does_not_need_the_commands_packages() -> None:
    """Importing the client does not import click and rich."""
    program = "import sys; sys.modules['click'] = sys.modules['rich'] = None; import datacrunch_tgi"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)  # noqa: S603
