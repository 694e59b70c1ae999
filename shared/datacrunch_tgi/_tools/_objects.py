"""Calls that are JSON objects with a name and arguments, alone, in a list, or in an envelope. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datacrunch_tgi._tools._output import Call, Output, loads
from datacrunch_tgi._tools._source import Source, Steps

_NAMES = ("name", "tool_name")
_ARGUMENTS = ("arguments", "parameters")
_IDS = ("id", "tool_call_id")
_NESTED = ("function", "tool")
"""Keys of an object around the name and the arguments, as OpenAI has it."""
_KEYS = (*_NAMES, *_ARGUMENTS, *_IDS, *_NESTED, "type")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True)
class Context:
    """What all parsers need.

    Attributes:
        source: The answer.
        output: Collects text and calls.
        tools: Schema of the arguments for each offered tool, by name.
        late_ids: Whether the family writes ids after arguments.
        final: Whether the answer may be an envelope with a final answer.
    """

    source: Source
    output: Output
    tools: Mapping[str, Mapping[str, Any]]
    late_ids: bool = False
    final: bool = False


def read_object(context: Context, *, marked: bool, key: str | None = None) -> Steps[Call | None]:
    """Read one call.

    Args:
        context: Source, output and tools.
        marked: Whether a marker precedes it; if not, it is a call only with the name of an offered tool.
        key: Its first key, if that has been read with its colon.

    Returns:
        The call, complete or broken; None if it is not a call, and then nothing was reported.
    """
    source, call = context.source, Call(context.output)
    depth = 1
    if key is None:
        source.take(1)
    while depth:
        if key is None:
            yield from source.space()
            if (yield from source.literal("}")):
                depth -= 1
                continue
            if (yield from source.literal(",")):
                continue
            key = yield from read_key(source)
        yield from source.space()
        if key in _NESTED and (yield from source.literal("{")):
            depth += 1
        elif key in _ARGUMENTS:
            complete = yield from _read_arguments(context, call)
            if not complete:
                return call if _is_call(context, call, marked=marked) else None
        elif key is None or not (yield from _read_field(context, call, key, marked=marked)):
            return call if _is_call(context, call, marked=marked) else None
        key = None
    call.complete = True
    return call if _is_call(context, call, marked=marked) else None


def _is_call(context: Context, call: Call, *, marked: bool) -> bool:
    return marked or call.suspected or call.name in context.tools


def _read_field(context: Context, call: Call, key: str, *, marked: bool) -> Steps[bool]:
    parts = list[str]()
    complete = yield from context.source.value(parts.append)
    text = "".join(parts)
    if key in (*_NAMES, "function") and call.name is None:
        if not complete:  # cut off inside the name of an offered tool?
            cut, start = not context.source.rest, text.removeprefix('"')
            call.suspected = cut and any(name.startswith(start) for name in context.tools)
            return False
        call.name = _text(text)
        if marked and call.name:
            call.start(id_follows=context.late_ids)
        return bool(call.name) and _is_call(context, call, marked=marked)
    if key in _IDS and complete:
        call.id = _text(text)
    known = key in (*_IDS, "type") or marked or call.name is not None
    return complete and known


def _read_arguments(context: Context, call: Call) -> Steps[bool]:
    source = context.source
    if call.name is not None:
        call.start(id_follows=context.late_ids)
    if (yield from source.peek()) != '"':
        return (yield from source.value(call.add))
    parts = list[str]()  # Granite 4 may write JSON within a JSON string
    complete = yield from source.string(parts.append)
    text = "".join(parts)
    call.add(_text(text) or text)
    return complete


def _text(json_text: str) -> str | None:
    try:
        value = loads(json_text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def read_key(source: Source) -> Steps[str | None]:
    """Read a key and its colon; return None if there is none."""
    parts = list[str]()
    if not (yield from source.string(parts.append)):
        return None
    yield from source.space()
    return _text("".join(parts)) if (yield from source.literal(":")) else None


def read_objects(context: Context) -> Steps[Call | bool]:
    """Read one or more objects after a marker.

    Returns:
        True, or the call that is broken.
    """
    while True:
        call = yield from _finished(context, marked=True)
        if call is not True:
            return call
        yield from context.source.space()
        if (yield from context.source.peek()) != "{":
            return True


def read_list(context: Context, *, marked: bool) -> Steps[Call | bool]:
    """Read a list of objects; its opening bracket has been read.

    Args:
        context: Source, output and tools.
        marked: Whether a marker precedes it; if not, an object follows, and its name must be that of an
            offered tool.

    Returns:
        True if it was calls, False if it is text, or the call that is broken.
    """
    source, found = context.source, False
    while True:
        yield from source.space()
        if (following := (yield from source.peek())) == "{":
            call = yield from _finished(context, marked=marked)
            if call is not True:
                return call
            marked = found = True
        elif found and not following:
            return True  # cut off after a call
        elif (yield from source.literal("]")):
            return True
        elif not (yield from source.literal(",")):
            return Call(context.output)


def _finished(context: Context, *, marked: bool, key: str | None = None) -> Steps[Call | bool]:
    call = yield from read_object(context, marked=marked, key=key)
    if call is None or not call.complete:
        return call or False
    call.finish(context.source.raw)
    context.source.begin()
    return True


def read_unmarked(context: Context) -> Steps[Call | bool]:
    """Read an object without a marker: a call, or an envelope of calls or a final answer.

    Returns:
        True if it was one of these, False if it is text, or the call that is broken.
    """
    source = context.source
    source.take(1)
    key = yield from _next_key(source)
    closing = 1
    if key == "response" and context.final:
        yield from source.space()
        if not (yield from source.literal("{")):
            return False
        key = yield from _next_key(source)
        closing = 2
    if key == "tool_calls":
        yield from source.space()
        if not (yield from source.literal("[")):
            return Call(context.output)
        found = yield from read_list(context, marked=True)
    elif key == "answer" and context.final:
        yield from source.space()
        found = yield from source.value(context.output.show)
        if not found:
            return True  # cut off: the part that arrived is shown
    elif closing == 1 and key in _KEYS:
        return (yield from _finished(context, marked=False, key=key))
    else:
        return False
    if found is True:
        for _ in range(closing):
            yield from source.space()
            yield from source.literal("}")
    return found


def _next_key(source: Source) -> Steps[str | None]:
    yield from source.space()
    return (yield from read_key(source))


def open_depth(text: str) -> int:
    """Return the number of objects and arrays that are open at the end of a JSON text."""
    bare = _STRING.sub("", text)
    return sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))
