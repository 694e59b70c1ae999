"""Length of a grammar's regular expression, which determines how long a server compiles it. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from datacrunch_tgi._structured._patterns import repetitions

_SIZES = {"string": 40, "integer": 20, "number": 50, "boolean": 12, "null": 4}
"""Characters that TGI writes for a type."""
_FORMAT = 110
_NAME = 15
"""Characters in addition to a name and its value."""


def regex_size(part: Mapping[str, Any]) -> int:  # noqa: PLR0911 -- one for each kind
    """Return the length of the expression that TGI builds from a grammar, with repetitions expanded."""
    if "properties" in part:
        return _object(part)
    if "anyOf" in part:
        return sum(map(regex_size, part["anyOf"]))
    if "prefixItems" in part:
        return sum(map(regex_size, part["prefixItems"]))
    if "enum" in part:
        return sum(len(json.dumps(value)) + 1 for value in part["enum"])
    if "items" in part:
        times: int = max(part.get("minItems", 1), part.get("maxItems", 2))
        return times * (regex_size(part["items"]) + _NAME)
    if "additionalProperties" in part:
        return 2 * (_SIZES["string"] + _NAME + regex_size(part["additionalProperties"]))
    if "pattern" in part:
        return len(part["pattern"]) * repetitions(part["pattern"])
    if "format" in part:
        return _FORMAT
    times = max(1, part.get("minLength", 0), part.get("maxLength", 0))
    return _SIZES[part["type"]] * times


def _object(part: Mapping[str, Any]) -> int:
    sizes = [len(name) + _NAME + regex_size(item) for name, item in part["properties"].items()]
    if part.get("required"):
        return sum(sizes)
    # If nothing is required, TGI writes an alternative for each property that may be last.
    return sum(size * (len(sizes) - place) for place, size in enumerate(sizes))
