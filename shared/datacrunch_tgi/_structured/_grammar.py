"""From a JSON schema to a grammar that every server accepts and compiles in seconds at most. Pure.

TGI 1.4.1 to 3.3.7 convert a schema to a regular expression, and that to a table over the vocabulary. While
the table is built, the server answers no requests: `maxLength` 2000 takes minutes. A recursive schema
crashes the router. So the grammar is a simplification, and answers are validated against the schema:

    a reference, `allOf`           its target, merged with its siblings
    a reference to itself          refused: a regular expression has no recursion
    bounds of lengths and lists    dropped, largest first, until the expression is short enough
    `{}`, a free object or list    scalars, an object or list of scalars
    a list of types                a union
    other formats, `not`, `if`, …  dropped
    what nothing matches           left out; refused if it is required

Property order is kept. TGI reads only one keyword of a schema (`properties`, else `anyOf`, `enum`, `const`,
`type`), so each part of a grammar has one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._structured._keywords import (
    as_items,
    as_mapping,
    bound,
    constant_schema,
    is_plain_name,
    is_scalar,
    kept_bounds,
    type_of,
)
from datacrunch_tgi._structured._patterns import cheap_pattern
from datacrunch_tgi._structured._references import resolve
from datacrunch_tgi._structured._size import regex_size

Schema = Mapping[str, Any]
Grammar = dict[str, Any]

CHEAP: Final = 5_000
"""Largest regular expression with bounds, in characters with repetitions expanded: about 2 seconds for a
vocabulary of 1200 tokens, measured on TGI 3.3.7."""
LONGEST: Final = 50_000
"""Largest regular expression without bounds; a longer one is refused."""
_MOST_PARTS = 2_000
_DEEPEST = 50
"""TGI's parsers fail at about 120 levels of JSON, two for each level of a schema."""

