"""Runs over files: what is done is in the output, and the same run goes on where it stopped.

source ──▶ survey: rows, columns, fingerprint
   │          │
   │          ▼
   │       journal: which rows are done, unless it belongs to another run
   ▼          ▼
rows that are not done ──▶ answers ──▶ log, a line each ──▶ Parquet or sorted output, at the end
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from itertools import chain
from pathlib import Path
from typing import Any, Unpack

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch import _parquet
from datacrunch_tgi.batch._answering import Answering, Keyed, LocalAnswering
from datacrunch_tgi.batch._columns import Row
from datacrunch_tgi.batch._files import Source, file_format
from datacrunch_tgi.batch._journal import Journal, Kind
from datacrunch_tgi.batch._keys import keyed
from datacrunch_tgi.batch._options import BatchOptions, Checked
from datacrunch_tgi.batch._outputs import csv_line, csv_row, json_line, write_lines
from datacrunch_tgi.batch._rows import check_row
from datacrunch_tgi.batch._run import Answers, Clients, Server, serve
from datacrunch_tgi.batch._summary import Summary, count_row
from datacrunch_tgi.batch._survey import Survey

SYNC_EVERY = 1.0
"""Seconds between two times that the output is written through to the disk."""
MOST_BAD_ROWS = 20
"""Bad rows that an error names."""
_PAUSE_EVERY = 1000
"""Rows that are skipped before other tasks have their turn."""

OnProgress = Callable[[Summary], None]


async def run_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    client: Clients | None = None,
    *,
    ordered: bool = False,
    retry_failed: bool = False,
    strict: bool = False,
    on_progress: OnProgress | None = None,
    **options: Unpack[BatchOptions],
) -> Summary:
    """Generate an answer for each row of a file, and write the rows to another file.

    If a run is stopped, the same call resumes it, and each row is in the output once. Rows are identified
    by their `id`, or else by their position. A journal file is kept next to the output.

    Args:
        source: A .jsonl, .csv or .parquet file (which needs pyarrow).
        output: File in one of these formats. JSONL and CSV are written row by row, Parquet at the end.
        client: Client, or several clients that are used evenly. Default: `AsyncClient()`.
        ordered: Write the rows in the order of the source, at the end.
        retry_failed: Retry the rows that failed in earlier runs.
        strict: Raise an error for invalid rows before the first request.
        on_progress: Called with the summary after each row.
        **options: See `BatchFields`.

    Raises:
        ArgumentError: An option is invalid; the output is the source, belongs to another run, or is in use;
            or `strict` found invalid rows.
        DataCrunchError: As in `run`. Rows that were completed before are in the output.
        OSError: A file cannot be written.
    """
    checked = Checked(**options)
    async with serve(client, checked) as server:
        made = FileRun(Path(source), Path(output), server, checked, ordered=ordered)
        return await made.run(retry_failed=retry_failed, strict=strict, on_progress=on_progress)


def run_file_sync(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    client: Clients | None = None,
    *,
    ordered: bool = False,
    retry_failed: bool = False,
    strict: bool = False,
    on_progress: OnProgress | None = None,
    **options: Unpack[BatchOptions],
) -> Summary:
    """Generate an answer for each row of a file: see `run_file`."""
    return asyncio.run(
        run_file(
            source,
            output,
            client,
            ordered=ordered,
            retry_failed=retry_failed,
            strict=strict,
            on_progress=on_progress,
            **options,
        )
    )


class FileRun:
    """A run over a file.

    Args:
        answering: What answers the rows. Default: this process.

    Attributes:
        summary: What it has done so far.

    Raises:
        ArgumentError: The files cannot be used, or not together.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        server: Server,
        options: Checked,
        *,
        ordered: bool,
        answering: Answering | None = None,
    ) -> None:
        self._source, self._output = Source(source), output
        self._format = file_format(output, "output")
        if output.exists() and output.samefile(source):
            raise ArgumentError("output", "must not be the source", value=repr(str(output)))
        if not output.parent.is_dir():
            raise ArgumentError("output", "its folder does not exist", value=repr(str(output)))
        if self._format == "parquet":
            _parquet.require("output")
        self._is_log = not ordered and self._format != "parquet"
        self._server, self._options = server, options
        self._columns = options.rows.columns
        self._answers = Answers(server, options)
        self._answering = answering or LocalAnswering(server, self._answers, options.concurrency)
        self._ordered = ordered
        self.summary = Summary()
        self._began = time.monotonic()

    def stop(self) -> None:
        """Begin no more requests, and end when those that are open have ended."""
        self._answering.stop()

    async def run(
        self, *, retry_failed: bool, strict: bool, on_progress: OnProgress | None = None
    ) -> Summary:
        """Do what is left to do: see `run_file`."""
        survey = await asyncio.to_thread(self._take_survey)
        survey.check_prompt(self._options.rows.prompt)
        if strict:
            await self._refuse_bad_rows()
        journal = self._open(survey)
        if retry_failed:
            journal = journal.without_failed()
        with journal:
            summary = self.summary
            summary.rows, summary.done_before = survey.rows, len(journal.done)
            summary.failed = journal.failed
            self._header = self._columns.flat(survey.columns, details=survey.details)
            if journal.is_empty and self._is_log and self._format == "csv":
                journal.append(csv_line(self._header), Kind.HEADER)
            try:
                await self._answer_all(journal, on_progress or _ignore)
            finally:
                journal.sync()
            summary.interrupted = summary.done < summary.rows
            if not self._is_log and not summary.interrupted:
                await asyncio.to_thread(self._write_output, journal, survey)
        return summary

    def _take_survey(self) -> Survey:
        survey = Survey(details=bool(self._options.rows.parameters.get("details")))
        for key, row in keyed(self._source.rows(), self._columns):
            survey.add(key, row, self._columns)
        return survey

    async def _refuse_bad_rows(self) -> None:
        bad: list[str] = []
        count = 0
        for number, row in enumerate(self._source.rows()):
            if number % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            try:
                if row.error:
                    raise row.error
                if self._answers.options.is_chat(row.columns):
                    await self._answers.find_template()
                check_row(row.columns, self._answers.options)
            except ArgumentError as error:
                count += 1
                if count <= MOST_BAD_ROWS:
                    bad.append(f"{row.where}: {error.message}")
        if count > len(bad):
            bad.append(f"and {count - len(bad)} more")
        if bad:
            rows = "1 row is" if count == 1 else f"{count} rows are"
            raise ArgumentError("source", f"{rows} invalid: {'; '.join(bad)}")

    def _open(self, survey: Survey) -> Journal:
        facts = {
            "input": str(survey.fingerprint),
            "format": f"{self._format}{', ordered' * self._ordered}",
            "model": self._server.client.model,
            **self._options.digests(),
        }
        log = self._output if self._is_log else _beside(self._output, "rows")
        journal = _beside(self._output, "journal")
        if not journal.exists() and self._output.exists() and self._output.stat().st_size:
            raise ArgumentError(
                "output",
                "exists, but has no journal: choose another file",
                value=repr(str(self._output)),
            )
        return Journal(log, journal, facts, readable=not self._is_log)

    async def _answer_all(self, journal: Journal, on_progress: OnProgress) -> None:
        summary = self.summary
        synced = time.monotonic()
        results = self._answering.answer_all(self._rows_to_do(journal))
        async with aclosing(results):
            async for key, row in results:
                failed = row.get(self._columns["error"]) is not None
                journal.append(self._line(row), Kind.FAILED if failed else Kind.ANSWERED, key)
                summary.concurrency = self._answering.concurrency
                summary.seconds = time.monotonic() - self._began
                count_row(summary, row, self._columns)
                on_progress(summary)
                if time.monotonic() - synced > SYNC_EVERY:
                    await asyncio.to_thread(journal.sync)
                    synced = time.monotonic()

    async def _rows_to_do(self, journal: Journal) -> AsyncGenerator[Keyed]:
        done = journal.done
        skipped = 0
        for key, row in keyed(self._source.rows(), self._columns):
            if key not in done:
                yield key, row
                continue
            skipped += 1
            if skipped % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)

    def _line(self, row: dict[str, Any]) -> bytes:
        if self._is_log and self._format == "csv":
            return csv_row(row, self._header, self._columns)
        return json_line(row)

    def _write_output(self, journal: Journal, survey: Survey) -> None:
        """Write the rows of the log in the order of the source."""
        pairs = self._pairs(journal)
        if self._format == "parquet":
            schema = _parquet.schema_of(
                self._source.path,
                lambda: (row.columns for row in self._source.rows()),
                list(survey.columns),
            )
            parsed = ((source, json.loads(line)) for source, line in pairs)
            roles = self._columns.results(details=survey.details)
            _parquet.write(self._output, parsed, schema, self._columns, roles)
        elif self._format == "csv":
            header = csv_line(self._header)
            rows = (csv_row(json.loads(line), self._header, self._columns) for _, line in pairs)
            write_lines(self._output, chain([header], rows))
        else:
            write_lines(self._output, (line for _, line in pairs))

    def _pairs(self, journal: Journal) -> Iterator[tuple[Row, bytes]]:
        """Yield each row of the source with its line of the log."""
        for key, row in keyed(self._source.rows(), self._columns):
            if line := journal.line(key):
                yield row.columns, line


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")


def _ignore(_: Summary) -> None:
    """Show no progress."""
