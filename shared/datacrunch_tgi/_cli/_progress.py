"""Progress of a batch: a bar on a terminal, occasional lines elsewhere, and a summary."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, Progress, TextColumn

from datacrunch_tgi._cli._terminal import ERR, OUT, note
from datacrunch_tgi.batch import Summary

REFRESH = 0.2
"""Seconds between two updates of the bar."""
LINE_EVERY = 10.0
"""Seconds between two lines."""


class View:
    """Shows the progress of a run on standard error.

    Args:
        quiet: Whether to show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._is_quiet = quiet

    @contextmanager
    def watch(self, summary: Summary) -> Generator[None]:
        """Show a summary as it grows, from a separate thread."""
        if self._is_quiet:
            yield
        elif ERR.is_terminal:
            with _bar(summary) as draw, _repeated(draw, REFRESH):
                yield
        else:
            with _repeated(lambda: note(describe(summary)), LINE_EVERY):
                yield

    def report(self, summary: Summary) -> None:
        """Print the summary of a run and how to continue it, unless it never started."""
        if summary.rows and not self._is_quiet:
            for line in (*results(summary), *next_steps(summary)):
                OUT.print(line)


@contextmanager
def _bar(summary: Summary) -> Generator[Callable[[], None]]:
    columns = (BarColumn(bar_width=30), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=ERR, auto_refresh=False, expand=False) as progress:
        task = progress.add_task("", total=None, words="reading the source")

        def draw() -> None:
            if summary.rows:
                progress.update(
                    task, total=summary.rows, completed=summary.done, words=describe(summary)
                )
            progress.refresh()

        yield draw
        draw()


@contextmanager
def _repeated(action: Callable[[], None], seconds: float) -> Generator[None]:
    """Repeat a function until the block ends."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def describe(summary: Summary) -> str:
    """Return the progress of a run in one line."""
    asked = summary.done - summary.done_before
    seconds = summary.seconds or 1.0
    words = [
        f"{summary.done:,} of {summary.rows:,} rows",
        f"{summary.failed:,} failed",
        f"{summary.completion_tokens / seconds:,.0f} tokens/s",
        f"{summary.concurrency} at a time",
    ]
    if asked:
        left = timedelta(seconds=round((summary.rows - summary.done) * seconds / asked))
        words.append(f"{left} left")
    return ", ".join(words)


def results(summary: Summary) -> Iterator[str]:
    """Yield the lines of a run's summary."""
    left = summary.rows - summary.done
    answered = summary.done - summary.failed
    yield f"{_number(summary.rows, 'row')}: {answered:,} answered, {summary.failed:,} failed, {left:,} left"
    for kind, count in summary.failures.most_common():
        yield f"  {kind}: {count:,}"
    if summary.answered:
        rate = summary.completion_tokens / (summary.seconds or 1.0)
        yield (
            f"{_number(summary.answered, 'answer')} in {timedelta(seconds=round(summary.seconds))}: "
            f"{summary.prompt_tokens:,} tokens of prompts, "
            f"{summary.completion_tokens:,} of answers ({rate:,.0f} a second)"
        )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def next_steps(summary: Summary) -> Iterator[str]:
    """Yield how to continue a run."""
    if summary.rows - summary.done:
        yield "The same command goes on with the rows that are left."
    elif summary.failed:
        yield "With --retry-failed, the same command asks the failed rows again."