_FAR_BELOW, _FAR_ABOVE = -(1 << 62), 1 << 62
_SCALARS = ("string", "number", "boolean", "null")
_FORMATS = {"date", "time", "date-time", "uuid"}
_TYPE_OF = {
    "object": ("properties", "required", "additionalProperties", "patternProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


class Limits(NamedTuple):
    """The largest bounds that are kept."""

    length: int
    """Characters of a string."""
    items: int
    """Items of a list."""
    values: int
    """Integers between two bounds, or values of an `enum`."""


_LEVELS = (Limits(100, 8, 200), Limits(40, 4, 50), Limits(12, 2, 20), Limits(0, 1, 20))


def grammar_of(schema: Schema, *, hint: str = "") -> Grammar:
    """Return the parameter `grammar` for a JSON schema, as TGI 1.4.1 to 3.3.7 accept it.

    Args:
        schema: JSON schema of an object with properties.
        hint: What to do instead, for the error.

    Raises:
        ArgumentError: The schema has no grammar: it is not that of an object, is recursive, is too
            large, or nothing matches it.
    """
    try:
        return {"type": "json", "value": _simplified(schema)}
    except ArgumentError as error:
        error.hint = hint
        raise


def _simplified(schema: Schema) -> Grammar:
    for limits in _LEVELS:
        value = _Simplifier(schema, limits).simplify(schema)
        if value is None:
            raise ArgumentError("schema", "must not be a schema that nothing matches")
        if "properties" not in value:
            raise ArgumentError("schema", "must be an object with properties for a grammar")
        if regex_size(value) <= (LONGEST if limits == _LEVELS[-1] else CHEAP):
            return value
    raise ArgumentError("schema", "is too large for a grammar")


@dataclass
class _Simplifier:
    root: Schema
    """The schema, or the innermost part with its own definitions, such as a tool's."""
    limits: Limits
    within: tuple[str, ...] = ("#",)
    """References that lead to the current part."""
    depth: int = 0
    parts: int = field(default=0, init=False)

    def simplify(self, part: Any) -> Grammar | None:
        """Return a part of the grammar; None if nothing matches the schema."""
        root, within = self.root, self.within
        self.depth, self.parts = self.depth + 1, self.parts + 1
        if self.depth > _DEEPEST or self.parts > _MOST_PARTS:
            raise ArgumentError("schema", "is too large for a grammar")
        try:
            return self._simplify(part)
        finally:
            self.root, self.within, self.depth = root, within, self.depth - 1

    def _simplify(self, part: Any) -> Grammar | None:
        if part is False:
            return None
        schema = as_mapping(part)
        if "$defs" in schema or "definitions" in schema:
            self.root = schema
        schema = self._resolved(schema)
        if "const" in schema:
            return self._values([schema["const"]])
        if isinstance(schema.get("enum"), list):
            return self._values(schema["enum"])
        at_top = self.depth == 1 and "properties" in schema  # where TGI takes no union
        for keyword in () if at_top else ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list):
                base = {name: item for name, item in schema.items() if name != keyword}
                return self._union(self._merged(base, member) for member in schema[keyword])
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._union({**schema, "type": one} for one in as_items(kind))
        if kind is None:
            kind = next((kind for kind, names in _TYPE_OF.items() if schema.keys() & names), None)
        return self._typed(kind, schema)

    def _typed(self, kind: Any, schema: Schema) -> Grammar | None:
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind == "string":
            return self._string(schema)
        if kind == "integer":
            return self._integer(schema)
        if kind in _SCALARS:
            return {"type": kind}
        return _any()

    def _resolved(self, schema: Schema) -> dict[str, Any]:
        """Inline references and `allOf`."""
        found, here = dict(schema), list[str]()
        while "$ref" in found or "allOf" in found:
            reference, every = found.pop("$ref", None), found.pop("allOf", None)
            parts = [*as_items(every)]
            if reference in self.within:
                rule = "must not refer to itself: a grammar cannot express recursion"
                raise ArgumentError("schema", rule, value=reference)
            if isinstance(reference, str) and reference not in here:
                here.append(reference)
                parts.append(resolve(self.root, reference))
            self.parts += len(parts)
            if self.parts > _MOST_PARTS:
                raise ArgumentError("schema", "is too large for a grammar")
            for part in parts:
                found = self._merged(part, found)
        self.within = (*self.within, *here)
        return found

    def _merged(self, first: Any, second: Any) -> dict[str, Any]:
        """Merge two schemas that both must match, as far as a grammar can."""
        if first is False or second is False:
            return {"enum": []}
        schemas = [cast("Schema", one) for one in (first, second) if isinstance(one, Mapping)]
        merged: dict[str, Any] = {}
        for schema in schemas:
            properties = dict(as_mapping(merged.get("properties")))
            for name, item in as_mapping(schema.get("properties")).items():
                properties[name] = (
                    {"allOf": [properties[name], item]} if name in properties else item
                )
            every = [*as_items(merged.get("allOf")), *as_items(schema.get("allOf"))]
            if "$ref" in merged and "$ref" in schema:
                every.append({"$ref": merged["$ref"]})
            joined = {
                "properties": properties,
                "required": [*as_items(merged.get("required")), *as_items(schema.get("required"))],
                "allOf": every,
            }
            merged |= schema
            merged |= {name: value for name, value in joined.items() if value or name in merged}
        return merged

    def _union(self, members: Iterable[Any]) -> Grammar | None:
        found = list[Grammar]()
        for member in members:
            simple = self.simplify(member)
            for one in simple.get("anyOf", [simple]) if simple else ():
                if one not in found:
                    found.append(one)
        return found[0] if len(found) == 1 else {"anyOf": found} if found else None

    def _values(self, values: list[Any]) -> Grammar | None:
        """Return an `enum` of scalars; TGI refuses one with objects or lists."""
        scalars = [value for value in values if is_scalar(value)]
        if len(scalars) > self.limits.values:
            return self._union({"type": kind} for kind in map(type_of, scalars))
        found = self._union(
            constant_schema(value) for value in values if isinstance(value, dict | list)
        )
        if not scalars:
            return found
        return {"anyOf": [{"enum": scalars}, found]} if found else {"enum": scalars}

    def _object(self, schema: Schema) -> Grammar | None:
        required: list[str] = as_items(schema.get("required"))
        properties = as_mapping(schema.get("properties"))
        properties = {**properties, **{name: True for name in required if name not in properties}}
        if not properties and "properties" not in schema:
            return self._map(schema)
        simple: Grammar = {}
        for name, item in properties.items():
            value = self.simplify(item) if is_plain_name(name) else None
            if value is not None:
                simple[name] = value
            elif name in required:
                return None
        kept = [name for name in simple if name in required]
        return {"properties": simple, **({"required": kept} if kept else {})}

    def _map(self, schema: Schema) -> Grammar:
        """Return an object with arbitrary names."""
        value = self.simplify(schema.get("additionalProperties", True))
        if value is None:
            return {"properties": {}}
        return {"type": "object", "additionalProperties": value}

    def _array(self, schema: Schema) -> Grammar | None:
        if first := as_items(schema.get("prefixItems")) or as_items(schema.get("items")):
            items = [self.simplify(item) for item in first]
            return None if None in items else {"type": "array", "prefixItems": items}
        least, most = bound(schema, "minItems", 0), bound(schema, "maxItems", math.inf)
        item = self.simplify(schema.get("items", True))
        if item is None or most == 0:
            return None if least else {"type": "array", "maxItems": 0, "items": {"type": "null"}}
        kept = kept_bounds(schema, ("minItems", "maxItems"), self.limits.items)
        return {"type": "array", "items": item, **kept}

    def _string(self, schema: Schema) -> Grammar:
        if pattern := cheap_pattern(schema.get("pattern"), self.limits.length):
            return {"type": "string", "pattern": pattern}
        if schema.get("format") in _FORMATS:
            return {"type": "string", "format": schema["format"]}
        return {
            "type": "string",
            **kept_bounds(schema, ("minLength", "maxLength"), self.limits.length),
        }

    def _integer(self, schema: Schema) -> Grammar:
        """Return an integer type, or an `enum` if its bounds are close, because TGI ignores bounds."""
        least = max(
            math.ceil(bound(schema, "minimum", _FAR_BELOW)),
            math.floor(bound(schema, "exclusiveMinimum", _FAR_BELOW)) + 1,
        )
        most = min(
            math.floor(bound(schema, "maximum", _FAR_ABOVE)),
            math.ceil(bound(schema, "exclusiveMaximum", _FAR_ABOVE)) - 1,
        )
        if 0 <= most - least < self.limits.values:
            return {"enum": [*range(least, most + 1)]}
        return {"type": "integer"}


def _any() -> Grammar:
    """Return a stand-in for any value; a grammar with arbitrary objects and lists compiles for minutes."""
    return {"anyOf": [{"type": kind} for kind in _SCALARS]}
