"""Tools: from LangChain's tools to a request, and from its answer to tool calls.

bind_tools ─▶ tools, tool_choice, response_format ─▶ call_with_tools ─▶ ToolRequest
                                                                          │
AIMessage, AIMessageChunk ◀── ToolAnswer ◀── tokens of the answer ◀───────┘
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from langchain_core.messages import InvalidToolCall as InvalidCall
from langchain_core.messages import ToolCall as Call
from langchain_core.messages.tool import (
    ToolCallChunk,
    invalid_tool_call,
    tool_call,
    tool_call_chunk,
)
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json import parse_partial_json

from datacrunch_tgi import Answer, ArgumentError, StreamEvent
from datacrunch_tgi._integration import ChatPrompt, checking
from datacrunch_tgi._structured import partial_text, read, validator
from datacrunch_tgi._tools import Delta, ToolCallReader, ToolRequest
from langchain_datacrunch._structured import NOT_CONVERTED, full_schema

Tool = dict[str, Any] | type | Callable[..., Any] | BaseTool
ARGUMENTS = ("tools", "tool_choice", "parallel_tool_calls", "response_format", "strict")
"""Arguments of a call that concern tools."""
_HINT = "Use a server with grammars (TGI 1.4.1 or newer), or a larger model."


def bound_arguments(
    tools: Sequence[Tool],
    tool_choice: Any,
    strict: bool | None,  # noqa: FBT001 -- as LangChain has it
    response_format: Any,
) -> dict[str, Any]:
    """Return what `bind_tools` binds: plain data, because tracers record it.

    Raises:
        ArgumentError: A tool or the format is invalid.
    """
    converted = list[dict[str, Any]]()
    for place, tool in enumerate(tools):
        try:
            converted.append(convert_to_openai_tool(tool, strict=strict))
        except NOT_CONVERTED as error:
            raise ArgumentError(f"tools[{place}]", f"is not a tool: {error}") from None
    bound: dict[str, Any] = {"tools": converted}
    if tool_choice is not None:
        bound["tool_choice"] = tool_choice
    if response_format is not None:
        bound["response_format"] = _json_format(response_format)
    return bound


def response_schema(response_format: Any) -> Mapping[str, Any] | None:
    """Return the JSON schema of a `response_format`; None for plain text.

    Raises:
        ArgumentError: Its form is not supported, or its schema is invalid.
    """
    if response_format is None:
        return None
    form = _json_format(response_format)
    if form["type"] == "text":
        return None
    if form["type"] == "json_object":
        return {"type": "object"}
    schema: Any = form.get("json_schema")
    schema = schema.get("schema") if isinstance(schema, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON
    if not isinstance(schema, Mapping):
        rule = "must have the JSON schema in response_format['json_schema']['schema']"
        raise ArgumentError("response_format", rule)
    return cast("Mapping[str, Any]", schema)


def _json_format(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping) and given.get("type") in ("text", "json_object", "json_schema"):  # pyright: ignore[reportUnknownMemberType]  # JSON
        return dict(cast("Mapping[str, Any]", given))
    if not isinstance(given, Mapping | type):
        rule = "must be a JSON schema, a class, or a dict of type json_schema, json_object or text"
        raise ArgumentError("response_format", rule, value=repr(given))
    schema = full_schema(cast("dict[str, Any] | type", given))
    name = schema.get("title", "response")
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


class ToolAnswer:
    """Reads one answer of a call with tools or a response format."""

    def __init__(self, request: ToolRequest, prompt: str, stop: Sequence[str]) -> None:
        self._request = request
        self._reader: ToolCallReader = request.reader(stop, prompt)
        schema = request.response_schema
        self._validate = validator(schema) if schema is not None else None
        self._arguments: dict[int, str] = {}
        self._shown = ""
        self._leading = " " if isinstance(prompt, ChatPrompt) else ""

    def push(self, event: StreamEvent, answer: Answer | None) -> tuple[str, list[ToolCallChunk]]:
        """Add the next event, with the answer if it is the last; return the new text and call chunks."""
        delta = self._reader.push(event.token)
        text, calls = delta.text, self._chunks(delta)
        if answer:
            delta = self._reader.finish(answer.finish_reason)
            text, calls = text + delta.text, [*calls, *self._chunks(delta), *self._broken()]
        if text and self._leading:
            text, self._leading = text.removeprefix(self._leading), ""
        if self._validate:
            text = self._json(ended=answer is not None)
        if answer:
            self._check(answer)
        return text, _merged(calls)

    def read(self, answer: Answer) -> tuple[str, list[Call], list[InvalidCall]]:
        """Read a complete answer; return its text and calls."""
        tokens = answer.details.tokens if answer.details else ()
        self._reader.read(tokens, answer.finish_reason)
        text = self._reader.text.removeprefix(self._leading)
        if self._validate:
            text = self._json(ended=True)
        self._check(answer)
        return (
            text,
            [tool_call(name=c.name, args=c.arguments, id=c.id) for c in self._reader.calls],
            [
                invalid_tool_call(name=c.name, args=c.arguments, id=c.id, error=c.reason)
                for c in self._reader.invalid_calls
            ],
        )

    @property
    def called(self) -> bool:
        """Whether the model called a tool."""
        return bool(self._reader.calls or self._reader.invalid_calls)

    @property
    def errors(self) -> dict[str, Any]:
        """What is wrong with calls, for `response_metadata`: LangChain loses the reasons in a stream."""
        reasons = {call.id: call.reason for call in self._reader.invalid_calls}
        reasons |= self._request.violations(self._reader)
        return {"tool_call_errors": reasons} if reasons else {}

    def _json(self, *, ended: bool) -> str:
        """Return the new part of the answer's JSON, without text around it; for a call, the text next to it."""
        text = self._reader.text.removeprefix(self._leading)
        before = self._shown
        self._shown = text if ended and self.called else partial_text(text)
        return self._shown[len(before) :] if self._shown.startswith(before) else ""

    def _check(self, answer: Answer) -> None:
        """Check the answer against the request.

        Raises:
            datacrunch_tgi.StructuredOutputError: It does not match; `text` is the answer.
        """
        with checking(answer):
            self._request.check(self._reader)
            if self._validate and not self.called:
                text, reason = self._shown or self._reader.text, answer.finish_reason
                read(text, self._validate, finish_reason=reason, hint=_HINT)

    def _chunks(self, delta: Delta) -> list[ToolCallChunk]:
        for call in delta.calls:
            self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments
        return [
            tool_call_chunk(name=c.name, args=c.arguments, id=c.id, index=c.index)
            for c in delta.calls
        ]

    def _broken(self) -> list[ToolCallChunk]:
        """Return chunks that keep broken calls invalid: LangChain would repair cut JSON and run it."""
        return [
            tool_call_chunk(
                name=None if call.index in self._arguments else call.name,
                args=_spoil(self._arguments.get(call.index, ""), call.arguments),
                id=None if call.index in self._arguments else call.id,
                index=call.index,
            )
            for call in self._reader.invalid_calls
        ]


def _merged(chunks: Sequence[ToolCallChunk]) -> list[ToolCallChunk]:
    """Merge the chunks of each call: LangChain merges only those of different messages."""
    merged = dict[int | None, ToolCallChunk]()
    for chunk in chunks:
        before = merged.setdefault(chunk["index"], tool_call_chunk(index=chunk["index"], args=""))
        merged[chunk["index"]] = tool_call_chunk(
            name=before["name"] or chunk["name"],
            args=f"{before['args']}{chunk['args']}",
            id=before["id"] or chunk["id"],
            index=chunk["index"],
        )
    return [*merged.values()]


def _spoil(sent: str, arguments: str) -> str:
    """Return text that makes the arguments sent so far unreadable."""
    rest = arguments.removeprefix(sent) if arguments.startswith(sent) else ""
    # A bracket that none opened: outside of strings, inside of one, and behind a backslash in one.
    ends = ("", "}", "]", '"}', '"]', '""}', '""]')
    return next(
        rest + end for end in ends if sent + rest + end and not _is_object(sent + rest + end)
    )


def _is_object(arguments: str) -> bool:
    """Return whether LangChain can read a text as arguments."""
    with suppress(ValueError):
        return isinstance(parse_partial_json(arguments), dict)
    return False
