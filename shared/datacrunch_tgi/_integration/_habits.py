"""Arguments that other packages pass to every model by habit. Pure.

unset, or without effect on an answer ─▶ dropped
another provider's name ───────────────▶ this server's
a value without effect ────────────────▶ dropped
a value that would change the answer ──▶ an error with advice
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._validation import shown

Method = TypeVar("Method", bound=Callable[..., Any])

SECRET = {"api_key", "client_certificate", "headers", "proxy"}
"""Settings that calls do not accept, because frameworks pass a call's arguments to tracers."""
_WITHOUT_EFFECT = frozenset(
    {
        "cache_control",
        "callback_manager",
        "callbacks",
        "extra_headers",
        "extra_query",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "run_id",
        "run_name",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "stream_usage",
        "tags",
        "user",
        "verbose",
    }
)
"""Arguments for other providers or for frameworks, which do not change the answer."""
_OTHER_NAMES = {
    "max_completion_tokens": "max_tokens",
    "parallel_tool_calls": "allow_parallel_tool_calls",
    "top_logprobs": "top_n_tokens",
}
"""OpenAI's names of arguments that have another name here."""
_NEUTRAL: dict[str, Callable[[Any], bool]] = {
    "audio": lambda value: not value,
    "echo": lambda value: value is False,
    "extra_body": lambda value: not value,
    "function_call": lambda value: value in ("auto", "none"),
    "functions": lambda value: not value,
    "image_documents": lambda value: not value,
    "logit_bias": lambda value: not value,
    "logprobs": lambda value: isinstance(value, bool),  # results have them
    "modalities": lambda value: value == ["text"],
    "n": lambda value: value == 1,
    "presence_penalty": lambda value: value == 0,
    "response_format": lambda value: value == {"type": "text"},
    "suffix": lambda value: not value,
    "tool_choice": lambda value: value in ("auto", "none", False),
    "tool_required": lambda value: not value,
    "tools": lambda value: not value,
}
"""Arguments that a model may not have, and the values that have no effect."""
_OF_TOOLS = {
    "allow_parallel_tool_calls",
    "parallel_tool_calls",
    "strict",
    "tool_choice",
    "tool_names",
    "tool_required",
    "tools",
}
"""Arguments that are ignored without tools."""
_IN_CHATS = (
    "can only be used in chats: by ChatDataCrunch.bind_tools, or LlamaIndex's chat_with_tools"
)
_HINTS = {
    "extra_body": "is not supported; use extra_parameters",
    "functions": f"are not supported; tools {_IN_CHATS}",
    "image_documents": "are not supported; use ImageBlock in the messages of a chat",
    "logprobs": "must be true or false; use top_n_tokens for alternatives",
    "n": "must be 1: the server generates one answer; for several call batch([prompt] * n), or in "
    "LlamaIndex asyncio.gather of acomplete",
    "response_format": "is not supported; use ChatDataCrunch.with_structured_output, or LlamaIndex's "
    "structured_predict",
    "tool_choice": "requires tools",
    "tool_required": "requires tools",
    "tools": _IN_CHATS,
}


def refuse_secrets(names: Iterable[str]) -> None:
    """Refuse secrets as arguments of a call, because tracers record those.

    Raises:
        ArgumentError: An argument is a secret.
    """
    for name in SECRET.intersection(names):
        raise ArgumentError(
            name, "can only be set on the model, because tracers record call arguments"
        )


def accept_habits(call: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return the arguments of a call that matter, by the model's names.

    Unknown arguments are included, for the caller to refuse.

    Args:
        call: The arguments.
        known: The model's names.

    Raises:
        ArgumentError: An argument would change the answer but is not supported.
    """
    given = {name: value for name, value in call.items() if value is not None}
    known = known if given.get("tools") else set(known) - _OF_TOOLS
    kept = dict[str, Any]()
    for name, value in given.items():
        own = name if name in known else _OTHER_NAMES.get(name, name)
        if own in known:
            kept[own] = given.get(own, value)
        elif name in _NEUTRAL:
            if not _NEUTRAL[name](value):
                rule = _HINTS.get(name, "is not supported")
                raise ArgumentError(name, rule, value=shown(value))
        elif name not in _WITHOUT_EFFECT | _OF_TOOLS:
            kept[name] = value
    return kept


def with_checked_arguments(
    method: Method, check: Callable[[Any, dict[str, Any]], dict[str, Any]]
) -> Method:
    """Return a method that calls another with the keyword arguments that a check of them returns.

    Args:
        method: A method, an `async` one too.
        check: Called with the instance and the arguments.
    """
    if iscoroutinefunction(method):

        @wraps(method)
        async def awaited(self: Any, *args: Any, **call: Any) -> Any:
            return await method(self, *args, **check(self, call))

        return cast("Method", awaited)

    @wraps(method)
    def called(self: Any, *args: Any, **call: Any) -> Any:
        return method(self, *args, **check(self, call))

    return cast("Method", called)
