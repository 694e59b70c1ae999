"""Events of a call, for LlamaIndex's callbacks and instrumentation, and its rate limiter.

arguments ─▶ checked, ignored ones dropped ─▶ start event ─▶ method ─▶ end event
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import (
    llm_chat_callback,  # pyright: ignore[reportUnknownVariableType]  # LlamaIndex leaves it untyped
    llm_completion_callback,  # pyright: ignore[reportUnknownVariableType]  # likewise
)

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._integration import with_arguments, with_checked_arguments
from llamaindex_datacrunch._arguments import ChatCall, CompletionCall
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
    """Drop ignored arguments and refuse wrong ones, before any event is reported."""
    own = _OWN_ARGUMENTS | TOOL_ARGUMENTS if chat else _OWN_ARGUMENTS

    def check(model: Any, call: dict[str, Any]) -> dict[str, Any]:
        nested: Any = call.pop("llm_kwargs", None) or {}  # as programs have them
        if not isinstance(nested, Mapping):
            raise ArgumentError("llm_kwargs", "must be a dict", value=repr(nested))
        checked: dict[str, Any] = model._check_kwargs({**nested, **call}, own)
        return checked

    show = with_arguments(ChatCall if chat else CompletionCall, {}, closed=False)
    return show(with_checked_arguments(method, check))
