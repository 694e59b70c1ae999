"""What `bind_tools` takes, refuses and binds, and what follows from it for caches and counts."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableBinding
from pydantic import BaseModel

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch
from tests.langchain.tools import FAMILIES, MADE, NOW, add_numbers, weather

Call = Callable[..., Awaitable[Any]]
METHODS = pytest.mark.parametrize("method", ["invoke", "stream"])
MODEL = "llama-2-13b-chat"
QUESTION = "What is 3 + 4?"


class Remind(BaseModel):
    """Remind somebody."""

    days: int


TOOLS: list[Any] = [add_numbers, weather, Remind, NOW]


def test_what_is_bound_is_plain_data() -> None:
    """Tracers record it, and LangGraph reads the tools of an already bound model."""
    chat = ChatDataCrunch(base_url="http://127.0.0.1:9", model=MODEL)
    bound: Any = chat.bind_tools(
        TOOLS, tool_choice="any", parallel_tool_calls=False, response_format=None, temperature=0
    )
    assert isinstance(bound, RunnableBinding)
    kwargs = json.loads(json.dumps(bound.kwargs))
    names = [each["function"]["name"] for each in kwargs.pop("tools")]
    assert names == ["add_numbers", "weather", "Remind", "now"]
    assert kwargs == {"tool_choice": "any", "parallel_tool_calls": False, "temperature": 0}


def test_what_has_no_json_schema_is_refused() -> None:
    """As a tool and as the schema of an answer, whatever LangChain or Pydantic raise."""

    def of_a_type(kind: type) -> None:
        """A parameter without a JSON schema."""

    chat = ChatDataCrunch(base_url="http://127.0.0.1:9", model=MODEL)
    wrong: list[Any] = [of_a_type, partial(add_numbers), 3, {"toolSpec": {"name": "f"}}]
    for given in wrong:
        with pytest.raises(ArgumentError, match=r"tools\[1\]: is not a tool"):
            chat.bind_tools([weather, given])
        with pytest.raises(ArgumentError, match=r"schema.*: has no JSON schema"):
            chat.with_structured_output(given)


@pytest.mark.parametrize("model", [*FAMILIES, "Qwen3-Coder-30B-A3B-Instruct"])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"type": "object", "additionalProperties": {"type": ["null", "object"]}},
        True,
        {},
    ],
    ids=str,
)
async def test_tools_with_any_schema_are_offered(serve: Any, model: str, schema: Any) -> None:
    """Also without a description; the call is read in the form that the prompt asks for."""
    endpoint = serve(answers="Sure.", max_input_tokens=4000, max_total_tokens=5000)
    chat = ChatDataCrunch(base_url=endpoint.url, model=model)
    parameters = {"type": "object", "properties": {"some_value": schema}}
    tool = {"type": "function", "function": {"name": "use_it", "parameters": parameters}}
    assert chat.bind_tools([tool]).invoke("Hi").text == "Sure."
    prompt = endpoint.requests[-1].json["inputs"]
    assert "use_it" in prompt
    assert "some_value" in prompt
    assert "You can call these tools" not in prompt or model == "llama-2-13b-chat"


def test_tools_that_a_template_cannot_render_are_described_in_words(serve: Any) -> None:
    """The call is asked for as JSON, and read as such."""
    template = (
        "{% for tool in tools or [] %}{{ tool.function.name }}{{ tool.function.description }}"
        "{% for schema in tool.function.parameters.properties.values() %}"
        "{{ schema.description.strip() }}{% endfor %}{% endfor %}<tool_call>"
        "{% for message in messages %}{{ message.content }}{% endfor %}"
    )
    endpoint = serve(answers='{"tool_calls": [{"name": "now", "arguments": {"zone": "x"}}]}')
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=template)
    zones: list[tuple[Any, bool]] = [({"description": "A zone."}, False), ({}, True)]
    for zone, in_words in zones:
        tool = NOW | {"parameters": {"type": "object", "properties": {"zone": zone}}}
        message = chat.bind_tools([tool]).invoke("When?")
        assert [call["args"] for call in message.tool_calls] == [{"zone": "x"}] * in_words
        prompt = endpoint.requests[-1].json["inputs"]
        assert ("You can call these tools" in prompt) is in_words


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"tools": [add_numbers, add_numbers]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, r"tools\[0\]"),
        (
            {"tools": [{"name": "f", "description": "", "parameters": {"type": "array"}}]},
            r"tools\[0\]",
        ),
        (
            {"tools": [{"name": "f", "description": "", "parameters": {"properties": 3}}]},
            r"tools\[0\]='f': parameters: is not a JSON schema",
        ),
        ({"tools": TOOLS, "tool_choice": "subtract"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "any", "response_format": Remind}, "tool_choice"),
        ({"tools": [], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [], "response_format": {"type": "json_schema"}}, "response_format"),
        ({"tools": [], "response_format": 7}, "response_format"),
        ({"tools": [7]}, r"tools\[0\]"),
        ({"tools": TOOLS, "parallel_tool_calls": "no"}, "parallel_tool_calls='no': must be True"),
    ],
)
@METHODS
async def test_bad_input_is_refused_before_any_request(
    serve: Callable[..., EmulatedEndpoint],
    call: Call,
    method: str,
    arguments: dict[str, Any],
    field: str,
) -> None:
    """Invalid tools and choices are refused before any request."""
    endpoint = serve(answers="")
    chat = ChatDataCrunch(base_url=endpoint.url, model=MODEL)
    with pytest.raises(ArgumentError, match=f"^{field}"):
        await call(chat.bind_tools(**arguments), method, QUESTION)
    assert not endpoint.requests


async def test_the_cache_distinguishes_tools(
    serve: Callable[..., EmulatedEndpoint], call: Call
) -> None:
    """Tools are part of the cache key."""
    endpoint = serve(answers="Fine")
    chat = ChatDataCrunch(base_url=endpoint.url, model=MODEL, cache=InMemoryCache())
    for _ in range(2):
        for tools in ([], [weather], [add_numbers]):
            await call(chat.bind_tools(tools), "invoke", QUESTION)
    assert len(endpoint.requests) == 3


def test_the_tools_part_of_a_prompt_is_counted() -> None:
    """Tokens of tools are counted with the messages."""
    chat = ChatDataCrunch(base_url="http://127.0.0.1:9", model=MODEL, tokenizer=str.split)
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    counts = [chat.get_num_tokens_from_messages(messages, tools=tools) for tools in ([], TOOLS)]
    assert counts[0] < counts[1]


@pytest.mark.parametrize(("dialect", "sent"), [("1.1.1", False), ("3.3.7", True)])
async def test_a_server_that_is_known_to_be_old_gets_no_grammar(
    serve: Callable[..., EmulatedEndpoint],
    call: Call,
    dialect: str,
    sent: bool,  # noqa: FBT001 -- pytest passes it by name
) -> None:
    """After `/info` was read for the model's name, no grammar is sent to a server before TGI 1.4."""
    said = FAMILIES["llama-2-13b-chat"]
    for model, asked in (("tgi", sent), ("llama-2-13b-chat", True)):
        endpoint = serve(answers=said, dialect=dialect, model_id="llama-2-13b-chat")
        chat = ChatDataCrunch(base_url=endpoint.url, model=model)
        message = await call(chat.bind_tools(TOOLS, tool_choice="any"), "invoke", QUESTION)
        assert [each["args"] for each in message.tool_calls] == [MADE]
        request = endpoint.requests[-1].json
        assert ("grammar" in request["parameters"]) is asked
        assert "Call one or more tools" in request["inputs"]
