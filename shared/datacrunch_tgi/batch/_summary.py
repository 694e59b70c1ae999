"""The summary of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datacrunch_tgi.batch._columns import Columns


@dataclass
class Summary:
    """Progress and result of a run.

    Attributes:
        rows: Number of rows in the source.
        done_before: Number of rows that earlier runs completed.
        answered: Number of rows that this run answered.
        failed: Number of rows without an answer, including those of earlier runs.
        failures: Number of rows that failed in this run, by error type.
        prompt_tokens: Number of prompt tokens, as far as the server reports them.
        completion_tokens: Number of generated tokens, likewise.
        seconds: Duration of this run, in seconds.
        concurrency: Number of requests that may be open now, adapted to the server.
        interrupted: Whether it was stopped before every row was done.
    """

    rows: int = 0
    done_before: int = 0
    answered: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    concurrency: int = 0
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Number of completed rows, answered or failed, in this run and before."""
        return self.done_before + self.answered + self.failures.total()


def count_row(summary: Summary, row: Mapping[str, Any], columns: Columns) -> None:
    """Count an output row."""
    if error := row.get(columns["error"]):
        summary.failures[error["type"]] += 1
        summary.failed += 1
        return
    summary.answered += 1
    usage: Mapping[str, int | None] = row[columns["usage"]]
    summary.prompt_tokens += usage["prompt_tokens"] or 0
    summary.completion_tokens += usage["completion_tokens"] or 0
