"""Tools that tests bind."""

from langchain_core.tools import tool

NOW = {
    "name": "now",
    "description": "The time.",
    "parameters": {"type": "object", "properties": {}},
}


def add_numbers(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def weather(place: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {place}"


ADD = '{"name": "add_numbers", "arguments": {"a": 3, "b": 4}}'
MADE = {"a": 3, "b": 4}
FAMILIES = {
    "llama-2-13b-chat": f'{{"tool_calls": [{ADD}]}}',
    "Llama-3.1-8B-Instruct": '{"name": "add_numbers", "parameters": {"a": 3, "b": 4}}',
    "Qwen2.5-7B-Instruct": f"<tool_call>\n{ADD}\n</tool_call>",
    "Hermes-3-Llama-3.1-8B": f"<tool_call>\n{ADD}\n</tool_call>",
    "granite-4.0-h-small": f"<tool_call>\n{ADD}\n</tool_call>",
    "Phi-4-mini-instruct": f"<|tool_call|>[{ADD}]<|/tool_call|>",
    "DeepSeek-V3.1": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add_numbers<｜tool▁sep｜>"  # noqa: RUF001 -- its letters
    '{"a": 3, "b": 4}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',  # noqa: RUF001
}
"""What a model answers, by its name, which implies its template."""
