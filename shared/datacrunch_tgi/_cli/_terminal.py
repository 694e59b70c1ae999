"""What is written to a terminal, or to whatever stands in its place."""

import sys

import click
from rich.console import Console
from rich.text import Text

from datacrunch_tgi._cli._failures import printable


class _Console(Console):
    """A console that changes no text: it colours where there are colours."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Let the command end as it does for its other output; rich's own way would be exit code 1."""
        raise BrokenPipeError


OUT = _Console()
ERR = _Console(stderr=True)


def show(text: str, *, end: str = "\n") -> None:
    """Write a part of an answer at once: as it is, but harmless to a terminal."""
    text += end
    terminal = sys.stdout.isatty()
    click.echo(printable(text) if terminal else text, nl=False, color=True)


def show_json(line: str) -> None:
    """Write a line of JSON, in UTF-8 whatever the terminal's encoding is."""
    click.echo(line.encode(), color=True)


def complain(message: str, hint: str = "") -> None:
    """Tell an error, in one or two lines."""
    ERR.print(Text.assemble(("error:", "bold red"), f" {message}"))
    if hint:
        ERR.print(Text.assemble(("hint:", "bold"), f" {hint}"))
