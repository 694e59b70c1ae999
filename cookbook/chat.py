"""A chat in the terminal.

python cookbook/chat.py --system "Answer briefly."

Without a key the tiny Llama beside this file answers. With DATACRUNCH_API_KEY, DATACRUNCH_BASE_URL and
DATACRUNCH_MODEL set, your model does. Answers go to standard output, notes to standard error.
"""

import argparse
import re
import sys
import warnings
from contextlib import suppress
from functools import cache
from io import TextIOWrapper

from endpoint import endpoint
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from pydantic import ValidationError
from rich.console import Console

from datacrunch_tgi import DataCrunchError
from langchain_datacrunch import ChatDataCrunch

with suppress(ImportError):  # there is none on Windows
    import readline  # noqa: F401 -- by it input() has arrow keys and a memory

HELP = "/new begins anew, /exit or Ctrl-D ends the chat, Ctrl-C stops an answer."
NOTES = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys: those of a model or a server are left out."""


def note(text: str, style: str = "dim") -> None:
    NOTES.print(CONTROL.sub("", text), style=style)


def complain(error: DataCrunchError) -> None:
    note(error.message, "red")
    if isinstance(error, ContextOverflowError):
        note("The model cannot hold so much: say it shorter, or begin anew with /new.")
    elif error.hint:
        note(error.hint)


def answer(chat: ChatDataCrunch, messages: list[BaseMessage]) -> None:
    """Show an answer while it comes, and remember what was shown, however it ends."""
    whole = AIMessageChunk(content="")
    try:
        with NOTES.status("") as waiting:
            for chunk in chat.stream(messages):
                waiting.stop()
                text = chunk.text
                whole += chunk
                print(CONTROL.sub("", text), end="", flush=True)
    finally:
        if whole.text:
            print()
            messages.append(AIMessage(whole.text))
        else:
            messages.pop()  # a question without an answer
    told = whole.response_metadata
    usage = [f"{number} {name.replace('_', ' ')}" for name, number in told["token_usage"].items()]
    note(f"{', '.join(usage[:2])}; ended by {told['finish_reason']}")


def talk(chat: ChatDataCrunch, beginning: list[BaseMessage]) -> None:
    """Read questions and answer them, until there are no more."""
    messages = beginning.copy()
    while True:
        try:
            text = input("\n> " if sys.stdin.isatty() else "").strip()
            if text == "/exit":
                return
            if text == "/new":
                messages = beginning.copy()
                note("A new chat: what was said is forgotten.")
            elif text.startswith("/"):
                note(HELP)
            elif text:
                messages.append(HumanMessage(text))
                answer(chat, messages)
        except EOFError:
            return
        except KeyboardInterrupt:
            note("\nStopped. Ctrl-D ends the chat.")
        except DataCrunchError as error:
            complain(error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chat with a model.", epilog=HELP)
    parser.add_argument("--system", metavar="TEXT", help="what the model is told beforehand")
    parser.add_argument(
        "--chat-template",
        metavar="NAME",
        help="name or file of the model's chat template; by default the model's name tells it",
    )
    options = parser.parse_args()
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal knows every character
    note_once = cache(note)  # each turn warns anew of what is in the history
    warnings.showwarning = lambda message, *_: note_once(str(message))
    with endpoint(chat=True) as settings:
        if options.chat_template:
            settings["chat_template"] = options.chat_template
        try:
            chat = ChatDataCrunch(**settings)
        except ValidationError as refused:
            rules = [error["msg"].removeprefix("Value error, ") for error in refused.errors()]
            sys.exit("\n".join(rules))
        note(HELP)
        talk(chat, [SystemMessage(options.system)] if options.system else [])
