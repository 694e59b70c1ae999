"""LlamaIndex's methods with the keyword arguments of this model, for type checkers and editors."""

# ruff: noqa: FBT001, FBT002, PLR0917 -- LlamaIndex's signatures

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import BaseTool

from llamaindex_datacrunch._arguments import ToolCall


class ToolCalls(FunctionCallingLLM):
    """The calls with tools."""

    if TYPE_CHECKING:

        def chat_with_tools(  # type: ignore[override]
            self,
            tools: Sequence[BaseTool],
            user_msg: str | ChatMessage | None = None,
            chat_history: list[ChatMessage] | None = None,
            verbose: bool = False,
            allow_parallel_tool_calls: bool = False,
            tool_required: bool = False,
            **kwargs: Unpack[ToolCall],
        ) -> ChatResponse:
            """Generate the next message, which may call tools. Other arguments are as in `chat`."""
            ...

        def stream_chat_with_tools(  # type: ignore[override]
            self,
            tools: Sequence[BaseTool],
            user_msg: str | ChatMessage | None = None,
            chat_history: list[ChatMessage] | None = None,
            verbose: bool = False,
            allow_parallel_tool_calls: bool = False,
            tool_required: bool = False,
            **kwargs: Unpack[ToolCall],
        ) -> ChatResponseGen:
            """Generate the next message token by token: see `chat_with_tools`."""
            ...

        async def achat_with_tools(  # type: ignore[override]
            self,
            tools: Sequence[BaseTool],
            user_msg: str | ChatMessage | None = None,
            chat_history: list[ChatMessage] | None = None,
            verbose: bool = False,
            allow_parallel_tool_calls: bool = False,
            tool_required: bool = False,
            **kwargs: Unpack[ToolCall],
        ) -> ChatResponse:
            """Generate the next message: see `chat_with_tools`."""
            ...

        async def astream_chat_with_tools(  # type: ignore[override]
            self,
            tools: Sequence[BaseTool],
            user_msg: str | ChatMessage | None = None,
            chat_history: list[ChatMessage] | None = None,
            verbose: bool = False,
            allow_parallel_tool_calls: bool = False,
            tool_required: bool = False,
            **kwargs: Unpack[ToolCall],
        ) -> ChatResponseAsyncGen:
            """Generate the next message token by token: see `chat_with_tools`."""
            ...
