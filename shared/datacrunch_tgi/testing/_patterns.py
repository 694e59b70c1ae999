"""JSON schemas to regular expressions, as the router of TGI 3.3.7 does it before it generates.

outlines-core supports more of JSON schema today than the version in the server did, and some
grammars would bring a real server down. Both are refused here.
"""

# pyright: basic
# outlines-core has no types. mypy is strict here all the same.

import json
import re
from typing import Any, Never

from outlines_core import json_schema

from datacrunch_tgi.testing._errors import InvalidRequestError

_KEYWORDS = (
    "properties",
    "allOf",
    "anyOf",
    "oneOf",
    "prefixItems",
    "enum",
    "const",
    "$ref",
    "type",
)
"""The server reads the first of these that a schema has, and ignores the others."""
_FORMATS = frozenset({"date", "date-time", "time", "uuid"})
_OVERRIDES_FORMAT = frozenset({"minLength", "maxLength", "pattern"})
_PART = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)
_MAX_REPEATED = 3_000
_ESCAPES_TODAY, _ESCAPES = r'\\["\\/bfnrt]', r'\\["\\]'
"""What may be escaped in a string: outlines-core's expression, and the server's."""


def schema_to_regex(schema: dict[str, Any]) -> str:
    """Return the regular expression that matches the JSON of a schema with `properties`.

    Raises:
        InvalidRequestError: The server compiles no such schema: it has an unsupported `format` or
            keyword, several types at once, or an object or array in `enum` or `const`. Also
            refused is a schema that refers to itself, which ends a real server's process.
    """
    _check(schema, schema, ())
    try:
        pattern: str = json_schema.build_regex_from_schema(json.dumps(schema))
    except ValueError as refused:
        _refuse(str(refused))
    return pattern.replace(_ESCAPES_TODAY, _ESCAPES)


def check_size(pattern: str) -> None:
    """Refuse a regular expression that a real server compiles for minutes, answering nobody else.

    Raises:
        InvalidRequestError: Its counted repetitions add more than 3,000 parts when written out, as
            a `maxLength` of about 1,000 does.
    """
    if _repeated(pattern) > _MAX_REPEATED:
        raise InvalidRequestError(
            "grammar is too large: a real server would compile it for minutes"
        )


def _check(schema: Any, root: dict[str, Any], references: tuple[str, ...]) -> None:
    if not isinstance(schema, dict):
        return
    keyword = next((key for key in _KEYWORDS if key in schema), None)
    if keyword is None:
        return
    value = schema[keyword]
    match keyword:
        case "properties":
            parts = list(value.values())
        case "enum" | "const":
            _check_literals(keyword, value if keyword == "enum" else [value])
            return
        case "$ref":
            if value in references:
                _refuse(f"{value} refers to itself, which ends the process of a real server")
            references = (*references, value)
            parts = [_resolve(root, value)]
        case "type":
            _check_type(schema)
            parts = [schema[key] for key in ("items", "additionalProperties") if key in schema]
        case _:
            parts = value
    for part in parts:
        _check(part, root, references)


def _check_type(schema: dict[str, Any]) -> None:
    if not isinstance(schema["type"], str):
        _refuse("'type' must be a string")
    is_formatted = schema["type"] == "string" and not _OVERRIDES_FORMAT & schema.keys()
    if is_formatted and schema.get("format", "date") not in _FORMATS:
        _refuse(f"Format {schema['format']} is not supported by Outlines")


def _check_literals(keyword: str, values: list[Any]) -> None:
    for value in values:
        if isinstance(value, dict | list):
            _refuse(f"Unsupported data type in {keyword}: {json.dumps(value)}")


def _resolve(root: dict[str, Any], reference: str) -> Any:
    """Return the schema that is referred to; outlines-core refuses a reference to none."""
    target: Any = root
    for part in reference.split("/")[1:]:
        target = target.get(part, {}) if isinstance(target, dict) else {}
    return target


def _repeated(pattern: str) -> int:
    """Return how many parts counted repetitions add to a regular expression when written out."""
    added = last = 0
    groups = [0]
    for part in _PART.finditer(pattern):
        if part[1] is not None:
            more = last * max(int(part[2] or part[1]) - 1, 0)
            added += more
            groups[-1] += more
        elif part[0] == "(":
            groups.append(0)
        elif part[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif part[0] not in "|?*+^$":
            last = 1
            groups[-1] += 1
    return added


def _refuse(reason: str) -> Never:
    raise InvalidRequestError(f"cannot compile regex from schema: {reason}")
