"""`generate` and `stream`: an answer at once, or token by token."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from datacrunch_tgi import Client, Stream
from datacrunch_tgi._cli._chat_model import chat_model, system_messages
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._options import (
    PARAMETERS,
    SETTINGS,
    chat_flag,
    chat_options,
    given,
    parameter_options,
    setting_options,
)
from datacrunch_tgi._cli._terminal import show, show_json

OPTIONS = (chat_flag(), *chat_options(), *parameter_options(), *setting_options())


@command("generate", OPTIONS)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the answer as JSON, with finish_reason, usage and details.",
)
def generate(prompt: Sequence[str], *, as_json: bool, **options: Any) -> None:
    """Generate an answer to PROMPT and print it.

    Without PROMPT, or if it is "-", the prompt is read from standard input; one line end at the end
    is dropped.
    """
    client, text, parameters = _request(prompt, options, as_json=as_json)
    with client:
        answer = client.generate(text, **parameters)
    if as_json:
        show_json(answer.model_dump_json())
    else:
        show(answer.text)


@command("stream", OPTIONS)
@click.argument("prompt", nargs=-1, metavar="[PROMPT]")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print each event as a line of JSON; the last line also has finish_reason and usage.",
)
def stream(prompt: Sequence[str], *, as_json: bool, **options: Any) -> None:
    """Generate an answer to PROMPT and print it token by token.

    Without PROMPT, or if it is "-", the prompt is read from standard input; one line end at the end
    is dropped. Ctrl-C stops the generation on the server too.
    """
    client, text, parameters = _request(prompt, options, as_json=as_json)
    show_events = _show_json if as_json else _show_text
    with client, client.stream(text, **parameters) as events:
        show_events(events)


def _request(
    words: Sequence[str], options: Mapping[str, Any], *, as_json: bool
) -> tuple[Client, str, dict[str, Any]]:
    """Return the client, the prompt and the parameters of a command."""
    for name in ("chat_template", "system"):
        if options[name] and not options["chat"]:
            raise click.UsageError(f"--{name.replace('_', '-')} requires --chat")
    text = read_prompt(words)
    if options["chat"]:
        messages = [*system_messages(options["system"]), {"role": "user", "content": text}]
        model, text = chat_model(options).prepare(messages)
        extra = {"extra_parameters": model.extra_parameters}
        return model.client, text, {**model.parameters, **extra}
    details = {"details": True} if as_json else {}
    return Client(**given(options, SETTINGS)), text, details | given(options, PARAMETERS)


def read_prompt(words: Sequence[str]) -> str:
    """Return the prompt from the command line, or else from standard input.

    Raises:
        click.UsageError: There is no prompt, or it cannot be read. The error contains no part of it.
    """
    if len(words) > 1:
        raise click.UsageError("the prompt is more than one word: put it in quotes")
    stdin = sys.stdin.buffer
    if not words and stdin.isatty():
        raise click.UsageError("there is no prompt: pass it as an argument, or on standard input")
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
            show("")  # so that an error starts on its own line


def _show_json(events: Stream) -> None:
    for event in events:
        if events.finished:
            answer = events.answer
            result = {"finish_reason": answer.finish_reason, "usage": answer.usage}
            event = event.model_copy(update=result)  # noqa: PLW2901 -- it is the last
        show_json(event.model_dump_json())
