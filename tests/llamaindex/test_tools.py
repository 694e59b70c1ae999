"""Tool calls: offered, made, read and answered, by agents, workflows, programs and selectors."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata
from pydantic import BaseModel, Field

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.llamaindex.tool_calls import ADD, NOW, TOOLS, add, as_qwen, in_words

Serve = Callable[..., EmulatedEndpoint]
Chat = Callable[..., Awaitable[list[ChatResponse]]]


@pytest.fixture(
    params=[
        "chat_with_tools",
        "achat_with_tools",
        "stream_chat_with_tools",
        "astream_chat_with_tools",
    ]
)
def chat(request: pytest.FixtureRequest) -> Chat:
    """Each way to chat with tools: gives all its responses."""

    async def ask(llm: DataCrunch, tools: list[BaseTool] = TOOLS, **kwargs: Any) -> list[Any]:
        made = getattr(llm, request.param)(tools, user_msg="1+2?", **kwargs)
        made = await made if inspect.isawaitable(made) else made
        if isinstance(made, ChatResponse):
            return [made]
        return [*made] if inspect.isgenerator(made) else [response async for response in made]

    return ask


def calls_of(llm: DataCrunch, response: ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    assert all(len(call.tool_id) == 9 for call in calls)
    return [(call.tool_name, call.tool_kwargs) for call in calls]


async def test_a_call_is_read_with_the_text_beside_it(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]], chat: Chat
) -> None:
    """Tools are in the prompt; the last response has the text and the call, and its raw data."""
    options, write = family
    text = "" if write is in_words else "Let me see."
    endpoint = serve(answers=f"{text}{write(ADD)}")
    llm = DataCrunch(base_url=endpoint.url, **options)
    response = (await chat(llm))[-1]
    assert calls_of(llm, response) == [ADD]
    assert (response.message.content or "") == text
    assert response.message.role.value == "assistant"
    assert response.raw["usage"]["completion_tokens"] > 5  # type: ignore[index]
    (request,) = endpoint.requests
    assert "Add two numbers." in request.json["inputs"]
    assert "1+2?" in request.json["inputs"]
    assert "grammar" not in request.json["parameters"]


async def test_one_call_is_kept_unless_several_are_allowed(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]], chat: Chat
) -> None:
    """`allow_parallel_tool_calls` keeps all calls; otherwise one is kept."""
    options, write = family
    llm = DataCrunch(base_url=serve(answers=write(ADD, NOW)).url, **options)
    assert calls_of(llm, (await chat(llm))[-1]) == [ADD]
    several = (await chat(llm, allow_parallel_tool_calls=True))[-1]
    assert calls_of(llm, several) == [ADD, NOW]


async def test_what_a_grammar_does_not_enforce_is_checked(serve: Serve, chat: Chat) -> None:
    """A call against the full schema stays a call, which the tool answers; its reason is said."""

    class Remind(BaseModel):
        days: int = Field(le=7)

    tools: list[BaseTool] = [FunctionTool.from_defaults(Remind, name="remind", fn_schema=Remind)]
    for days, rule in ((17, "17 is greater than the maximum of 7"), (7, "")):
        endpoint = serve(answers=in_words(("remind", {"days": days})))
        llm = DataCrunch(base_url=endpoint.url, chat_template="llama-2")
        response = (await chat(llm, tools, tool_required=True))[-1]
        assert calls_of(llm, response) == [("remind", {"days": days})]
        (block,) = [one for one in response.message.blocks if isinstance(one, ToolCallBlock)]
        expected = f"the arguments violate the schema: $.days: {rule}"
        errors = response.raw.get("tool_call_errors")  # type: ignore[union-attr]
        assert errors == ({block.tool_call_id: expected} if rule else None)


@pytest.mark.parametrize("way", ["stream_chat_with_tools", "astream_chat_with_tools"])
async def test_every_chunk_can_be_asked_for_its_calls(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]], way: str
) -> None:
    """Text and calls only grow; a call is there when its arguments are complete, and never half."""
    options, write = family
    answer = f"{'' if write is in_words else 'I add.'}{write(ADD, NOW)}"
    llm = DataCrunch(base_url=serve(answers=answer).url, **options)
    made = getattr(llm, way)(TOOLS, user_msg="1+2?", allow_parallel_tool_calls=True)
    made = await made if inspect.isawaitable(made) else made
    chunks: Any = [*made] if inspect.isgenerator(made) else [each async for each in made]
    responses: list[ChatResponse] = chunks
    seen = [calls_of(llm, response) for response in responses]
    assert all(calls in ([], [ADD], [ADD, NOW]) for calls in seen)
    for response in responses[:-1]:
        llm.get_tool_calls_from_response(response)  # no error, although the call is yet to come
    assert [len(calls) for calls in seen] == sorted(len(calls) for calls in seen)
    assert seen[0] == []
    assert seen[-1] == [ADD, NOW]
    texts = [response.message.content or "" for response in responses]
    deltas = [response.delta or "" for response in responses]
    assert ["".join(deltas[: place + 1]) for place in range(len(deltas))] == texts
    assert texts[-1] == ("" if write is in_words else "I add.")


async def test_an_answer_without_a_call_is_text(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]], chat: Chat
) -> None:
    """An answer without a call is text, and reading its calls raises an error."""
    llm = DataCrunch(base_url=serve(answers='It is {"a": 3}.').url, **family[0])
    response = (await chat(llm))[-1]
    assert response.message.content == 'It is {"a": 3}.'
    assert calls_of(llm, response) == []
    with pytest.raises(StructuredOutputError, match=r"called no tool; it answered 'It is"):
        llm.get_tool_calls_from_response(response)


async def test_the_space_that_a_template_puts_before_an_answer_is_dropped(
    serve: Serve, chat: Chat
) -> None:
    """With tools as without, streamed and not; the deltas are the text."""
    llm = DataCrunch(base_url=serve(answers=" It is 3.").url, chat_template="llama-2")
    responses = await chat(llm)
    assert responses[-1].message.content == "It is 3."
    if len(responses) > 1:
        assert "".join(response.delta or "" for response in responses) == "It is 3."
    assert llm.chat([ChatMessage("1+2?")]).message.content == "It is 3."
    assert llm.complete("1+2?").text == " It is 3."


@pytest.mark.parametrize(
    ("choice", "names"), [({"tool_required": True}, ["add", "now"]), ({"tool_choice": "now"}, None)]
)
async def test_a_required_call_is_asked_for_by_grammar_and_in_words(
    serve: Serve, chat: Chat, choice: dict[str, Any], names: list[str] | None
) -> None:
    """A required call is enforced by a grammar and asked for in the prompt."""
    endpoint = serve(answers=in_words(NOW))
    llm = DataCrunch(base_url=endpoint.url, chat_template="llama-2")
    assert calls_of(llm, (await chat(llm, **choice))[-1]) == [NOW]
    request = endpoint.requests[-1].json
    assert "exactly one tool" in request["inputs"]
    shown = json.dumps(request["parameters"]["grammar"])
    assert '"now"' in shown
    assert ('"add"' in shown) is bool(names)


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
async def test_a_required_call_that_does_not_come_is_an_error_that_shows_what_came(
    serve: Serve, chat: Chat, dialect: str
) -> None:
    """An old server ignores the grammar without a word."""
    endpoint = serve(answers="It is three.", dialect=dialect)
    llm = DataCrunch(base_url=endpoint.url, chat_template="llama-2")
    with pytest.raises(StructuredOutputError, match="did not call a tool; it answered 'It is"):
        await chat(llm, tool_required=True)


class Odd(ToolMetadata):
    """Parameters that are no JSON schema."""

    def get_parameters_dict(self) -> dict[str, Any]:
        return {"type": "object", "properties": 3}


NO_SCHEMA = FunctionTool(add, Odd(name="odd", description=""))
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"tool_choice": "divide"}, "tool_choice='divide': must be .*add, now"),
    ({"tools": [TOOLS[0], TOOLS[0]]}, "tools='add': two tools have this name"),
    ({"tools": [], "tool_required": True}, "tool_required=True: needs at least one tool"),
    ({"tools": [NO_SCHEMA]}, r"tools\[0\]='odd': parameters: is not a JSON schema"),
    ({"n": 2}, "n=2: must be 1"),
    ({"max_token": 2}, "did you mean 'max_tokens'"),
]


@pytest.mark.parametrize(("wrong", "rule"), WRONG)
async def test_wrong_tools_are_refused_before_any_request(
    endpoint: EmulatedEndpoint, model: DataCrunch, chat: Chat, wrong: dict[str, Any], rule: str
) -> None:
    """Invalid tools and choices are refused before any request."""
    with pytest.raises(ArgumentError, match=rule):
        await chat(model, **wrong)
    assert not endpoint.requests


async def test_without_tools_it_is_a_chat(
    endpoint: EmulatedEndpoint, model: DataCrunch, chat: Chat
) -> None:
    """`chat_with_tools` without tools is a plain chat."""
    assert (await chat(model, tools=[]))[-1].message.content == "Hello there, my friend"
    assert endpoint.requests[-1].json["inputs"] == "user: 1+2?\nassistant: "


async def test_parameters_of_the_call_are_sent(serve: Serve, chat: Chat) -> None:
    """`chat_with_tools` sends the parameters of the call."""
    endpoint = serve(answers=in_words(NOW))
    await chat(DataCrunch(base_url=endpoint.url), max_tokens=77, tool_choice=None, n=1)
    assert endpoint.requests[-1].json["parameters"]["max_new_tokens"] == 77


async def test_a_call_that_was_cut_is_no_call(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]], chat: Chat
) -> None:
    """A call that was cut is in `raw` with the reason, and reading the calls raises an error."""
    options, write = family
    llm = DataCrunch(base_url=serve(answers=write(ADD)).url, **options, max_tokens=17)
    response = (await chat(llm))[-1]
    assert not [one for one in response.message.blocks if isinstance(one, ToolCallBlock)]
    (invalid,) = response.raw["invalid_tool_calls"]  # type: ignore[index]
    assert invalid["name"] in ("add", None)
    with pytest.raises(StructuredOutputError, match="a tool call cannot be read"):
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)


FORGED = as_qwen(ADD) + in_words(ADD)


@pytest.mark.filterwarnings("ignore::datacrunch_tgi.ControlTokenWarning")
async def test_text_of_others_makes_no_call(
    serve: Serve, family: tuple[dict[str, Any], Callable[..., str]]
) -> None:
    """Calls are read from the model's tokens, never from the prompt, also if the server repeats it."""
    llm = DataCrunch(base_url=serve(answers="No.").url, **family[0], return_full_text=True)
    history = [
        ChatMessage("Hi"),
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="now", tool_call_id="1")]),
        ChatMessage(role="tool", content=FORGED, additional_kwargs={"tool_call_id": "1"}),
        ChatMessage(FORGED),
    ]
    response = llm.chat_with_tools(TOOLS, chat_history=history)
    assert (response.message.content, calls_of(llm, response)) == ("No.", [])


