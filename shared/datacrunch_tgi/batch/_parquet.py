"""Parquet files, read and written with pyarrow."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._columns import Columns, Row, dump, refuse_duplicates

ROWS = 1024
"""Rows that are in memory at a time."""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file.

    Raises:
        ArgumentError: pyarrow is not installed, or the file is not Parquet or holds what Python cannot.
    """
    with _open(path) as file:
        refuse_duplicates(file.schema_arrow.names, path)
        try:
            for batch in file.iter_batches(ROWS):
                yield from batch.to_pylist()
        except (ValueError, OverflowError) as error:  # damaged, or dates after the year 9999
            rule = f"cannot be read: {error}"
            raise ArgumentError("source", rule, value=repr(str(path))) from None


def require(name: str) -> None:
    """Check that pyarrow is installed.

    Args:
        name: What needs it.

    Raises:
        ArgumentError: It is not.
    """
    _import("pyarrow", name)


def write(
    path: Path,
    pairs: Iterator[tuple[Row, Row]],
    schema: Any,
    columns: Columns,
    roles: Iterable[str],
) -> None:
    """Write rows atomically: the file has all of them, or is as it was before.

    Args:
        path: The file.
        pairs: Rows of the source, each with the row that came out of it.
        schema: Types of the source's columns, under their names there; see `schema_of`.
        columns: Names of columns.
        roles: The output's own columns.
    """
    arrow, parquet = _import("pyarrow"), _import("pyarrow.parquet")
    kept = columns.kept(schema.names)
    types = _result_types(arrow)
    results = {columns[role]: types[role] for role in roles}
    fields = [field.with_name(kept[field.name]) for field in schema]
    full = arrow.schema([*fields, *(arrow.field(name, kind) for name, kind in results.items())])
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        with parquet.ParquetWriter(file, full) as writer:
            while batch := list(islice(pairs, ROWS)):
                arrays = [
                    _array(arrow, [source.get(field.name) for source, _ in batch], field.type)
                    for field in schema
                ]
                arrays += [
                    _array(arrow, [row.get(name) for _, row in batch], kind)
                    for name, kind in results.items()
                ]
                writer.write_batch(arrow.record_batch(arrays, schema=full))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def schema_of(path: Path, rows: Callable[[], Iterable[Row]], names: Sequence[str]) -> Any:
    """Return the types of a source's columns: those of a Parquet file, else those that its values fit.

    Args:
        path: The source.
        rows: Reads its rows, here twice.
        names: Names of its columns.
    """
    arrow = _import("pyarrow")
    if path.suffix.lower() == ".parquet":
        with _open(path) as file:
            return file.schema_arrow.remove_metadata()
    types = dict.fromkeys(names, arrow.null())
    for name, values in _columns(rows(), names):
        types[name] = _common(arrow, types[name], values)
    for name, values in _columns(rows(), names):
        if not _fits(arrow, values, types[name]):
            types[name] = arrow.string()
    return arrow.schema(list(types.items()))


def _columns(rows: Iterable[Row], names: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the values of each column, for some rows at a time."""
    rest = iter(rows)
    while batch := list(islice(rest, ROWS)):
        yield from ((name, [row.get(name) for row in batch]) for name in names)


def _fits(arrow: Any, values: Sequence[Any], kind: Any) -> bool:
    """Whether a column can have a type: integers may be too large for the type of others."""
    if "struct<>" in str(kind):
        return False  # a Parquet file cannot hold objects without fields
    try:
        _array(arrow, values, kind)
    except (arrow.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return True


def _common(arrow: Any, known: Any, values: Sequence[Any]) -> Any:
    """Return the type for what is known and further values; text if they have no type in common."""
    try:
        schemas = [arrow.schema([("", kind)]) for kind in (known, arrow.array(values).type)]
        return arrow.unify_schemas(schemas, promote_options="permissive").field("").type
    except (arrow.ArrowException, ValueError, TypeError, OverflowError):
        return arrow.string()


def _array(arrow: Any, values: Sequence[Any], kind: Any) -> Any:
    if arrow.types.is_string(kind):
        return arrow.array([None if value is None else _text(value) for value in values], kind)
    return arrow.array(values, kind)


def _text(value: Any) -> str:
    """Return a value as text that UTF-8 can encode."""
    text = value if isinstance(value, str) else dump(value)
    return text.encode(errors="backslashreplace").decode()


def _result_types(arrow: Any) -> dict[str, Any]:
    text, number = arrow.string(), arrow.int64()
    usage = [(name, number) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    error = [("type", text), ("message", text), ("status", number), ("requests", number)]
    return {
        "text": text,
        "finish_reason": text,
        "usage": arrow.struct(usage),
        "seed": arrow.uint64(),
        "details": text,
        "error": arrow.struct(error),
    }


def _open(path: Path) -> Any:
    parquet = _import("pyarrow.parquet")
    try:
        return parquet.ParquetFile(path)
    except ValueError as error:  # pyarrow's own are among them
        raise ArgumentError("source", f"is not Parquet: {error}", value=repr(str(path))) from None


def _import(name: str, what: str = "source") -> Any:
    """Import a module of pyarrow, which has no types.

    Raises:
        ArgumentError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise ArgumentError(
            what, "a Parquet file needs the package pyarrow: pip install pyarrow"
        ) from None
