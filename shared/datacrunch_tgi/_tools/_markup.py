"""Calls in Qwen3-Coder's form: `<function=add>`, and a `<parameter=a>` for each argument. Pure."""

import json
from collections.abc import Mapping
from typing import Any, cast

from datacrunch_tgi._tools._objects import Context
from datacrunch_tgi._tools._output import Call, loads
from datacrunch_tgi._tools._source import Source, Steps

FUNCTION = "<function="
_PARAMETER, _END = "<parameter=", "</parameter>"
_ENDS = ("</function>", "</tool_call>")


def read_function(context: Context, *, marked: bool) -> Steps[Call | bool]:
    """Read one call; `<function=` has been read.

    Args:
        context: Source, output and tools.
        marked: Whether a marker precedes it; if not, its name must be that of an offered tool.

    Returns:
        True if it was a call, False if it is text, or the call that is broken.
    """
    source, call = context.source, Call(context.output)
    name = yield from source.until(">")
    if name is None:
        return call
    call.name = name.strip()
    if not marked and call.name not in context.tools:
        return False
    call.start()
    schema = context.tools.get(call.name, {})
    separator = "{"
    yield from source.space()
    tag = yield from _tag(source)
    while tag == _PARAMETER:
        name = yield from source.until(">")
        value, tag = yield from _value(source)
        if name is None or value is None:
            return call
        key = name.strip()
        typed = _typed(value.removeprefix("\n").removesuffix("\n"), _property(schema, key))
        call.add(f"{separator}{json.dumps(key)}: {json.dumps(typed, ensure_ascii=False)}")
        separator = ", "
    if not tag:
        return call
    call.add("{}" if separator == "{" else "}")
    call.finish(source.raw)
    source.begin()
    return True


def _tag(source: Source) -> Steps[str]:
    """Read the next tag of a call; return "" if another text is next."""
    for tag in (_PARAMETER, *_ENDS):
        if (yield from source.literal(tag)):
            return tag
    return ""


def _value(source: Source) -> Steps[tuple[str | None, str]]:
    """Read a value, which may contain tags, and the tag behind it; None if the answer ends before."""
    parts = list[str]()
    while (part := (yield from source.until(_END))) is not None:
        space = yield from source.space()
        if tag := (yield from _tag(source)):
            return "".join([*parts, part]), tag
        parts += [part, _END, space]
    return None, ""


def _property(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Any = cast("Mapping[str, Any]", schema.get("properties") or {}).get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {"type": "string"}


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """Convert an argument by its schema: a string stays text, anything else is parsed as JSON."""
    kinds = _kinds(schema)
    if "null" in kinds and text.strip().lower() in ("null", "none"):
        return None
    if "string" in kinds or text in schema.get("enum", ()):
        return text
    if "boolean" in kinds and text.strip() in ("True", "False"):
        return text.strip() == "True"
    try:
        return loads(text)
    except ValueError:
        return text  # violates the schema; the tool's own validation reports it


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    kind: Any = schema.get("type")
    kinds = set[str]([kind] if isinstance(kind, str) else kind or ())
    for name in ("anyOf", "oneOf"):
        for option in schema.get(name) or ():
            kinds |= _kinds(option)
    return kinds
