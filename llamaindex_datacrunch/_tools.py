"""Tools: those that a call offers, and the tool calls in a response.

    tools ─▶ chat_with_tools ─▶ chat(messages, tools=…) ─▶ ToolCallBlocks ─▶ ToolSelections

LlamaIndex calls such a model a function-calling LLM, which its agents require.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.chat_engine.types import AgentChatResponse
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool
from pydantic import ConfigDict

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi._integration import LONGEST_MESSAGE, truncate
from llamaindex_datacrunch._calls import ToolCalls
from llamaindex_datacrunch._checked_tools import checked

_FORCE = "Pass tool_required=True to require a call, or use a model trained for tools."
TOOL_ARGUMENTS = frozenset(
    {"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "tool_names"}
)
"""Arguments of a chat with tools."""


class Tools(ToolCalls):
    """An LLM that calls tools, in the format of its family or as JSON."""

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())

    is_function_calling_model: bool | None = None
    """Whether agents and programs use tool calls. Default: whether the model's family has a format for
    them; if True, other models are asked for JSON."""

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Any,  # noqa: ARG002 -- likewise
    ) -> list[ToolSelection]:
        """Return the tool calls of a response; of a partial response, those that are complete.

        Args:
            response: What a chat with tools returned or streamed.
            error_on_no_tool_call: Whether a response without a call is an error.
            **kwargs: Ignored.

        Raises:
            datacrunch_tgi.StructuredOutputError: It has no call, or only calls that cannot be read;
                never of a partial response.
        """
        message = response.message
        calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        raw = cast("dict[str, Any] | None", response.raw)
        invalid: Any = raw.get("invalid_tool_calls") if isinstance(raw, dict) else None
        if invalid and not calls:
            raise _error(
                f"a tool call cannot be read: {invalid[0]['reason']}", invalid[0]["text"], hint=""
            )
        partial = isinstance(raw, dict) and "token" in raw  # an event of a stream
        if error_on_no_tool_call and not calls and not partial:
            text = message.content or ""
            raise _error("the model called no tool", text)
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=_arguments(call.tool_kwargs),
            )
            for call in calls
        ]

    def predict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """Let the model call a tool, and return the tool's result.

        If the arguments violate the tool's schema, the result is an error (`sources[0].is_error`), and the
        tool is not run.

        Args:
            tools: The tools.
            *args: As in LlamaIndex's `FunctionCallingLLM.predict_and_call`.
            **kwargs: Likewise; also parameters of this call.

        Raises:
            datacrunch_tgi.StructuredOutputError: The model called none of the tools.
        """
        return super().predict_and_call([*map(checked, tools)], *args, **self._only_offered(kwargs))

    async def apredict_and_call(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> AgentChatResponse:
        """Let the model call a tool, and return the tool's result: see `predict_and_call`."""
        return await super().apredict_and_call(
            [*map(checked, tools)], *args, **self._only_offered(kwargs)
        )

    def _only_offered(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call of an unknown tool an error; agents report it to the model instead."""
        calls = self.metadata.is_function_calling_model
        return {**kwargs, "only_offered": True} if calls else {**kwargs}

    def _prepare_chat_with_tools(  # noqa: PLR0917 -- LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002, FBT001, FBT002 -- LlamaIndex's signature
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002 -- likewise
        tool_required: bool = False,  # noqa: FBT001, FBT002 -- likewise
        *,
        only_offered: bool = False,  # noqa: ARG002 -- for the check of the response
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if tool_required and not tools:
            raise ArgumentError("tool_required", "needs at least one tool", value="True")
        messages = [*(chat_history or ())]
        if isinstance(user_msg, str):
            messages.append(ChatMessage(role=MessageRole.USER, content=user_msg))
        elif user_msg is not None:
            messages.append(user_msg)
        offered = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        names = {
            entry["function"]["name"]: cast("str", tool.metadata.name)
            for entry, tool in zip(offered, tools, strict=True)
        }
        changed = {sent: own for sent, own in names.items() if sent != own}
        sent_names = {own: sent for sent, own in changed.items()}
        if isinstance(tool_choice, str):
            tool_choice = sent_names.get(tool_choice, tool_choice)
        return {
            "messages": messages,
            "tools": offered,
            "tool_choice": tool_choice,
            "tool_required": tool_required,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
            "tool_names": changed or None,
            **kwargs,
        }

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,  # noqa: ARG002, FBT001, FBT002 -- LlamaIndex's signature
        *,
        only_offered: bool = False,
        **kwargs: Any,  # noqa: ARG002 -- likewise
    ) -> ChatResponse:
        names = [tool.metadata.name for tool in tools]
        for block in response.message.blocks if only_offered else ():
            if isinstance(block, ToolCallBlock) and block.tool_name not in names:
                offered = ", ".join(map(str, names))
                unknown = f"the model called {block.tool_name!r}, which is not one of {offered}"
                raise _error(unknown, response.message.content or "")
        return response


def _error(message: str, text: str, hint: str = _FORCE) -> StructuredOutputError:
    error = StructuredOutputError(f"{message}; it answered {truncate(text, LONGEST_MESSAGE)!r}")
    error.text = text
    error.hint = hint
    return error


def _arguments(given: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(given, str):
        with suppress(ValueError):
            given = json.loads(given)
    return given if isinstance(given, dict) else {}
