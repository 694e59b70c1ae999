"""`serve`: an emulated endpoint in a terminal."""

import os
import shlex
import time
from collections.abc import Iterator
from inspect import signature
from typing import TYPE_CHECKING, Any, get_type_hints

import click
from rich.text import Text

from datacrunch_tgi._cli._command import Command
from datacrunch_tgi._cli._failures import in_options, one_line
from datacrunch_tgi._cli._options import Option, given, listed_option
from datacrunch_tgi._cli._terminal import OUT

if TYPE_CHECKING:
    from datacrunch_tgi.testing import EmulatedEndpoint, ReceivedRequest

ANSWER = "Hello! How can I help you today?"
"""The answer if neither `answers` nor `model` is passed."""
HELP = {
    "answers": f"Answer to every request. Repeat the option for several answers in turn; the last one repeats. Default: {ANSWER}",
    "model": "Folder of a Llama model that answers: config.json, model.safetensors, tokenizer.json.",
    "dialect": "TGI version to emulate; 1.1.1 is DataCrunch's fork.",
    "base_path": "Path prefix of /generate, such as /v1/completions.",
    "api_key": "API key that requests must have. Default: none.",
    "host": "Address to listen on.",
    "port": "Port to listen on; 0 picks a free one.",
    "model_id": "Model name in /info.",
    "max_concurrent_requests": "Maximum number of open requests; others get status 429.",
    "max_batch_size": "Maximum number of answers generated at a time; others wait. Default: no limit.",
    "max_best_of": "Maximum of best_of.",
    "max_stop_sequences": "Maximum number of stop strings.",
    "max_top_n_tokens": "Maximum of top_n_tokens.",
    "max_input_tokens": "Maximum length of a prompt, in tokens.",
    "max_total_tokens": "Maximum length of prompt and answer together, in tokens.",
    "payload_limit": "Maximum size of a request body, in bytes. Default: that of the dialect.",
    "tokens_per_second": "Speed of each answer, in tokens per second. Default: no limit.",
    "keep_alive_interval": "Interval of keep-alive comments in a silent stream, in seconds.",
}
"""Help for the arguments of `EmulatedEndpoint`, which declares their types and defaults.
`respond` is missing: it is a function."""
LAST_PORT = 65535

_LOOK_EVERY = 0.1
"""Seconds between two checks for finished requests."""


class _Serve(Command):
    """A command whose options are made on first use, because they need the extra `testing`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not any(isinstance(option, Option) for option in self.params):
            self.params.extend(_options())
        return super().get_params(ctx)


@click.command("serve", cls=_Serve)
@click.option("--verbose", is_flag=True, help="Print a line for each request.")
def serve(*, verbose: bool, **arguments: Any) -> None:
    """Serve an emulated endpoint on this machine.

    For tests without a GPU. It behaves as a real server: parameters, limits, errors, streams. Answers
    come from --answer, or are computed by the model in a folder. Requires the extra `testing`.
    """
    passed = given(arguments, arguments)
    if passed.keys() >= {"answers", "model"}:
        raise click.UsageError("--answer cannot be combined with --model")
    if not passed.keys() & {"answers", "model"}:
        passed["answers"] = ANSWER
    try:
        with _endpoint()(**passed) as endpoint:
            _announce(endpoint)
            _serve_on(endpoint, verbose=verbose)
    except KeyboardInterrupt:
        OUT.print("stopped")
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        words = str(error).removeprefix(f"[Errno {error.errno}] ")
        raise click.ClickException(words) from None
    except ValueError as error:
        raise click.UsageError(in_options(str(error))) from None


def _endpoint() -> "type[EmulatedEndpoint]":
    try:
        from datacrunch_tgi.testing import EmulatedEndpoint  # noqa: PLC0415 -- needs an extra
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    return EmulatedEndpoint


def _options() -> Iterator[Option]:
    endpoint = _endpoint()
    hints = get_type_hints(endpoint.__init__)
    for name, argument in signature(endpoint).parameters.items():
        if name not in HELP:
            continue
        option = listed_option(
            name,
            hints[name],
            section="Limits" if name.startswith("max_") or name == "payload_limit" else "Endpoint",
            description=HELP.get(name, ""),
            default=argument.default or None,
        )
        if option.type is click.INT:
            option.type = click.IntRange(0, LAST_PORT if name == "port" else None)
        elif option.type is click.FLOAT:
            option.type = click.FloatRange(0, min_open=True)
        yield option


def _announce(endpoint: "EmulatedEndpoint") -> None:
    OUT.print(Text.assemble("serving TGI ", endpoint.dialect, " at ", (endpoint.url, "bold")))
    OUT.print("Press Ctrl-C to stop it. To use it from another terminal:")
    OUT.print(f"  {export_line(endpoint.url, windows=os.name == 'nt')}")


def export_line(url: str, *, windows: bool) -> str:
    """Return the shell command that makes all clients use an endpoint."""
    if windows:
        return f'$env:DATACRUNCH_BASE_URL = "{url}"'
    return f"export DATACRUNCH_BASE_URL={shlex.quote(url)}"


def _serve_on(endpoint: "EmulatedEndpoint", *, verbose: bool) -> None:
    """Wait for Ctrl-C. Finished requests are dropped, so that memory does not grow."""
    received = endpoint.requests
    while True:
        time.sleep(_LOOK_EVERY)
        for request in [request for request in received if request.finished or request.left_early]:
            received.remove(request)
            if verbose:
                OUT.print(request_line(request))


def request_line(request: "ReceivedRequest") -> str:
    """Describe a request and its outcome, without the prompt and the key."""
    events = f", {request.events} events" if request.events else ""
    left = ", the client left early" if request.left_early else ""
    return one_line(
        f"{request.method} {request.path} {request.status or 'no answer'}{events}{left}"
    )
