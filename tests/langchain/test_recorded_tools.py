"""What a real server said under grammars for tools, replayed to a chat model with tools."""

from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest

from datacrunch_tgi import StructuredOutputError
from langchain_datacrunch import ChatDataCrunch

Call = Callable[..., Awaitable[Any]]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": name}}
    for name in ("get_weather", "now")
]
CALLED = {
    "tools-any-of": {"name": "get_weather", "args": {"city": " documents g", "days": -5}},
    "tools-calls": {"name": "get_weather", "args": {"city": ". Hello! How", "days": -5}},
    "tools-no-arguments": {"name": "now", "args": {}},
}
# The recorded prompts have no tools in them, so the body is not compared.
replayed: pytest.MarkDecorator = pytest.mark.vcr(match_on=["method", "path"])


def _each(*names: str) -> pytest.MarkDecorator:
    parameters = [
        pytest.param(name, method, marks=pytest.mark.default_cassette(f"tgi-3.3.7/{name}{end}"))
        for name in names
        for method, end in (("invoke", ".yaml"), ("stream", "-stream.yaml"))
    ]
    return pytest.mark.parametrize(("name", "method"), parameters)


@pytest.fixture
def bound() -> Any:
    chat = ChatDataCrunch(base_url="http://endpoint.invalid", model="llama-2-13b-chat")
    return chat.bind_tools(TOOLS, tool_choice="any")


@replayed
@_each(*CALLED)
async def test_a_recorded_call_is_read(bound: Any, call: Call, name: str, method: str) -> None:
    """A recorded call is read, and white space around it is not text."""
    made = await call(bound, method, "What is the weather in Helsinki tomorrow?")
    message = reduce(add, made) if method == "stream" else made
    (tool_call,) = message.tool_calls
    assert {name: tool_call[name] for name in ("name", "args")} == CALLED[name]
    assert (message.text, message.invalid_tool_calls) == ("", [])
    assert message.response_metadata["tgi_finish_reason"] == "eos_token"


@replayed
@_each("tools-cut")
async def test_a_recorded_answer_that_was_cut_says_what_to_raise(
    bound: Any, call: Call, name: str, method: str
) -> None:
    """If an answer was cut before the tool's name, the error says which limit to raise."""
    with pytest.raises(StructuredOutputError, match="Raise max_new_tokens") as caught:
        await call(bound, method, "What is the weather in Helsinki tomorrow?")
    assert caught.value.text == '{ "name"', name
