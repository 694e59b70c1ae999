"""Answers for the rows of a file, in this process; `batch --ray` has its own."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Protocol

from datacrunch_tgi.batch._files import SourceRow
from datacrunch_tgi.batch._rows import failed_row
from datacrunch_tgi.batch._run import Answers, Server, answer_all

Keyed = tuple[int, SourceRow]
Answered = tuple[int, dict[str, Any]]


class Answering(Protocol):
    """Answers rows, in this process or elsewhere."""

    @property
    def concurrency(self) -> int:
        """Number of requests that may be open now."""
        ...

    def stop(self) -> None:
        """Start no more requests. Open ones are completed."""
        ...

    def answer_all(self, rows: AsyncIterable[Keyed]) -> AsyncGenerator[Answered]:
        """Yield the output row of each row, as soon as there is one.

        Raises:
            DataCrunchError: Why the run has stopped.
        """
        ...


class LocalAnswering:
    """Answers rows in this process.

    Args:
        server: What generates.
        answers: Answers a row.
        limit: Rows in memory at a time.
    """

    def __init__(self, server: Server, answers: Answers, limit: int) -> None:
        self._paced, self._answers, self._limit = server.paced, answers, limit

    @property
    def concurrency(self) -> int:
        """Number of requests that may be open now."""
        return self._paced.window.size

    def stop(self) -> None:
        """Start no more requests. Open ones are completed."""
        self._paced.stop()

    def answer_all(self, rows: AsyncIterable[Keyed]) -> AsyncGenerator[Answered]:
        """Yield the output row of each row: see `Answering`."""
        return answer_all(rows, self._answer, self._limit)

    async def _answer(self, item: Keyed) -> Answered:
        key, row = item
        return key, await answer_source_row(self._answers, row)


async def answer_source_row(answers: Answers, row: SourceRow) -> dict[str, Any]:
    """Return the output row of a row of a file, which may be unreadable."""
    if row.error:
        return failed_row({}, row.error, answers.options, where=row.where)
    return await answers.answer(row.columns, where=row.where)
