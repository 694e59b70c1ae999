"""`generate` and `stream`: an answer, whole or token by token."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from datacrunch_tgi import Client, Stream
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._options import (
    PARAMETERS,
    SETTINGS,
    given,
    parameter_options,
    setting_options,
)
from datacrunch_tgi._cli._terminal import show, show_json


@command("generate", [*parameter_options(), *setting_options()])
@click.argument("prompt", nargs=-1, metavar="[PROMPT]")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer, as JSON.")
def generate(prompt: Sequence[str], *, as_json: bool, **options: Any) -> None:
    """Generate an answer to PROMPT and print it.

    Without PROMPT, or where it is "-", the prompt is read from standard input, without the line end
    at its end.
    """
    text = read_prompt(prompt)
    with Client(**given(options, SETTINGS)) as client:
        answer = client.generate(text, **given(options, PARAMETERS))
    if as_json:
        show_json(answer.model_dump_json())
    else:
        show(answer.text)


@command("stream", [*parameter_options(), *setting_options()])
@click.argument("prompt", nargs=-1, metavar="[PROMPT]")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print each event as a line of JSON; the last has finish_reason and usage, too.",
)
def stream(prompt: Sequence[str], *, as_json: bool, **options: Any) -> None:
    """Generate an answer to PROMPT and print each token as it comes.

    Without PROMPT, or where it is "-", the prompt is read from standard input, without the line end
    at its end. Ctrl-C stops the server, too.
    """
    text = read_prompt(prompt)
    show_events = _show_json if as_json else _show_text
    with (
        Client(**given(options, SETTINGS)) as client,
        client.stream(text, **given(options, PARAMETERS)) as events,
    ):
        show_events(events)


def read_prompt(words: Sequence[str]) -> str:
    """Return the prompt, from the command line or else from standard input.

    Raises:
        click.UsageError: There is none; no error shows any of it.
    """
    if len(words) > 1:
        raise click.UsageError("the prompt is more than one word: put it in quotes")
    stdin = sys.stdin.buffer
    if not words and stdin.isatty():
        raise click.UsageError("there is no prompt: give it as an argument, or on standard input")
    if words and words[0] != "-":
        return words[0]
    try:
        text = stdin.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError("the prompt on standard input is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _show_text(events: Stream) -> None:
    try:
        for event in events:
            show(event.text, end="")
    finally:
        if events.finished or events.text:
            show("")  # what is written next, such as an error, begins on a line of its own


def _show_json(events: Stream) -> None:
    for event in events:
        if events.finished:
            answer = events.answer
            told = {"finish_reason": answer.finish_reason, "usage": answer.usage}
            event = event.model_copy(update=told)  # noqa: PLW2901 -- it is the last
        show_json(event.model_dump_json())
