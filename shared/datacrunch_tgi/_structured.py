"""Answers that are JSON of a schema: what a server is asked for, and what has to come of it. Pure.

A server with grammars (TGI 1.4.1) lets a model say nothing else; an older one, DataCrunch's fork (1.1.1)
among them, ignores the grammar without a word. So every answer is checked.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from datacrunch_tgi._errors import ArgumentError, StructuredOutputError
from datacrunch_tgi._protocol._error_body import LONGEST_MESSAGE, truncate

Value = TypeVar("Value")


def grammar_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Make the parameter `grammar` of a JSON schema, in the form that TGI 1.4.1 to 3.3.7 take.

    Args:
        schema: Of an object. References within it (`$defs`) are put in their place: servers know none.

    Raises:
        ArgumentError: It is no object's, or refers to itself.
    """
    whole: Any = _inlined(schema, schema, ())
    whole = {name: part for name, part in whole.items() if name not in {"$defs", "definitions"}}
    if "properties" not in whole:
        raise ArgumentError("schema", "must be an object's with properties: TGI takes no other")
    return {"type": "json", "value": whole}


def instructions(schema: Mapping[str, Any]) -> str:
    """Ask for such an answer in words, for a server that has no grammars."""
    return (
        "Answer with one JSON object and nothing else, no words before or after it. "
        f"It has to match this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def read(
    text: str,
    validate: Callable[[str], Value],
    *,
    finish_reason: str | None = None,
    anywhere: bool = False,
    advice: str = "",
) -> Value:
    """Read an answer.

    Args:
        text: The answer.
        validate: From JSON to the value; raises a ValueError where the schema is not kept.
        finish_reason: Why the answer ended, as far as known.
        anywhere: Whether words may stand around the object, as where it was only asked for in words.
        advice: What to do if the server is one that has no grammars.

    Raises:
        StructuredOutputError: It is not what was asked for; the error holds and shows its text.
    """
    found = text[text.find("{") : text.rfind("}") + 1] if anywhere else ""
    try:
        return validate(found or text)
    except ValidationError as broken:  # whose own text ends in an address
        told = broken.errors(include_url=False, include_input=False)
        places = (".".join(map(str, each["loc"])) for each in told)
        rule = "; ".join(
            f"{place and place + ': '}{each['msg']}"
            for place, each in zip(places, told, strict=True)
        )
    except ValueError as broken:
        rule = str(broken)
    error = StructuredOutputError(
        f"the answer is not the JSON that was asked for: {truncate(rule, LONGEST_MESSAGE)}; "
        f"it is {truncate(text, LONGEST_MESSAGE)!r}"
    )
    error.text = text
    error.hint = "max_new_tokens ended it: raise it" if finish_reason == "length" else advice
    raise error


def _inlined(part: Any, whole: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """The part of a schema with what it refers to in place of each reference."""
    if isinstance(part, list):
        return [_inlined(item, whole, within) for item in part]  # pyright: ignore[reportUnknownVariableType]  # JSON
    if not isinstance(part, Mapping):
        return part
    part = cast("Mapping[str, Any]", part)
    path = part.get("$ref")
    if not isinstance(path, str):
        return {name: _inlined(item, whole, within) for name, item in part.items()}
    if path in within:
        raise ArgumentError("schema", "must not refer to itself: a grammar has an end", value=path)
    meant: Any = whole
    for name in path.removeprefix("#/").split("/"):
        meant = meant.get(name) if isinstance(meant, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON
    if not path.startswith("#/") or meant is None:
        raise ArgumentError("schema", "refers to what is not in it", value=path)
    beside = {name: item for name, item in part.items() if name != "$ref"}
    return _inlined({**meant, **beside}, whole, (*within, path))
