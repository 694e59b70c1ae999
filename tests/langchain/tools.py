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
