"""Events of a call, for LlamaIndex's callbacks and instrumentation, and its rate limiter.

arguments ─▶ checked, habits dropped ─▶ start event ─▶ method ─▶ end event
"""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import (
    llm_chat_callback,  # pyright: ignore[reportUnknownVariableType]  # LlamaIndex leaves it untyped
    llm_completion_callback,  # pyright: ignore[reportUnknownVariableType]  # likewise
)

from llamaindex_datacrunch._kwargs import accept_habits
from llamaindex_datacrunch._tools import TOOL_ARGUMENTS

_OWN_ARGUMENTS = frozenset({"prompt", "formatted", "messages"})

Method = TypeVar("Method", bound=Callable[..., Any])


def completion_events(method: Method) -> Method:
    """Report a completion to LlamaIndex's callbacks and instrumentation; wait for its rate limiter."""
    return _checked(cast("Method", llm_completion_callback()(method)), chat=False)


def chat_events(method: Method) -> Method:
    """Report a chat: see `completion_events`."""
    return _checked(cast("Method", llm_chat_callback()(method)), chat=True)


def _checked(method: Method, *, chat: bool) -> Method:
    """Drop arguments that change nothing, and refuse wrong ones, before any event is reported."""
    known = _OWN_ARGUMENTS | TOOL_ARGUMENTS if chat else _OWN_ARGUMENTS

    def checked(model: Any, call: Mapping[str, Any]) -> dict[str, Any]:
        kept = accept_habits(call, chat=chat)
        model.check_kwargs(kept.keys() - known)
        return kept

    if iscoroutinefunction(method):

        @wraps(method)
        async def awaited(self: Any, *args: Any, **call: Any) -> Any:
            return await method(self, *args, **checked(self, call))

        return cast("Method", awaited)

    @wraps(method)
    def called(self: Any, *args: Any, **call: Any) -> Any:
        return method(self, *args, **checked(self, call))

    return cast("Method", called)
