"""The full schema: as instructions for the prompt, and as a validator of answers. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from datacrunch_tgi._errors import LONGEST_MESSAGE, ArgumentError, truncate
from datacrunch_tgi._structured._keywords import as_mapping
from datacrunch_tgi._structured._reading import parse

if TYPE_CHECKING:
    from referencing import Specification


def instructions(schema: Mapping[str, Any]) -> str:
    """Return a paragraph for the prompt that asks for JSON matching a schema."""
    return (
        "Answer with one JSON object and nothing else, no words before or after it. "
        f"It has to match this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def check_schema(schema: Any) -> Any:
    """Return the jsonschema validator of a schema, for the draft that it names, else for 2020-12.

    A schema that is valid only in draft 4 (`"exclusiveMinimum": true`) is read as draft 4.

    Raises:
        ArgumentError: It is not a JSON schema, or has a reference to something that is not in it.
    """
    # Both adapters' extras include it; importing it takes 60 ms.
    from jsonschema import Draft4Validator, Draft202012Validator, SchemaError  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.jsonschema import specification_with  # noqa: PLC0415

    if not isinstance(schema, Mapping):
        raise ArgumentError("schema", "must be a dict", value=type(schema).__name__)
    schema = cast("Mapping[str, Any]", schema)
    broken: SchemaError | None = None
    for version in (validator_for(schema, default=Draft202012Validator), Draft4Validator):
        try:
            version.check_schema(schema)
        except SchemaError as error:
            broken = broken or error
        else:
            _check_references(schema, specification_with(str(version.META_SCHEMA["$schema"])))
            return version(schema, registry=Registry())  # an empty one: nothing is downloaded
    assert broken is not None  # noqa: S101 -- one of them raised it
    raise ArgumentError("schema", f"is not a JSON schema: {broken.json_path}: {broken.message}")


def violation(check: Any, value: Any) -> str | None:
    """Return how a value violates a schema, by the result of `check_schema`; None if it does not."""
    # A schema that only refers to itself; a key of patternProperties that is no regular expression.
    with suppress(RecursionError, re.error):
        for error in check.iter_errors(value):
            return f"{error.json_path}: {truncate(error.message, LONGEST_MESSAGE)}"
    return None


def _check_references(schema: Mapping[str, Any], specification: "Specification[Any]") -> None:
    """Check that the target of every reference is in the schema, as a validator will look it up."""
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    root = specification.create_resource(schema)
    parts: list[tuple[Any, Any]] = [(schema, Registry[Any]().resolver_with_root(root))]
    seen = set[int]()
    while parts:
        found, resolver = parts.pop()
        part = as_mapping(found)  # True and False refer to nothing
        if id(part) in seen:
            continue
        seen.add(id(part))
        resolver = resolver.in_subresource(specification.create_resource(part))
        for reference in (part.get("$ref"), part.get("$dynamicRef")):
            if isinstance(reference, str):
                try:
                    target = resolver.lookup(reference)
                except (Unresolvable, ValueError):  # ValueError: "#/items/x" of a list, no URL
                    rule = "must contain the target of each reference"
                    raise ArgumentError("schema", rule, value=reference) from None
                parts.append((target.contents, target.resolver))
        parts += ((each, resolver) for each in specification.subresources_of(part))


def validator(schema: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return a function that parses JSON and validates it against a schema; it raises ValueError.

    Raises:
        ArgumentError: It is not a JSON schema.
    """
    check = check_schema(schema)

    def validated(text: str) -> Any:
        value = parse(text)
        try:
            for error in check.iter_errors(value):
                raise ValueError(f"{error.json_path}: {error.message}")
        except re.error as error:  # a key of patternProperties that Python cannot read
            raise ValueError(f"the schema has a pattern that cannot be checked: {error}") from None
        return value

    return validated
