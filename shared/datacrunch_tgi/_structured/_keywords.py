"""Tolerant access to the keywords of a JSON schema. Pure."""

import json
import math
from collections.abc import Mapping
from typing import Any, cast


def as_mapping(given: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}


def as_items(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []  # pyright: ignore[reportUnknownVariableType]  # JSON


def kept_bounds(schema: Mapping[str, Any], names: tuple[str, str], longest: int) -> dict[str, Any]:
    """Return the bounds within a limit; none if they exclude each other."""
    least, most = bound(schema, names[0], 0), bound(schema, names[1], math.inf)
    bounds = zip(names, (least, most), strict=True)
    return {name: kept for name, kept in bounds if 0 < kept <= longest and least <= most}


def constant_schema(value: Any) -> Mapping[str, Any]:
    """Return the schema of an object or list with exactly these values."""
    if isinstance(value, dict):
        named = cast("dict[str, Any]", value)
        constants = {name: {"const": item} for name, item in named.items()}
        return {"properties": constants, "required": [*named]}
    return {"prefixItems": [{"const": item} for item in value], "maxItems": len(value)}


def bound(schema: Mapping[str, Any], name: str, default: float) -> float:
    """Return a number of a schema; in draft 4 some of these are booleans."""
    given = schema.get(name)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return default
    return int(given) if given == given // 1 else given


def is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | bool | int)


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def is_plain_name(name: str) -> bool:
    """Return whether a name needs no escaping in JSON, which TGI does not do."""
    return json.dumps(name, ensure_ascii=False) == f'"{name}"'
