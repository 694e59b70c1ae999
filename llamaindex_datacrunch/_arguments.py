"""Arguments of `DataCrunch` and of its calls, as type checkers and editors see them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode

from datacrunch_tgi._integration import CallArguments, ChatArguments, EndpointArguments


class DataCrunchArguments(EndpointArguments, ChatArguments, total=False):
    """Keyword arguments of `DataCrunch`."""

    context_window: int
    is_chat_model: bool | None
    is_function_calling_model: bool | None
    template_completions: bool
    system_prompt: str | None
    messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None
    completion_to_prompt: Callable[[str], str] | None
    output_parser: BaseOutputParser | None
    pydantic_program_mode: PydanticProgramMode | str
    query_wrapper_prompt: BasePromptTemplate | None
    callback_manager: CallbackManager | None
    rate_limiter: Any


class CompletionCall(CallArguments, ChatArguments, total=False):
    """Keyword arguments of `complete` and its streaming and async versions."""


class ToolCall(CompletionCall, total=False):
    """Keyword arguments of `chat_with_tools` and its streaming and async versions."""

    tool_choice: str | Mapping[str, Any] | None


class ChatCall(CompletionCall, total=False):
    """Keyword arguments of `chat` and its streaming and async versions."""

    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    tool_required: bool
    allow_parallel_tool_calls: bool
    tool_names: Mapping[str, str] | None