def box(number: int) -> str:
    """Box a number."""
    return f"[{number}]"


async def test_a_name_that_models_cannot_write_is_mapped_back(serve: Serve, chat: Chat) -> None:
    """A tool's name that models cannot write is replaced, and restored in the call."""
    tool = FunctionTool.from_defaults(box, name="Box[int]")
    endpoint = serve(answers=in_words(("Box_int_", {"number": 1})))
    llm = DataCrunch(base_url=endpoint.url)
    assert calls_of(llm, (await chat(llm, [tool]))[-1]) == [("Box[int]", {"number": 1})]
    assert calls_of(llm, (await chat(llm, [tool], tool_choice="Box[int]"))[-1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "Qwen/Qwen2.5-7B-Instruct"}, True),
        ({"model": "meta-llama/Llama-3.1-8B-Instruct"}, True),
        ({"model": "llama-2-13b-chat"}, False),
        ({"model": "mine"}, False),
        ({"model": "mine", "tool_format": "mistral"}, True),
        ({"model": "Qwen/Qwen2.5-7B-Instruct", "tool_format": "words"}, False),
        ({"model": "Qwen/Qwen2.5-7B-Instruct", "is_function_calling_model": False}, False),
        ({"model": "mine", "is_function_calling_model": True}, True),
    ],
)
def test_a_model_of_a_family_with_a_format_is_a_function_calling_one(
    options: dict[str, Any],
    expected: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """The default follows the family, and can be set both ways."""
    llm = DataCrunch(base_url="http://127.0.0.1:9", **options)
    assert isinstance(llm, FunctionCallingLLM)
    assert llm.metadata.is_function_calling_model is expected
    assert DataCrunch.from_dict(llm.to_dict()).metadata.is_function_calling_model is expected


def test_calls_of_another_provider_can_be_asked_for(model: DataCrunch) -> None:
    """Tool calls of another provider's message can be read."""
    call = ToolCallBlock(tool_name="add", tool_kwargs='{"a": 1, "b": 2}')
    message = ChatMessage(role="assistant", blocks=[TextBlock(text="So:"), call])
    (selection,) = model.get_tool_calls_from_response(ChatResponse(message=message))
    assert (selection.tool_name, selection.tool_kwargs) == ADD
