"""Tools, and how models of three families write calls of them."""

import json
from collections.abc import Callable
from typing import Any

from llama_index.core.tools import BaseTool, FunctionTool


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def now() -> str:
    """Return the time."""
    return "noon"


TOOLS: list[BaseTool] = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(now)]


def in_words(*calls: tuple[str, dict[str, Any]]) -> str:
    return json.dumps({"tool_calls": [{"name": n, "arguments": a} for n, a in calls]})


def as_qwen(*calls: tuple[str, dict[str, Any]]) -> str:
    entries = (json.dumps({"name": name, "arguments": a}) for name, a in calls)
    return "\n".join(f"<tool_call>\n{entry}\n</tool_call>" for entry in entries)


FAMILIES: dict[str, tuple[dict[str, Any], Callable[..., str]]] = {
    "words": ({"chat_template": "llama-2"}, in_words),
    "no template": ({"model": "mine"}, in_words),
    "qwen": ({"chat_template": "chatml", "tool_format": "qwen"}, as_qwen),
    "by name": ({"model": "ibm-granite/granite-4.0-h-small"}, as_qwen),
}
"""Options of a model, and how it writes calls."""
ADD: tuple[str, dict[str, Any]] = ("add", {"a": 1, "b": 2})
NOW: tuple[str, dict[str, Any]] = ("now", {})
