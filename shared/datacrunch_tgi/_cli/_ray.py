"""`batch --ray`: a file or folder of rows on Ray Data."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from datacrunch_tgi import ArgumentError, AsyncClient
from datacrunch_tgi.batch import BatchOptions, Summary
from datacrunch_tgi.batch._options import Checked
from datacrunch_tgi.ray import Generate, with_answers

_READERS = {
    "jsonl": "read_json",
    "ndjson": "read_json",
    "csv": "read_csv",
    "parquet": "read_parquet",
}


class RayRun:
    """A run of Ray Data over a file or a folder, which writes a folder of Parquet files.

    Args:
        source: A .jsonl, .csv or .parquet file, or a folder of them with such a name.
        output: Folder to write, named .parquet.
        clients: What to generate with.
        actors: Number of actors.
        options: The options of the run.

    Raises:
        ArgumentError: One of them cannot be used.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        clients: Sequence[AsyncClient],
        *,
        actors: int,
        options: BatchOptions,
    ) -> None:
        Generate(clients, actors=actors, **options)  # refuses what actors would refuse later
        suffix = source.suffix.lower().removeprefix(".")
        if suffix not in _READERS:
            raise _refused("source", "must end with .jsonl, .csv or .parquet", source)
        if not source.exists():
            raise _refused("source", "does not exist", source)
        if output.suffix.lower() != ".parquet":
            raise _refused("output", "must end with .parquet with --ray", output)
        self._clients, self._actors = clients, actors
        self._reader = _READERS[suffix]
        self._source, self._output, self._options = source, output.absolute(), options
        self._checked = Checked(**options)
        if output.exists():
            raise _refused("output", "exists already: choose another one", output)

    def run(self) -> Summary:
        """Answer the rows, and return what came of them."""
        summary = Summary()
        rows = getattr(import_module("ray.data"), self._reader)(str(self._source.absolute()))
        answers = with_answers(rows, self._clients, actors=self._actors, **self._options)
        answers.write_parquet(str(self._output))
        return self._count(summary)

    def _count(self, summary: Summary) -> Summary:
        """Count what is in the output."""
        columns = self._checked.rows.columns
        files = import_module("pyarrow.dataset").dataset(str(self._output), format="parquet")
        for batch in files.to_batches(columns=[columns["usage"], columns["error"]]):
            for row in batch.to_pylist():
                summary.rows += 1
                summary.add(row, columns)
        return summary


def _refused(field: str, rule: str, path: Path) -> ArgumentError:
    return ArgumentError(field, rule, value=repr(str(path)))
