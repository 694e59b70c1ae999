"""Columns of rows: their roles, names and CSV form. Pure."""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._validation import refuse_unknown

Row = Mapping[str, Any]

INPUT_ROLES = ("id", "inputs", "messages", "parameters")
OUTPUT_ROLES = ("text", "finish_reason", "usage", "seed", "details", "error")
_SPREAD = {
    "usage": ("prompt_tokens", "completion_tokens", "total_tokens"),
    "error": ("type", "message", "status", "requests"),
}
"""Values that are spread over several columns in formats with text cells only."""


class Columns:
    """Names of columns.

    An input column with the name of an output column comes out with `input_` in front.

    Args:
        names: Name of the column for each role; a role that is left out has its own name.

    Attributes:
        names: Column name for each role.

    Raises:
        ArgumentError: A role is unknown, or two output columns have the same name.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        refuse_unknown(names or {}, (*INPUT_ROLES, *OUTPUT_ROLES), kind="column")
        self.names = {role: role for role in (*INPUT_ROLES, *OUTPUT_ROLES)} | dict(names or {})
        self._output = {role: self.names[role] for role in OUTPUT_ROLES}
        self._parts = [name for role in _SPREAD for name in self._flat(role)]
        for role, name in self._output.items():
            if list(self._output.values()).count(name) > 1:
                raise ArgumentError(
                    role, "must differ from the names of other output columns", value=repr(name)
                )

    def __getitem__(self, role: str) -> str:
        return self.names[role]

    def value(self, row: Row, role: str) -> Any:
        """Return the value that a row has for a role; None if it has none, or an empty cell."""
        value = row.get(self[role])
        return None if value == "" and role != "inputs" else value

    def kept(self, names: Iterable[str]) -> dict[str, str]:
        """Return the names under which input columns come out."""
        return _renamed(list(names), self._output.values())

    def merge(self, row: Row, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's own columns and those of its result, which is named by role."""
        kept = self.kept(row)
        return {
            **{kept[name]: value for name, value in row.items()},
            **{self[role]: value for role, value in results.items()},
        }

    def flat(self, names: Iterable[str], *, details: bool) -> list[str]:
        """Return the header of a CSV file for rows with these input columns."""
        kept = list(self.kept(names).values())
        renamed = _renamed([*kept, *self._output.values()], self._parts)
        roles = self.results(details=details)
        results = (name for role in roles for name in self._flat(role))
        return [*(renamed[name] for name in kept), *results]

    def results(self, *, details: bool) -> list[str]:
        """Return the roles of a table's output columns, `details` only if some row has them."""
        return [role for role in OUTPUT_ROLES if details or role != "details"]

    def flatten(self, row: Row) -> dict[str, str]:
        """Return the cells of an output row: usage and error spread, other objects as JSON."""
        cells: dict[str, str] = {}
        spread = {self[role]: role for role in _SPREAD}
        renamed = _renamed(list(dict.fromkeys([*row, *self._output.values()])), self._parts)
        for name, value in row.items():
            if name in spread:
                parts = cast("Mapping[str, Any]", value or {})
                names = zip(self._flat(spread[name]), _SPREAD[spread[name]], strict=True)
                cells.update((flat, _cell(parts.get(part))) for flat, part in names)
            else:
                cells[renamed[name]] = _cell(value)
        return cells

    def _flat(self, role: str) -> Iterator[str]:
        if role not in _SPREAD:
            yield self[role]
        for part in _SPREAD.get(role, ()):
            yield f"{self[role]}_{part}"


def refuse_duplicates(names: Sequence[str], path: Path) -> None:
    """Check the names of a table's columns.

    Raises:
        ArgumentError: Two are the same.
    """
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError("source", f"has two columns {name!r}", value=repr(os.fspath(path)))


def _renamed(names: Sequence[str], reserved: Collection[str]) -> dict[str, str]:
    """Return a new name for each name: with `input_` in front of those that are reserved."""
    taken = {*names, *reserved}
    renamed = dict[str, str]()
    for name in names:
        new = name
        if name in reserved:
            while new in taken:
                new = f"input_{new}"
            taken.add(new)
        renamed[name] = new
    return renamed


def dump(value: Any, *, ascii_only: bool = False) -> str:
    """Return a value as one line of JSON; what JSON does not have, such as a date, as text."""
    return json.dumps(value, ensure_ascii=ascii_only, default=str)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dump(value)
