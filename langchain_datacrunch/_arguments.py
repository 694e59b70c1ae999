"""Arguments of the models and of their calls, as type checkers and editors see them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict
from uuid import UUID

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.rate_limiters import BaseRateLimiter

from datacrunch_tgi._integration import (
    CallArguments,
    CallArgumentsWithoutStop,
    ChatArguments,
    EndpointArguments,
)


class LangChainArguments(TypedDict, total=False):
    """Keyword arguments of all LangChain language models."""

    name: str | None
    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None


class DataCrunchLLMArguments(EndpointArguments, LangChainArguments, total=False):
    """Keyword arguments of `DataCrunchLLM`."""

    streaming: bool


class ChatDataCrunchArguments(EndpointArguments, ChatArguments, LangChainArguments, total=False):
    """Keyword arguments of `ChatDataCrunch`."""

    logprobs: bool
    top_logprobs: int | None
    streaming: bool | None
    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: Mapping[str, Any] | None


class _CompletionOptions(TypedDict, total=False):
    """Arguments of calls of `DataCrunchLLM` that are not of every model's calls."""

    n: Literal[1] | None
    streaming: bool


class CompletionCall(CallArguments, _CompletionOptions, total=False):
    """Keyword arguments of `DataCrunchLLM.invoke` and similar methods."""


class GenerateCall(CallArgumentsWithoutStop, _CompletionOptions, total=False):
    """Keyword arguments of `DataCrunchLLM.generate`; those of runs may be lists with one for each prompt."""

    tags: list[str] | list[list[str]] | None
    metadata: dict[str, Any] | list[dict[str, Any]] | None
    run_name: str | list[str] | None
    run_id: UUID | list[UUID | None] | None


class _ChatOptions(ChatArguments, total=False):
    """Arguments of calls of `ChatDataCrunch` that are not of every model's calls."""

    n: Literal[1] | None
    stream: bool
    logprobs: bool
    top_logprobs: int | None


class _ToolOptions(TypedDict, total=False):
    """Arguments that `ChatDataCrunch.bind_tools` sets."""

    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: str | bool | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    response_format: Mapping[str, Any] | type | None


class ChatOptions(CallArguments, _ChatOptions, total=False):
    """Keyword arguments of `ChatDataCrunch.bind_tools`, in addition to those that concern tools."""


class ChatCall(ChatOptions, _ToolOptions, total=False):
    """Keyword arguments of `ChatDataCrunch.invoke` and similar methods."""


class ChatGenerateCall(CallArgumentsWithoutStop, _ChatOptions, _ToolOptions, total=False):
    """Keyword arguments of `ChatDataCrunch.generate`."""

    tags: list[str] | None
    metadata: dict[str, Any] | None
    run_name: str | None
    run_id: UUID | None
