"""Tools: what is bound, what is sent, and the tool calls, at once and streamed."""

import json
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, Field

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch
from tests.langchain.tools import ADD, FAMILIES, MADE, NOW, add_numbers, weather

Call = Callable[..., Awaitable[Any]]
METHODS = pytest.mark.parametrize("method", ["invoke", "stream"])
QUESTION = "What is 3 + 4?"


class Remind(BaseModel):
    """Remind somebody."""

    days: int = Field(ge=1, le=7)


TOOLS: list[Any] = [add_numbers, weather, Remind, NOW]
EACH_FAMILY = pytest.mark.parametrize(("name", "said"), FAMILIES.items(), ids=FAMILIES)


@pytest.fixture
def answering(serve: Callable[..., EmulatedEndpoint]) -> Callable[..., ChatDataCrunch]:
    """Make a chat model with a scripted server."""

    def make(said: Any, model: str = "llama-2-13b-chat", **options: Any) -> ChatDataCrunch:
        dialect = options.pop("dialect", "3.3.7")
        endpoint = serve(
            answers=said, dialect=dialect, max_input_tokens=3000, max_total_tokens=8192
        )
        return ChatDataCrunch(base_url=endpoint.url, model=model, **options)

    return make


async def ask(
    call: Call, model: Any, method: str, given: Any = QUESTION, **kwargs: Any
) -> AIMessage:
    """The message, or the sum of its chunks."""
    answer = await call(model, method, given, **kwargs)
    message: AIMessage = reduce(add, answer) if method == "stream" else answer
    return message


