"""References in a JSON schema. Pure."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._structured._keywords import as_items


def resolve(schema: Mapping[str, Any], reference: str) -> Any:
    """Return the target of a reference (`#/$defs/City`).

    Raises:
        ArgumentError: The schema has no such part, or it is in another document.
    """
    part: Any = schema
    found = reference.startswith("#/")  # "#" is recursive, which is refused before
    for name in reference.split("/")[1:]:
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
