"""What a run has done so far."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datacrunch_tgi.batch._columns import Columns


@dataclass
class Summary:
    """What a run has done so far.

    Attributes:
        rows: Rows of the source.
        done_before: Rows of them that earlier runs have done.
        answered: Rows that this run has an answer for.
        failed: Rows without an answer, those of earlier runs included.
        failures: Rows that failed in this run, by the type of their error.
        prompt_tokens: Tokens of the prompts, as far as the server reports them.
        completion_tokens: Tokens of the answers, likewise.
        seconds: How long this run took.
        concurrency: Requests that may be open at the moment, as the server takes them.
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
    _clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Start the time."""
        self._began = self._clock()

    @property
    def done(self) -> int:
        """Rows that are done: answered or failed, now or before."""
        return self.done_before + self.answered + self.failures.total()

    def add(self, row: Mapping[str, Any], columns: Columns) -> None:
        """Count an output row."""
        self.seconds = self._clock() - self._began
        if error := row.get(columns["error"]):
            self.failures[error["type"]] += 1
            self.failed += 1
            return
        self.answered += 1
        usage: Mapping[str, int | None] = row[columns["usage"]]
        self.prompt_tokens += usage["prompt_tokens"] or 0
        self.completion_tokens += usage["completion_tokens"] or 0
