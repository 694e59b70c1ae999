"""References in a JSON schema. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._structured._keywords import as_items

_DATA = {"const", "default", "enum", "examples"}
"""Keywords whose values are data, not schemas."""


def resolve(schema: Mapping[str, Any], reference: str) -> Any:
    """Return the target of a reference (`#/$defs/City`).

    Raises:
        ArgumentError: The schema has no such part, or it is in another document.
    """
    part: Any = schema
    found = reference == "#" or reference.startswith("#/")
    for name in reference.split("/")[1:] if found else ():
        key = unquote(name).replace("~1", "/").replace("~0", "~")
        if isinstance(part, Mapping) and key in part:
            part = cast("Mapping[str, Any]", part)[key]
        elif key.isdecimal() and int(key) < len(items := as_items(part)):
            part = items[int(key)]
        else:
            found = False
            break
    if not found:
        raise ArgumentError("schema", "must contain the target of each reference", value=reference)
    return part  # pyright: ignore[reportUnknownVariableType]  # JSON


def check_references(schema: Mapping[str, Any]) -> None:
    """Check that the target of every reference is in the schema; anchors (`#name`) are not checked.

    Raises:
        ArgumentError: A target does not exist, or is in another document.
    """
    parts: list[Any] = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, Mapping):
            part = cast("Mapping[str, Any]", part)
            reference = part.get("$ref")
            if isinstance(reference, str) and (reference[:2] == "#/" or reference[:1] != "#"):
                resolve(schema, reference)
            parts += [item for name, item in part.items() if name not in _DATA]
        elif isinstance(part, Sequence) and not isinstance(part, str):
            parts += part
