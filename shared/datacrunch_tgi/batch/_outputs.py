"""Output files: a line for a row, or the rows of a log in the order of the source."""

import csv
import math
import os
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, cast

from datacrunch_tgi.batch._columns import Columns, dump

_RISKY = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
"""What some readers take for the end of a line, and surrogates, which UTF-8 does not have."""


def json_line(row: dict[str, Any]) -> bytes:
    """Return a row as a line of JSON, with null for numbers that JSON does not have."""
    text = dump(row)
    if "NaN" in text or "Infinity" in text:
        text = dump(row := _finite(row))
    if not text.isascii() and _RISKY.search(text):
        text = dump(row, ascii_only=True)
    return text.encode() + b"\n"


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {name: _finite(one) for name, one in items}
        case list() | tuple():
            return [_finite(one) for one in cast("Sequence[Any]", value)]
        case _:
            return value


def csv_line(cells: Sequence[str]) -> bytes:
    """Return cells as a line of CSV."""
    line = StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode(errors="backslashreplace")


def csv_row(row: dict[str, Any], header: Sequence[str], columns: Columns) -> bytes:
    """Return a row as a line of CSV, its cells in the order of a header."""
    cells = columns.flatten(row)
    return csv_line([cells.get(name, "") for name in header])


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write a file atomically: it has all lines, or is as it was before."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
