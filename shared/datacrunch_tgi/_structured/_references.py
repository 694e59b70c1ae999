"""References in a JSON schema. Pure."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._structured._keywords import as_items


def resolve(schema: Mapping[str, Any], reference: str) -> Any:
    """Return the target of a reference (`#/$defs/City`).

    Raises:
        ArgumentError: The schema has no such part, or the reference is not a path in it.
    """
    if not reference.startswith("#/"):  # an anchor or another document; "#" is refused as recursive
        rule = "must refer to its parts by path (#/$defs/City) for a grammar"
        raise ArgumentError("schema", rule, value=reference)
    part: Any = schema
    for name in reference.split("/")[1:]:
        key = unquote(name).replace("~1", "/").replace("~0", "~")
        if isinstance(part, Mapping) and key in part:
            part = cast("Mapping[str, Any]", part)[key]
        elif key.isdecimal() and int(key) < len(items := as_items(part)):
            part = items[int(key)]
        else:
            rule = "must contain the target of each reference"
            raise ArgumentError("schema", rule, value=reference)
    return part  # pyright: ignore[reportUnknownVariableType]  # JSON