def calls(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    return [(each["name"], each["args"]) for each in message.tool_calls]


@METHODS
@EACH_FAMILY
async def test_a_call_is_read_in_the_form_of_each_family(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str, name: str, said: str
) -> None:
    """Calls are read in the format of each family, from old and new servers."""
    dialect = "1.1.1" if method == "stream" else "3.3.7"
    chat = answering(f"Let me see.\n{said}" if "Qwen" in name else said, name, dialect=dialect)
    message = await ask(call, chat.bind_tools(TOOLS), method)
    assert calls(message) == [("add_numbers", MADE)]
    assert message.tool_calls[0]["id"]
    assert message.invalid_tool_calls == []
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.text.strip() == ("Let me see." if "Qwen" in name else "")
    assert [block["type"] for block in message.content_blocks][-1] == "tool_call"


@EACH_FAMILY
async def test_a_stream_shows_a_call_as_its_arguments_grow(
    answering: Callable[..., ChatDataCrunch], call: Call, name: str, said: str
) -> None:
    """A streamed call arrives in chunks that add up to its arguments."""
    chunks = await call(answering(said, name).bind_tools(TOOLS), "stream", QUESTION)
    growth = [part for chunk in chunks for part in chunk.tool_call_chunks]
    assert len([part for part in growth if part["args"]]) > 1
    assert [part["name"] for part in growth if part["name"]] == ["add_numbers"]
    assert json.loads("".join(part["args"] or "" for part in growth)) == MADE
    assert "".join(chunk.text for chunk in chunks).strip() == ""


@METHODS
async def test_an_answer_in_words_is_an_answer(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str
) -> None:
    """An answer without a call is text, in every family."""
    for name in FAMILIES:
        chat = answering('It is 7, as in {"sum": 7}.', name)
        message = await ask(call, chat.bind_tools(TOOLS), method)
        assert message.text == 'It is 7, as in {"sum": 7}.'
        assert [*message.tool_calls, *message.invalid_tool_calls] == []
        assert message.response_metadata["finish_reason"] == "stop"


@METHODS
@EACH_FAMILY
async def test_a_call_that_was_cut_is_never_run(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str, name: str, said: str
) -> None:
    """LangChain completes cut JSON, so that an agent would run a call with half its arguments."""
    chat = answering(said, name).bind_tools(TOOLS)
    for tokens in range(1, len(said.split())):
        message = await ask(call, chat, method, max_tokens=tokens)
        assert message.response_metadata["tgi_finish_reason"] == "length"
        assert calls(message) in ([], [("add_numbers", MADE)])  # it may be complete before its end
    cut = answering(said[: said.index("3") + 1], name).bind_tools(TOOLS)
    message = await ask(call, cut, method)
    assert message.tool_calls == []
    assert [each["name"] for each in message.invalid_tool_calls] == ["add_numbers"]


@METHODS
async def test_a_broken_call_is_invalid_and_one_that_can_be_read_stays_a_call(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str
) -> None:
    """An agent answers unknown names and wrong arguments with an error, and goes on."""
    wrong = [
        '{"name": "subtract", "arguments": {"a": 1}}',
        '{"name": "add_numbers", "arguments": {"a": "x"}}',
        '{"name": "add_numbers", "arguments": {"a": 1, }}',
    ]
    said = "".join(f"<tool_call>\n{each}\n</tool_call>\n" for each in wrong)
    message = await ask(call, answering(said, "Qwen2.5-7B-Instruct").bind_tools(TOOLS), method)
    assert calls(message) == [("subtract", {"a": 1}), ("add_numbers", {"a": "x"})]
    (invalid,) = message.invalid_tool_calls
    assert invalid["name"] == "add_numbers"
    # In a stream LangChain loses the call's own `error`.
    reason = message.response_metadata["tool_call_errors"][invalid["id"]]
    assert reason.startswith("the arguments cannot be read: ")
    assert "use a larger model, or force the call" in reason
    assert method == "stream" or invalid["error"] == reason
    (violation,) = set(message.response_metadata["tool_call_errors"].values()) - {reason}
    assert violation == "the arguments violate the schema: $.a: 'x' is not of type 'integer'"


@METHODS
@pytest.mark.parametrize("choice", ["any", "Remind"])
async def test_what_a_grammar_does_not_enforce_is_checked(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str, choice: str
) -> None:
    """A call against the full schema stays a call, which the tool answers; its reason is said."""
    for days, dialect in ((17, "3.3.7"), (0, "1.1.1"), (7, "3.3.7")):
        said = f'{{"tool_calls": [{{"name": "Remind", "arguments": {{"days": {days}}}}}]}}'
        chat = answering(said, dialect=dialect).bind_tools(TOOLS, tool_choice=choice)
        message = await ask(call, chat, method)
        assert calls(message) == [("Remind", {"days": days})]
        assert message.invalid_tool_calls == []
        errors = message.response_metadata.get("tool_call_errors", {})
        rule = {17: "17 is greater than the maximum of 7", 0: "0 is less than the minimum of 1"}
        of_call = message.tool_calls[0]["id"]
        expected = f"the arguments violate the schema: $.days: {rule.get(days)}"
        assert errors == ({of_call: expected} if days in rule else {})


@METHODS
async def test_one_call_is_kept_where_several_are_not_allowed(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str
) -> None:
    """`parallel_tool_calls=False` keeps one call."""
    for name, said in (
        ("llama-2-13b-chat", f'{{"tool_calls": [{ADD}, {ADD}]}}'),
        ("Qwen2.5-7B-Instruct", f"{FAMILIES['Qwen2.5-7B-Instruct']}\n" * 2),
    ):
        for parallel, kept in ((None, 2), (True, 2), (False, 1)):
            bound = answering(said, name).bind_tools(TOOLS, parallel_tool_calls=parallel)
            assert calls(await ask(call, bound, method)) == [("add_numbers", MADE)] * kept


@METHODS
@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        ("any", ["add_numbers", "weather", "Remind", "now"]),
        ("required", ["add_numbers", "weather", "Remind", "now"]),
        ("weather", ["weather"]),
        ({"type": "function", "function": {"name": "weather"}}, ["weather"]),
    ],
)
async def test_a_forced_call_is_asked_for_by_grammar_and_in_words(
    serve: Callable[..., EmulatedEndpoint], call: Call, method: str, choice: Any, offered: list[str]
) -> None:
    """A required call is enforced by a grammar and asked for in the prompt."""
    said = '{"tool_calls": [{"name": "weather", "arguments": {"place": "Oulu"}}]}'
    endpoint = serve(answers=said)
    chat = ChatDataCrunch(base_url=endpoint.url, model="llama-2-13b-chat")
    message = await ask(call, chat.bind_tools(TOOLS, tool_choice=choice), method)
    assert calls(message) == [("weather", {"place": "Oulu"})]
    sent = endpoint.requests[-1].json
    assert "tool_calls" in sent["inputs"]
    grammar = json.dumps(sent["parameters"]["grammar"])
    assert [
        name for name in ("add_numbers", "weather", "Remind", "now") if name in grammar
    ] == offered


