"""What a real server said under grammars for tools, replayed to an LLM with tools."""

import inspect

import pytest
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.tools import BaseTool, FunctionTool

from datacrunch_tgi import StructuredOutputError
from llamaindex_datacrunch import DataCrunch


def get_weather(city: str, days: int) -> str:
    """Return the weather."""
    return f"{city} {days}"


def now() -> str:
    """Return the time."""
    return "noon"


TOOLS: list[BaseTool] = [FunctionTool.from_defaults(get_weather), FunctionTool.from_defaults(now)]
CALLED = {
    "tools-any-of": ("get_weather", {"city": " documents g", "days": -5}),
    "tools-calls": ("get_weather", {"city": ". Hello! How", "days": -5}),
    "tools-no-arguments": ("now", {}),
}
WAYS = {
    "chat_with_tools": ".yaml",
    "achat_with_tools": ".yaml",
    "stream_chat_with_tools": "-stream.yaml",
    "astream_chat_with_tools": "-stream.yaml",
}
# The recorded prompts have no tools in them, so the body is not compared.
replayed: pytest.MarkDecorator = pytest.mark.vcr(match_on=["method", "path"])


def _each(*names: str) -> pytest.MarkDecorator:
    parameters = [
        pytest.param(name, way, marks=pytest.mark.default_cassette(f"tgi-3.3.7/{name}{end}"))
        for name in names
        for way, end in WAYS.items()
    ]
    return pytest.mark.parametrize(("name", "way"), parameters)


@pytest.fixture
def llm() -> DataCrunch:
    return DataCrunch(base_url="http://endpoint.invalid", model="llama-2-13b-chat")


async def last_of(llm: DataCrunch, way: str) -> ChatResponse:
    made = getattr(llm, way)(TOOLS, user_msg="What is the weather?", tool_required=True)
    made = await made if inspect.isawaitable(made) else made
    if inspect.isgenerator(made):
        made = [*made][-1]
    elif inspect.isasyncgen(made):
        made = [each async for each in made][-1]
    response: ChatResponse = made
    return response


@replayed
@_each(*CALLED)
async def test_a_recorded_call_is_read(llm: DataCrunch, name: str, way: str) -> None:
    """A recorded call is read, and white space around it is not text."""
    response = await last_of(llm, way)
    (call,) = llm.get_tool_calls_from_response(response)
    assert (call.tool_name, call.tool_kwargs) == CALLED[name]
    assert not response.message.content


@replayed
@_each("tools-cut")
async def test_a_recorded_answer_that_was_cut_says_what_to_raise(
    llm: DataCrunch, name: str, way: str
) -> None:
    """If an answer was cut before the tool's name, the error says which limit to raise."""
    with pytest.raises(StructuredOutputError, match="Raise max_new_tokens") as caught:
        await last_of(llm, way)
    assert caught.value.text == '{ "name"', name
