"""What all commands share: options, help, errors and exit codes."""

from collections.abc import Callable, Iterable
from textwrap import fill

import click

from datacrunch_tgi._cli._failures import (
    CANNOT_RUN,
    EXIT_CODES,
    INTERRUPTED,
    OUTPUT_CLOSED,
    exit_code,
    hint_of,
    message_of,
    one_line,
)
from datacrunch_tgi._cli._options import SETTINGS, Option, option_name, setting_options
from datacrunch_tgi._cli._terminal import complain
from datacrunch_tgi._errors import DataCrunchError

Body = Callable[..., None]


class Command(click.Command):
    """A command whose help has options in sections, except for the settings, which the group lists."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options. Those without a section come first."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                section = option.section if isinstance(option, Option) else "Options"
                sections.setdefault(section, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                if title == "Settings":
                    names = ", ".join(map(option_name, SETTINGS))
                    text = f"Described in `{ctx.find_root().command_path} -h`: {names}"
                    formatter.write(_wrapped(text, formatter))
                else:
                    formatter.write_dl(records)


def _wrapped(text: str, formatter: click.HelpFormatter) -> str:
    """Wrap a text as click does, but keep each option's name on one line."""
    indent = " " * formatter.current_indent
    return (
        fill(
            text,
            formatter.width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        + "\n"
    )


class Group(click.Group):
    """The commands. Errors of all of them are reported here and become exit codes."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options and commands, then the settings, which most commands share."""
        super().format_options(ctx, formatter)
        with formatter.section("Settings of every command except serve"):
            records = (option.get_help_record(ctx) for option in setting_options())
            formatter.write_dl([record for record in records if record])

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and exit with its code."""
        try:
            code = self._run(ctx)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            code = OUTPUT_CLOSED
        except OSError as error:  # of standard output: the disk is full, for example
            complain(error.strerror or str(error))
            code = CANNOT_RUN
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
    """Make a command from a function and options."""

    def made(body: Body) -> Command:
        decorated = click.command(name, cls=Command, epilog=EXIT_CODES)(body)
        decorated.params.extend(options)
        return decorated

    return made
