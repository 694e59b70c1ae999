"""From an answer that may call tools to LlamaIndex's responses. Pure.

    tokens ─▶ ToolCallReader ─┬─▶ text ──────────▶ TextBlock
                              ├─▶ calls ─────────▶ ToolCallBlock
                              └─▶ invalid calls ─▶ raw["invalid_tool_calls"]

Agents keep the message of the last response, so it has all text and all calls.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import ChatResponse, TextBlock, ToolCallBlock

from datacrunch_tgi import Answer, StreamEvent
from datacrunch_tgi._integration import ChatPrompt, checking, finish_reasons
from datacrunch_tgi._tools import InvalidToolCall, ToolCall, ToolRequest
from llamaindex_datacrunch._responses import Chat


class ToolResponses:
    """Responses of LlamaIndex for one answer that may call tools."""

    def __init__(
        self,
        request: ToolRequest,
        prompt: str,
        stop: Sequence[str],
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Start an answer.

        Args:
            request: The tools of the call.
            prompt: The prompt.
            stop: Stop strings of the request.
            names: Original names of tools that were renamed for the model.
        """
        self._chat = Chat()
        self._request = request
        self._reader = request.reader(stop, prompt)
        self._names = names or {}
        self._leading = " " if isinstance(prompt, ChatPrompt) else ""

    def chunk(self, event: StreamEvent, _: str) -> ChatResponse:
        """Return the response for an event, with all text and all complete calls so far."""
        before = len(self._text)
        self._reader.push(event.token)
        response = self._chat.chunk(event, self._text)
        response.delta = self._text[before:]
        return self._with_calls(response)

    @property
    def _text(self) -> str:
        return self._reader.text.removeprefix(self._leading)

    def answer(self, answer: Answer, delta: str | None = None) -> ChatResponse:
        """Return the response for an answer, or with a `delta` the last response of a stream.

        Raises:
            StructuredOutputError: A call was required, but there is none.
        """
        details = answer.details
        finish_reason = details.finish_reason if details else None
        if delta is None:
            self._reader.read(details.tokens if details else (), finish_reason)
        else:
            before = len(self._text)
            self._reader.finish(finish_reason)
            delta = self._text[before:]
        with checking(answer):
            self._request.check(self._reader)
        response = self._chat.answer(answer, delta)
        response.message.blocks = [TextBlock(text=self._text)]
        raw = cast("dict[str, Any]", response.raw)
        raw |= finish_reasons(answer, called=bool(self._reader.calls))
        if self._reader.invalid_calls:
            raw["invalid_tool_calls"] = [_shown(call) for call in self._reader.invalid_calls]
        if violations := self._request.violations(self._reader):
            raw["tool_call_errors"] = violations
        return self._with_calls(response)

    def _with_calls(self, response: ChatResponse) -> ChatResponse:
        calls = self._reader.calls
        if calls:
            text = [TextBlock(text=self._text)] if self._text else []
            response.message.blocks = [*text, *map(self._block, calls)]
            # LlamaIndex's programs and memories look for calls here, not among the blocks.
            response.message.additional_kwargs["tool_calls"] = [*map(self._entry, calls)]
        return response

    def _block(self, call: ToolCall) -> ToolCallBlock:
        name = self._names.get(call.name, call.name)
        return ToolCallBlock(tool_call_id=call.id, tool_name=name, tool_kwargs=call.arguments)

    def _entry(self, call: ToolCall) -> dict[str, Any]:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        name = self._names.get(call.name, call.name)
        return {
            "id": call.id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }


def _shown(call: InvalidToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        "text": call.text,
        "reason": call.reason,
    }
