"""Files of rows: JSONL, CSV, and Parquet if pyarrow is installed. Rows are read one at a time."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch import _parquet
from datacrunch_tgi.batch._columns import Row, refuse_duplicates

LONGEST_CELL = 2**31 - 1
"""Largest CSV cell, in characters; Python's own limit is 131,072."""
_UNDECODED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of a file.

    Attributes:
        where: File and line.
        columns: Values by the names of columns; empty if the row cannot be read.
        error: Why it cannot be read.
    """

    where: str
    columns: Row = field(repr=False)
    error: ArgumentError | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows, which can be read again and again.

    Args:
        path: A .jsonl (or .ndjson), .csv or .parquet file.

    Raises:
        ArgumentError: It is not such a file.
    """

    path: Path

    def __post_init__(self) -> None:
        """Refuse what cannot be read twice."""
        file_format(self.path, "source")
        if not self.path.is_file():
            raise ArgumentError("source", "is not a file", value=repr(os.fspath(self.path)))

    def rows(self) -> Iterator[SourceRow]:
        """Yield the rows; those that cannot be read with an error.

        Raises:
            ArgumentError: The file as a whole cannot be read.
        """
        try:
            yield from _READERS[file_format(self.path, "source")](self.path)
        except OSError as error:
            rule = f"cannot be read: {error.strerror or error}"
            raise ArgumentError("source", rule, value=repr(os.fspath(self.path))) from None


def file_format(path: Path, name: str) -> str:
    """Return the format that a file's name ends with.

    Raises:
        ArgumentError: It is not supported.
    """
    suffix = path.suffix.lower().removeprefix(".").replace("ndjson", "jsonl")
    if suffix not in _READERS:
        raise ArgumentError(name, "must end with .jsonl, .csv or .parquet", value=repr(str(path)))
    return suffix


def _read_jsonl(path: Path) -> Iterator[SourceRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _parse(text, f"{path.name}, line {number}")


def _parse(line: bytes, where: str) -> SourceRow:
    try:
        value = _decode(line.decode())
    except (ValueError, RecursionError) as error:
        return _unreadable(where, f"is not JSON: {_words(error)}")
    if not isinstance(value, dict):
        return _unreadable(where, f"must be an object, not {type(value).__name__}")
    return SourceRow(where, cast("dict[str, Any]", value))


def _words(error: Exception) -> str:
    """Return what is wrong with a line, without its text."""
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos + 1}"
        case UnicodeDecodeError():
            return f"byte {error.start + 1} is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _read_csv(path: Path) -> Iterator[SourceRow]:
    csv.field_size_limit(max(LONGEST_CELL, csv.field_size_limit()))
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _table(path, file)


def _table(path: Path, file: TextIO) -> Iterator[SourceRow]:
    lines = csv.reader(file, strict=True)
    header: list[str] | None = None
    while True:
        begin = lines.line_num + 1
        where = f"{path.name}, line {begin}"
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield _unreadable(where, f"is not CSV: {error}")
            continue
        if not cells:
            continue
        if header is None:
            header = _header(path, cells)
        elif any(_UNDECODED.search(cell) for cell in cells):
            yield _unreadable(where, "is not UTF-8")
        elif len(cells) == len(header):
            yield SourceRow(where, dict(zip(header, cells, strict=True)))
        else:
            yield _unreadable(where, f"has {len(cells)} cells, the header {len(header)}")


def _header(path: Path, cells: list[str]) -> list[str]:
    if any(_UNDECODED.search(cell) for cell in cells):
        raise ArgumentError("source", "is not UTF-8", value=repr(os.fspath(path)))
    refuse_duplicates(cells, path)
    return cells


def _read_parquet(path: Path) -> Iterator[SourceRow]:
    for number, columns in enumerate(_parquet.read(path), 1):
        yield SourceRow(f"{path.name}, row {number}", columns)


def _unreadable(where: str, rule: str) -> SourceRow:
    return SourceRow(where, {}, ArgumentError("row", rule))


_READERS: dict[str, Callable[[Path], Iterator[SourceRow]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
}
