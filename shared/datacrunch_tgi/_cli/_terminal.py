"""Output to a terminal, a pipe or a file."""

import sys

import click
from rich.console import Console
from rich.text import Text

from datacrunch_tgi._cli._failures import printable


class _Console(Console):
    """A console that adds colours if the terminal has them, and leaves the text unchanged."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Raise, so that the command ends as for other output; rich would exit with code 1."""
        raise BrokenPipeError


OUT = _Console()
ERR = _Console(stderr=True)


def show(text: str, *, end: str = "\n") -> None:
    """Write a part of an answer and flush it; on a terminal, control characters are replaced."""
    text += end
    terminal = sys.stdout.isatty()
    click.echo(printable(text) if terminal else text, nl=False, color=True)


def show_json(line: str) -> None:
    """Write a line of JSON in UTF-8, in every locale."""
    click.echo(line.encode(), color=True)


def note(text: str) -> None:
    """Write a remark to standard error."""
    ERR.print(printable(text), style="dim")


def complain(message: str, hint: str = "") -> None:
    """Report an error in one or two lines."""
    ERR.print(Text.assemble(("error:", "bold red"), f" {message}"))
    if hint:
        ERR.print(Text.assemble(("hint:", "bold"), f" {hint}"))
