"""How every command reads its options, shows its help and ends."""

from collections.abc import Callable, Iterable

import click

from datacrunch_tgi._cli._failures import (
    EXIT_CODES,
    INTERRUPTED,
    OUTPUT_CLOSED,
    exit_code,
    hint_of,
    message_of,
    one_line,
)
from datacrunch_tgi._cli._options import Option
from datacrunch_tgi._cli._terminal import complain
from datacrunch_tgi._errors import DataCrunchError

Body = Callable[..., None]


class Command(click.Command):
    """A command whose help has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those without a section of their own first."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                section = option.section if isinstance(option, Option) else "Options"
                sections.setdefault(section, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class Group(click.Group):
    """The commands, and the one place where they end: with a line or two, and an exit code."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that was named."""
        try:
            code = self._run(ctx)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            code = OUTPUT_CLOSED
        ctx.exit(code)

    def _run(self, ctx: click.Context) -> int:
        try:
            super().invoke(ctx)
        except DataCrunchError as error:
            complain(message_of(error), hint_of(error))
            return exit_code(error)
        except click.ClickException as error:
            asked = error.ctx if isinstance(error, click.UsageError) else None
            complain(
                one_line(error.format_message()), f"{asked.command_path} --help" if asked else ""
            )
            return error.exit_code
        return 0


def command(name: str, options: Iterable[Option]) -> Callable[[Body], Command]:
    """Make a command of a function, with options that are made from a listing."""

    def made(body: Body) -> Command:
        decorated = click.command(name, cls=Command, epilog=EXIT_CODES)(body)
        decorated.params.extend(options)
        return decorated

    return made