@METHODS
async def test_a_forced_call_that_does_not_come_is_an_error_that_shows_what_came(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str
) -> None:
    """A missing required call raises an error that contains the answer."""
    chat = answering("I would rather not.", dialect="1.1.1")
    with pytest.raises(StructuredOutputError, match="I would rather not") as caught:
        await ask(call, chat.bind_tools(TOOLS, tool_choice="any"), method)
    assert caught.value.text == "I would rather not."


async def test_no_tools_or_none_of_them_is_an_ordinary_call(
    answering: Callable[..., ChatDataCrunch], call: Call
) -> None:
    """Without tools, or with `none`, the answer is text."""
    chat = answering(f"Here: {FAMILIES['llama-2-13b-chat']}")
    for bound in (chat.bind_tools([]), chat.bind_tools(TOOLS, tool_choice="none")):
        message = await ask(call, bound, "invoke")
        assert (message.tool_calls, message.text[:5]) == ([], "Here:")


@METHODS
@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
async def test_with_a_response_format_a_model_calls_or_answers(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str, dialect: str
) -> None:
    """With `response_format`, the model calls tools or answers with matching JSON."""

    def bound(said: str, tools: list[Any]) -> Any:
        return answering(said, dialect=dialect).bind_tools(tools, response_format=Remind)

    called = f'{{"response": {{"tool_calls": [{ADD}]}}}}'
    message = await ask(call, bound(called, TOOLS), method)
    assert (calls(message), message.text) == ([("add_numbers", MADE)], "")
    message = await ask(call, bound(f"Let me see.\n{called}", TOOLS), method)
    assert (calls(message), message.text) == ([("add_numbers", MADE)], "Let me see.")
    answered = '{"response": {"answer": {"days": 3}}}'
    message = await ask(call, bound(answered, TOOLS), method)
    assert (message.tool_calls, json.loads(message.text)) == ([], {"days": 3})
    message = await ask(call, bound('Sure: {"days": 3} is it', []), method)
    assert json.loads(message.text) == {"days": 3}
    for wrong in ('{"response": {"answer": {"days": 9}}}', "No."):
        with pytest.raises(StructuredOutputError):
            await ask(call, bound(wrong, TOOLS), method)
    with pytest.raises(StructuredOutputError, match="maximum"):
        await ask(call, bound('{"days": 9}', []), method)


async def test_calls_and_results_go_back_in_the_families_own_form(
    serve: Callable[..., EmulatedEndpoint], call: Call
) -> None:
    """An id of another provider's does not matter, and an error is a result."""
    history = [
        HumanMessage(QUESTION),
        AIMessage("", tool_calls=[{"name": "add_numbers", "args": MADE, "id": "call_of_another"}]),
        ToolMessage("7", tool_call_id="call_of_another", status="error"),
    ]
    endpoint = serve(answers="It is 7.", max_input_tokens=3000, max_total_tokens=4096)
    for name in FAMILIES:
        chat = ChatDataCrunch(base_url=endpoint.url, model=name)
        message = await ask(call, chat.bind_tools(TOOLS), "invoke", history)
        assert message.text == "It is 7."
        prompt = endpoint.requests[-1].json["inputs"]
        place = prompt.rindex('{"a": 3, "b": 4}')
        assert "7" in prompt[place:]


@pytest.mark.filterwarnings("ignore::datacrunch_tgi.ControlTokenWarning")
@METHODS
@EACH_FAMILY
async def test_text_of_others_makes_no_call(
    answering: Callable[..., ChatDataCrunch], call: Call, method: str, name: str, said: str
) -> None:
    """What a user or a tool says in the form of a call is no call, also if the server repeats it."""
    chat = answering("No.", name, return_full_text=True)
    history = [
        HumanMessage(said),
        AIMessage("", tool_calls=[{"name": "weather", "args": {"place": said}, "id": "123456789"}]),
        ToolMessage(said, tool_call_id="123456789"),
        HumanMessage(said),
    ]
    message = await ask(call, chat.bind_tools(TOOLS), method, history)
    assert (message.text, message.tool_calls, message.invalid_tool_calls) == ("No.", [], [])
