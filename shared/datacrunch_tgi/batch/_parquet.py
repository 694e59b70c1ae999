"""Parquet files, read and written with pyarrow."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from datacrunch_tgi._errors import ArgumentError

ROWS = 1024
"""Rows that are in memory at a time."""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Raises:
        ArgumentError: pyarrow is not installed, or the file is not Parquet.
    """
    parquet = _pyarrow_parquet()
    try:
        file = parquet.ParquetFile(path)
    except ValueError as error:  # pyarrow's own are among them
        raise ArgumentError("source", f"is not Parquet: {error}", value=repr(str(path))) from None
    with file:
        for batch in file.iter_batches(ROWS):
            yield from batch.to_pylist()


def _pyarrow_parquet() -> Any:
    try:
        return import_module("pyarrow.parquet")  # which has no types
    except ModuleNotFoundError:
        raise ArgumentError(
            "source", "a Parquet file needs the package pyarrow: pip install pyarrow"
        ) from None
