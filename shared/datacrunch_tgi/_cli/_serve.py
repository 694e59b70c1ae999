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
from datacrunch_tgi._cli._failures import one_line
from datacrunch_tgi._cli._options import Option, given, listed_option
from datacrunch_tgi._cli._terminal import OUT

if TYPE_CHECKING:
    from datacrunch_tgi.testing import EmulatedEndpoint, ReceivedRequest

ANSWER = "Hello! How can I help you today?"
"""What it answers where nothing is said: whoever tries it out needs no more."""
HELP = {
    "answers": f"What it answers; given again, the next answer, the last one for ever. Default: {ANSWER}",
    "model": "Folder of a Llama that answers: config.json, model.safetensors, tokenizer.json.",
    "dialect": "The TGI that it speaks like; 1.1.1 is DataCrunch's fork.",
    "base_path": "What stands before /generate, such as /v1/completions.",
    "api_key": "The key that it asks for. Default: none.",
    "host": "The address to listen on.",
    "port": "The port to listen on; 0 is a free one.",
    "model_id": "The model's name in /info.",
    "max_concurrent_requests": "Open requests; one more gets 429.",
    "max_batch_size": "Answers generated at a time; others wait. Default: all.",
    "max_best_of": "The largest best_of.",
    "max_stop_sequences": "The most texts in stop.",
    "max_top_n_tokens": "The largest top_n_tokens.",
    "max_input_tokens": "The longest prompt, in tokens.",
    "max_total_tokens": "The longest prompt and answer together, in tokens.",
    "payload_limit": "The largest body, in bytes. Default: the dialect's.",
    "tokens_per_second": "The pace of each answer. Default: as fast as it goes.",
    "keep_alive_interval": "Seconds of silence before a stream sends a comment.",
}
"""The arguments of `EmulatedEndpoint`, which has their types and defaults, in a terminal's words.
`respond` is missing: a terminal has no functions."""
LAST_PORT = 65535

_LOOK_EVERY = 0.1
"""Seconds between two looks at which requests have ended."""


class _Serve(Command):
    """A command that learns its options when it is used: only then the extra is needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not any(isinstance(option, Option) for option in self.params):
            self.params.extend(_options())
        return super().get_params(ctx)


@click.command("serve", cls=_Serve)
@click.option("--verbose", is_flag=True, help="Print a line for each request.")
def serve(*, verbose: bool, **arguments: Any) -> None:
    """Serve an emulated endpoint on this machine.

    It is for tests without a GPU, and answers as a real server does: parameters, limits, errors,
    streams. What it answers is given by --answer, or computed by the model in a folder. Needs the
    extra `testing`.
    """
    said = given(arguments, arguments)
    if not said.keys() & {"answers", "model"}:
        said["answers"] = ANSWER
    try:
        with _endpoint()(**said) as endpoint:
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
        raise click.UsageError(str(error)) from None


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
    OUT.print("Ctrl-C stops it. To send there from another terminal:")
    OUT.print(f"  {export_line(endpoint.url, windows=os.name == 'nt')}")


def export_line(url: str, *, windows: bool) -> str:
    """Return the shell's line that makes all clients send there."""
    if windows:
        return f'$env:DATACRUNCH_BASE_URL = "{url}"'
    return f"export DATACRUNCH_BASE_URL={shlex.quote(url)}"


def _serve_on(endpoint: "EmulatedEndpoint", *, verbose: bool) -> None:
    """Wait for Ctrl-C; forget each request when it has ended, or they would fill the memory."""
    received = endpoint.requests
    while True:
        time.sleep(_LOOK_EVERY)
        for request in [request for request in received if request.finished or request.left_early]:
            received.remove(request)
            if verbose:
                OUT.print(request_line(request))


def request_line(request: "ReceivedRequest") -> str:
    """Tell what was asked and what became of it; not the prompt, not the key."""
    events = f", {request.events} events" if request.events else ""
    left = ", the client left early" if request.left_early else ""
    return one_line(
        f"{request.method} {request.path} {request.status or 'no answer'}{events}{left}"
    )
