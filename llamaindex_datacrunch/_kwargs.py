"""Arguments of calls as other packages pass them, out of habit. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from datacrunch_tgi import ArgumentError

_IGNORED = frozenset(
    {
        "cache_control",
        "callback_manager",
        "callbacks",
        "extra_headers",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "user",
        "verbose",
    }
)
"""Arguments for other providers' servers or for frameworks; none of them changes the answer."""
_TOOL_OPTIONS = frozenset({"tool_choice", "tool_required", "allow_parallel_tool_calls"})
"""Arguments that change nothing where there are no tools."""
_NEUTRAL: dict[str, Callable[[Any], bool]] = {
    "echo": lambda value: value is False,
    "functions": lambda value: not value,
    "function_call": lambda value: value in ("auto", "none"),
    "logit_bias": lambda value: not value,
    "logprobs": lambda value: isinstance(value, bool),  # responses have them
    "n": lambda value: value == 1,
    "presence_penalty": lambda value: value == 0,
    "response_format": lambda value: value == {"type": "text"},
    "tools": lambda value: not value,
    "top_logprobs": lambda value: value == 0,
}
"""Arguments of OpenAI's that are accepted with a value that asks for nothing."""
_HINTS = {
    "n": "must be 1; for several answers make several calls, e.g. asyncio.gather of acomplete",
    "functions": "are not supported; pass tools to chat_with_tools",
    "response_format": "is not supported; use structured_predict or as_structured_llm",
    "tools": "can only be passed to chats; use chat_with_tools",
    "top_logprobs": "is not supported; use top_n_tokens",
}


def accept_habits(given: Mapping[str, Any], *, chat: bool) -> dict[str, Any]:
    """Return the arguments that matter: without what is unset, and what changes no answer.

    `llm_kwargs` are arguments too, as programs have them.

    Args:
        given: The arguments of a call.
        chat: Whether the call may have tools.

    Raises:
        ArgumentError: One of them would change the answer, and no server can do it.
    """
    nested: Any = given.get("llm_kwargs") or {}
    if not isinstance(nested, Mapping):
        raise ArgumentError("llm_kwargs", "must be a dict", value=repr(nested))
    merged: dict[str, Any] = {**nested, **given}
    merged.pop("llm_kwargs", None)
    has_tools = chat and bool(merged.get("tools"))
    ignored = _IGNORED if has_tools else _IGNORED | _TOOL_OPTIONS
    kept = {
        name: value for name, value in merged.items() if value is not None and name not in ignored
    }
    for name in _NEUTRAL.keys() & kept.keys() - ({"tools"} if has_tools else set()):
        if not _NEUTRAL[name](kept[name]):
            raise ArgumentError(name, _HINTS.get(name, "is not supported"), value=repr(kept[name]))
        del kept[name]
    return kept
