"""Calls in Python's form, `[add(a=1, b=2), now()]`, as Llama 3.2 and 4 write them. Never evaluated. Pure."""

import ast
import json
import math
import re
from typing import Any

from datacrunch_tgi._tools._objects import Context
from datacrunch_tgi._tools._output import Call
from datacrunch_tgi._tools._source import Source, Steps

_NAME = re.compile(r"[\w.-]*")
_ARGUMENT = re.compile(r"\s*([\w-]+)\s*=(?!=)(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = "\\'\"abfnrtvxuU\n"
_WORDS = {"true": True, "false": False, "null": None}


def read_calls(context: Context, *, marked: bool) -> Steps[Call | bool]:
    """Read a list of calls; its opening bracket has been read.

    Args:
        context: Source, output and tools.
        marked: Whether a marker precedes it; if not, the first name must be that of an offered tool.

    Returns:
        True if it was calls, False if it is text, or the call that is broken.
    """
    source = context.source
    while True:
        yield from source.space()
        call = Call(context.output)
        call.name = yield from source.span(_NAME)
        if not call.name or not (yield from source.literal("(")):
            return Call(context.output) if marked else False
        if not marked and call.name not in context.tools:
            return False
        marked = True
        call.start()
        arguments = yield from _read_arguments(source)
        if arguments is None:
            return call
        try:
            call.add(json.dumps(_values(arguments), ensure_ascii=False))
        except ValueError as error:
            call.fail(source.raw, str(error))
        else:
            call.finish(source.raw)
        source.begin()
        yield from source.space()
        if (yield from source.literal("]")) or not (yield from source.peek()):
            return True  # at the end of the list, or of the answer
        if not (yield from source.literal(",")):
            return Call(context.output)


def _read_arguments(source: Source) -> Steps[list[str] | None]:
    """Read up to the bracket that ends a call; return the arguments' texts, None if it does not end."""
    arguments, depth, quote = [""], 0, ""
    while character := (yield from source.peek()):
        source.take(1)
        if quote:
            if character == "\\":
                character += yield from source.peek()
                source.take(1)
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == ")" and not depth:
            return arguments
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and not depth:
            arguments.append("")
            continue
        arguments[-1] += character
    return None


def _values(arguments: list[str]) -> dict[str, Any]:
    values = dict[str, Any]()
    for place, argument in enumerate(arguments):
        if not argument.strip() and place == len(arguments) - 1:
            break  # a trailing comma
        match = _ARGUMENT.fullmatch(argument)
        if not match:
            raise ValueError("its arguments are not name=value")
        values[match[1]] = _value(match[2])
    return values


def _value(text: str) -> Any:
    text = _ESCAPE.sub(lambda found: found[0] if found[1] in _ESCAPES else f"\\{found[0]}", text)
    try:
        return _plain(ast.parse(f"({text.strip()}\n)", mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("an argument is not a literal") from None


def _plain(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=(None | bool() | int() | str()) as value):
            return value
        case ast.Constant(value=float(value)) if math.isfinite(value):
            return value
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())):
            return -_plain(node.operand)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_plain(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _plain(value) for key, value in zip(keys, values, strict=True)}
        case _:
            raise ValueError("an argument is not a literal")


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("a key in an argument is not a string")
