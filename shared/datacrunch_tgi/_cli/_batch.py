"""`batch`: answers for a file of rows."""

import asyncio
import signal
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, cast

import click

from datacrunch_tgi import AsyncClient, ControlTokenWarning
from datacrunch_tgi._cli._command import command
from datacrunch_tgi._cli._failures import ROWS_FAILED
from datacrunch_tgi._cli._options import (
    PARAMETERS,
    SETTINGS,
    chat_flag,
    chat_options,
    field_options,
    given,
    parameter_options,
    setting_options,
)
from datacrunch_tgi._cli._progress import View
from datacrunch_tgi._cli._ray import OnRay
from datacrunch_tgi._cli._terminal import note
from datacrunch_tgi.batch import BatchFields, BatchOptions, Summary
from datacrunch_tgi.batch._file_run import FileRun
from datacrunch_tgi.batch._options import Checked
from datacrunch_tgi.batch._run import serve

_OWN = ("prompt", "columns", "concurrency", "patience")
_CHAT = ("chat", "system", "chat_template")


@command(
    "batch",
    (
        *field_options(BatchFields, BatchOptions, section="Batch", names=_OWN),
        chat_flag(),
        *chat_options(),
        *parameter_options(),
        *setting_options(),
    ),
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="File to write: .jsonl, .csv or .parquet. A journal file is kept next to it.",
)
@click.option("--ordered", is_flag=True, help="Write the rows in the order of SOURCE, at the end.")
@click.option("--retry-failed", is_flag=True, help="Retry the rows that failed.")
@click.option("--strict", is_flag=True, help="Report invalid rows before the first request.")
@click.option(
    "--replica",
    "replicas",
    multiple=True,
    metavar="URL",
    help="Another base URL of the same model, used evenly. May be repeated.",
)
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Let actors of Ray send the requests, on the cluster at ADDRESS or on this machine. Requires the "
    "extra `ray`.",
)
@click.option(
    "--actors",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Number of Ray's actors. --concurrency is that of all together.",
)
@click.option("--quiet", is_flag=True, help="Show no progress and no summary.")
def batch(
    *,
    source: Path,
    output: Path,
    replicas: Sequence[str],
    address: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Generate an answer for each row of SOURCE.

    SOURCE is a .jsonl or .csv file, or a .parquet file if pyarrow is installed. A row has a column `inputs`
    or `messages`, or --prompt is filled in from other columns; it may have its own `parameters`. The
    output has all columns, with `text`, `finish_reason`, `usage` and `seed`, or with `error`.

    If the command is stopped, the same command resumes it. Ctrl-C waits for open requests; a second
    Ctrl-C does not.
    """
    view = View(quiet=quiet)
    with _control_tokens_noted():
        try:
            summary = asyncio.run(
                _run(source, output, view, replicas=replicas, address=address, options=options)
            )
        except BrokenPipeError:
            raise  # the command's own output, not a file
        except OSError as error:
            text = f"{error.strerror or error}: {error.filename or output}"
            raise click.ClickException(text) from None
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
    if not summary.rows and not quiet:
        note(f"{source} has no rows.")
    if summary.interrupted:
        raise KeyboardInterrupt
    if summary.failed:
        click.get_current_context().exit(ROWS_FAILED)


async def _run(
    source: Path,
    output: Path,
    view: View,
    *,
    replicas: Sequence[str],
    address: str | None,
    options: Mapping[str, Any],
) -> Summary:
    chosen = _run_options(options)
    checked = Checked(**chosen)
    async with AsyncExitStack() as stack:
        clients = _clients(options, replicas)
        for client in clients:
            await stack.enter_async_context(client)
        server = await stack.enter_async_context(serve(clients, checked))
        on_ray = OnRay(address, clients, options["actors"], chosen) if address else None
        run = FileRun(source, output, server, checked, ordered=options["ordered"], answering=on_ray)
        stack.enter_context(_interruptible(run))
        try:
            with view.watch(run.summary):
                return await run.run(retry_failed=options["retry_failed"], strict=options["strict"])
        finally:
            view.report(run.summary)


def _run_options(options: Mapping[str, Any]) -> BatchOptions:
    parameters: Any = given(options, PARAMETERS)
    extra = parameters.pop("extra_parameters", None)
    chosen = given(options, (*_OWN, *_CHAT))
    made: Any = {"parameters": parameters, "extra_parameters": extra, **chosen}
    return cast("BatchOptions", made)


def _clients(options: Mapping[str, Any], replicas: Sequence[str]) -> list[AsyncClient]:
    settings: dict[str, Any] = given(options, SETTINGS)
    urls: list[dict[str, Any]] = [{}, *({"base_url": url} for url in replicas)]
    return [AsyncClient(**{**settings, **url}) for url in urls]


@contextmanager
def _interruptible(run: FileRun) -> Generator[None]:
    """Let the first Ctrl-C end the run in order, and the second at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    is_ending = False

    def interrupt(_: int, __: FrameType | None) -> None:
        nonlocal is_ending
        if task and is_ending:
            loop.call_soon_threadsafe(task.cancel)
            return
        is_ending = True
        loop.call_soon_threadsafe(run.stop)
        note("\nWaiting for open requests. Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        with suppress(TypeError):  # it was not set by Python
            signal.signal(signal.SIGINT, before)


@contextmanager
def _control_tokens_noted() -> Generator[None]:
    """Note each warning of control tokens once, in place of a line of code."""
    noted = set[str]()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if (text := str(message)) not in noted:
            noted.add(text)
            note(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ControlTokenWarning)
        warnings.showwarning = show
        yield
