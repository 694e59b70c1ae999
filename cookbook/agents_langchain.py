"""An agent with LangChain that has two tools and ends with a structured answer.

    python cookbook/agents_langchain.py

With DATACRUNCH_BASE_URL set (and DATACRUNCH_API_KEY, DATACRUNCH_MODEL) your endpoint answers. Otherwise an
emulated endpoint in this process does, with scripted answers in the tool-call format of Qwen 2.5. Requires
the package `langchain`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from pydantic import BaseModel

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch


def call(name: str, **arguments: Any) -> str:
    """Write a tool call as Qwen 2.5 does."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


SCRIPT = (
    call("multiply", a=15, b="thirty"),  # a mistake, which the agent reports to the model
    call("multiply", a=15, b=30),
    call("price", tokens=450),
    "450 tokens cost 1.125 euros.",
    json.dumps({"response": {"tool_calls": [{"name": "price", "arguments": {"tokens": 1000}}]}}),
    json.dumps({"response": {"answer": {"tokens": 1000, "euros": 2.5}}}),
)
"""Answers of the emulated endpoint, in turn."""


class Quote(BaseModel):
    """What some tokens cost."""

    tokens: int
    euros: float


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def price(tokens: int) -> str:
    """Return the price of some tokens."""
    return f"{tokens} tokens at 2.5 euros per thousand: {tokens * 2.5 / 1000} euros"


def ask(agent: Any, question: str) -> Any:
    """Print a question, the calls that the agent makes, and its answer; return its last state."""
    print(f"\n{question}")
    state: Any = None
    for state in agent.stream({"messages": [("user", question)]}, stream_mode="values"):
        message = state["messages"][-1]
        if isinstance(message, AIMessage):
            for made in message.tool_calls:
                print(f"  {made['name']}({made['args']})", end="")
            if message.text and not message.tool_calls:
                print(f"  {message.text}")
        elif isinstance(message, ToolMessage):
            print(" failed" if message.status == "error" else f" = {message.text}")
    return state


@contextmanager
def endpoint() -> Iterator[dict[str, Any]]:
    """Yield the settings of your endpoint, or of one in this process."""
    if "DATACRUNCH_BASE_URL" in os.environ:
        yield {}
        return
    print("No DATACRUNCH_BASE_URL is set: an endpoint in this process gives scripted answers.")
    with EmulatedEndpoint(answers=SCRIPT, max_input_tokens=4095, max_total_tokens=8192) as emulated:
        yield {"base_url": emulated.url, "model": "Qwen/Qwen2.5-7B-Instruct"}


def main() -> None:
    with endpoint() as settings:
        chat = ChatDataCrunch(**settings, max_tokens=200, temperature=0)
        accountant = create_agent(chat, [multiply, price])
        ask(accountant, "How many tokens are 15 answers of 30 tokens, and what do they cost?")
        seller = create_agent(chat, [price], response_format=Quote)
        state = ask(seller, "What do a thousand tokens cost?")
        print(f"  {state['structured_response']!r}")


if __name__ == "__main__":
    main()
