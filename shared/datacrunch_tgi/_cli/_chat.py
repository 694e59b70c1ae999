"""`chat`: a conversation in the terminal."""

import importlib
import io
import sys
from contextlib import suppress
from typing import Any

import click

from datacrunch_tgi import Answer
from datacrunch_tgi._cli._chat_model import ChatModel, Message, chat_model, system_messages
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._failures import hint_of, message_of
from datacrunch_tgi._cli._options import chat_options, parameter_options, setting_options
from datacrunch_tgi._cli._terminal import ERR, complain, note, show
from datacrunch_tgi._errors import DataCrunchError, InvalidRequestError

COMMANDS = "/new starts a new chat, /help shows this line, /exit or Ctrl-D ends the chat. Ctrl-C stops an answer."


@command("chat", [*chat_options(), *parameter_options(), *setting_options()])
def chat(*, system: str | None, **options: Any) -> None:
    """Chat with a model.

    Each answer is printed as it is generated, and the model gets the conversation so far with every
    message. Answers go to standard output, everything else to standard error.

    /new starts a new chat, /help lists the commands, /exit or Ctrl-D ends the chat. Ctrl-C stops an
    answer; the part that was printed stays in the conversation.
    """
    model = chat_model(options)
    with model.client:
        model.require_template()  # so that a missing one is reported before the first message
        _prepare_input()
        note(COMMANDS)
        _Conversation(model, system_messages(system)).run()


class _Conversation:
    """A conversation: what was said, and the model that answers."""

    def __init__(self, model: ChatModel, start: list[Message]) -> None:
        self._model, self._start = model, start
        self._messages = start.copy()

    def run(self) -> None:
        """Read messages and answer them until the input ends."""
        while True:
            try:
                text = _read_line()
                if text == "/exit":
                    return
                self._handle(text)
            except EOFError:
                return
            except KeyboardInterrupt:
                note("\nStopped. Ctrl-D ends the chat.")
            except DataCrunchError as error:
                _report(error)

    def _handle(self, text: str) -> None:
        if text == "/new":
            self._messages = self._start.copy()
            note("New chat. The model no longer sees the messages before.")
        elif text.startswith("/"):
            note(COMMANDS if text == "/help" else f"Unknown command. {COMMANDS}")
        elif text:
            self._answer(text)

    def _answer(self, text: str) -> None:
        """Print an answer as it is generated; keep what was printed, however the answer ends."""
        self._messages.append({"role": "user", "content": text})
        printed = ""
        try:
            model, prompt = self._model.prepare(self._messages)
            with (
                ERR.status("waiting for the answer") as status,
                model.client.stream(
                    prompt, **model.parameters, extra_parameters=model.extra_parameters
                ) as events,
            ):
                for event in events:
                    status.stop()
                    printed += event.text  # first, so that it includes everything that was shown
                    show(event.text, end="")
        finally:
            if printed:
                self._messages.append({"role": "assistant", "content": printed})
                show("")
            else:
                self._messages.pop()  # templates take no message without an answer
        note(_summary(events.answer))


def _prepare_input() -> None:
    terminal = sys.stdin.isatty()
    if terminal:
        with suppress(ImportError):  # not on Windows
            importlib.import_module("readline")  # gives input() arrow keys and a history
    stream: Any = sys.stdin
    if isinstance(stream, io.TextIOWrapper):
        if terminal:
            stream.reconfigure(errors="replace")
        else:
            stream.reconfigure(encoding="utf-8-sig")


def _read_line() -> str:
    try:
        return input("\n> " if sys.stdin.isatty() else "").strip()
    except UnicodeDecodeError:
        raise click.UsageError("standard input is not UTF-8") from None


def _summary(answer: Answer) -> str:
    usage = {
        "prompt tokens": answer.usage.prompt_tokens,
        "completion tokens": answer.usage.completion_tokens,
    }
    parts = [f"{number} {name}" for name, number in usage.items() if number is not None]
    return ", ".join([*parts, f"finish reason: {answer.finish_reason or 'not reported'}"])


def _report(error: DataCrunchError) -> None:
    hint = hint_of(error)
    if isinstance(error, InvalidRequestError) and "tokens" in error.server_message:
        hint = "The conversation may be too long. Shorten the message, or start a new chat: /new."
    complain(message_of(error), hint)
