"""Calls in the format of each family, wherever the answer is cut into tokens, at once and in a stream."""

import json
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken
from langchain_datacrunch import ChatDataCrunch
from langchain_datacrunch._tools import _spoil
from tests.conftest import CUTS

Call = Callable[..., Awaitable[Any]]
Serve = Callable[..., EmulatedEndpoint]
ARGUMENTS = {"a": 1, "b": "x\n"}
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
)
"""A chat template with a place for tools, so that nothing is asked for in words."""
THINKING = TEMPLATE + "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
TOOL = {
    "name": "sum",
    "description": "Join a number and a text.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "required": ["a", "b"],
    },
}
METHODS = pytest.mark.parametrize("method", ["invoke", "stream"])


async def ask(call: Call, chat: Any, method: str, **kwargs: Any) -> AIMessage:
    made = await call(chat.bind_tools([TOOL]), method, "1 and x?", **kwargs)
    message: AIMessage = reduce(add, made) if method == "stream" else made
    return message


@METHODS
async def test_a_call_is_the_same_wherever_tokens_end(
    serve: Serve, call: Call, tool_answer: Any, method: str
) -> None:
    """The text beside it is kept, and no part of a marker is shown."""
    endpoint = serve(answers=[tool_answer.tokens(places, before) for places, before in CUTS])
    name = tool_answer.tool_format
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)
    for _, before in CUTS:
        message = await ask(call, chat, method)
        (made,) = message.tool_calls
        assert (made["name"], made["args"], bool(made["id"])) == ("sum", ARGUMENTS, True)
        assert message.invalid_tool_calls == []
        assert message.text == before.strip()


@METHODS
async def test_a_call_cut_by_the_token_limit_is_never_made(
    serve: Serve, call: Call, tool_answer: Any, method: str
) -> None:
    """LangChain completes cut JSON, so that an agent would run a call with half its arguments."""
    script = tool_answer.tokens([place / 40 for place in range(40)])
    endpoint = serve(answers=script)
    name = tool_answer.tool_format
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)
    for limit in range(2, len(script) - 4, 13):
        message = await ask(call, chat, method, max_tokens=limit)
        assert [made["args"] for made in message.tool_calls] in ([], [ARGUMENTS])


@given(
    st.dictionaries(
        st.text(max_size=3), st.recursive(st.text() | st.integers(), st.lists, max_leaves=8)
    ),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_arguments_cut_anywhere_are_never_completed(
    arguments: dict[str, Any], sent: float, cut: float
) -> None:
    """Arguments that were cut are invalid, whatever a stream showed before."""
    text = json.dumps(arguments)
    text = text[: int(cut * len(text))]
    shown = text[: int(sent * len(text))]
    parts = [shown, _spoil(shown, text)]
    chunks = [
        AIMessageChunk(
            content="", tool_call_chunks=[tool_call_chunk(name=n, args=part, id=n, index=0)]
        )
        for n, part in zip(("f", None), parts, strict=True)
    ]
    message: Any = chunks[0] + chunks[1]
    assert (len(message.tool_calls), len(message.invalid_tool_calls)) == (0, 1)


@METHODS
async def test_a_call_that_the_model_only_thinks_of_is_none(
    serve: Serve, call: Call, tool_answer: Any, method: str
) -> None:
    """In reasoning that the prompt begins, or the answer; the call behind it is made."""
    quoted = [token for token in tool_answer.tokens() if token.text != "<|eom_id|>"]
    end = ScriptedToken("\n</think>\n\n")
    starts = {THINKING: [], TEMPLATE: [ScriptedToken("<think>\n")]}
    thoughts = [[*start, *quoted, end] for start in starts.values()]
    endpoint = serve(
        answers=[[*each, *last] for each in thoughts for last in ([ScriptedToken("No.")], quoted)]
    )
    for template in starts:
        chat = ChatDataCrunch(
            base_url=endpoint.url, chat_template=template, tool_format=tool_answer.tool_format
        )
        message = await ask(call, chat, method)
        assert (message.tool_calls, message.invalid_tool_calls) == ([], [])
        assert message.text.endswith("</think>\n\nNo.")
        assert [each["args"] for each in (await ask(call, chat, method)).tool_calls] == [ARGUMENTS]


async def test_a_grammar_ends_the_reasoning_that_a_prompt_begins(serve: Serve, call: Call) -> None:
    """Under a grammar, the reasoning that the prompt starts is closed."""
    said = '{"tool_calls": [{"name": "sum", "arguments": {"a": 1, "b": "x\\n"}}]}'
    endpoint = serve(answers=said)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=THINKING, tool_format="qwen")
    message = await call(chat.bind_tools([TOOL], tool_choice="any"), "invoke", "1 and x?")
    assert message.tool_calls[0]["args"] == ARGUMENTS
    assert endpoint.requests[-1].json["inputs"].endswith("<think>\n\n</think>\n\n")


async def test_a_model_that_may_think_does_not_under_a_grammar(serve: Serve, call: Call) -> None:
    """Qwen 3's template is asked for no reasoning; without a grammar it may come."""
    endpoint = serve(
        answers='{"tool_calls": [{"name": "sum", "arguments": {"a": 1, "b": "x"}}]}',
        max_input_tokens=900,
        max_total_tokens=2000,
    )
    chat = ChatDataCrunch(base_url=endpoint.url, model="Qwen/Qwen3-8B")
    for choice, end in (("any", "assistant\n<think>\n\n</think>\n\n"), ("auto", "assistant\n")):
        await call(chat.bind_tools([TOOL], tool_choice=choice), "invoke", "1 and x?")
        assert endpoint.requests[-1].json["inputs"].endswith(end)


async def test_a_log_says_which_template_would_let_a_model_call_in_its_own_form(
    serve: Serve, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """If its family has a form, but the template no place for tools."""
    endpoint = serve(answers="No.", max_input_tokens=900, max_total_tokens=2000)
    models: dict[tuple[str, str | None], bool] = {
        ("Qwen/Qwen3-8B", "zephyr"): True,
        ("CohereForAI/c4ai-command-r7b-12-2024", "chatml"): True,
        ("Qwen/Qwen3-8B", None): False,
        ("llama-2-13b-chat", None): False,
    }
    for (model, template), logged in models.items():
        chat = ChatDataCrunch(base_url=endpoint.url, model=model, chat_template=template)
        caplog.clear()
        with caplog.at_level("INFO", "datacrunch_tgi"):
            await call(chat.bind_tools([TOOL]), "invoke", "1 and x?")
        assert ("pass the model's own as chat_template" in caplog.text) == logged
        assert "1 and x?" not in caplog.text


async def test_a_structured_answer_by_grammar_has_no_reasoning(serve: Serve, call: Call) -> None:
    """What the prompt begins is ended; asked in words only, the model may think first."""
    said = 'There is 2. </think>{"a": 1}'
    endpoint = serve(answers=said)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=THINKING)
    ends: dict[Any, str] = {
        "json_schema": "<think>\n\n</think>\n\n",
        "json_mode": "assistant: <think>\n",
    }
    for by, end in ends.items():
        schema = {"title": "A", "type": "object", "properties": {"a": {"type": "integer"}}}
        chain = chat.with_structured_output(schema, method=by)
        for method in ("invoke", "stream"):
            answer = await call(chain, method, "1 or 2?")
            assert (answer[-1] if method == "stream" else answer) == {"a": 1}
            assert endpoint.requests[-1].json["inputs"].endswith(end)
    await call(chat.bind(grammar={"type": "regex", "value": "x</think>y"}), "invoke", "Think!")
    assert endpoint.requests[-1].json["inputs"].endswith("<think>\n"), "a regex may want it"


@METHODS
async def test_letters_that_spell_a_control_token_are_text(
    serve: Serve, call: Call, method: str
) -> None:
    """Text that spells a control token is not read as a call."""
    said = '[TOOL_CALLS] [{"name": "sum", "arguments": {"a": 1, "b": "x"}}]'
    endpoint = serve(answers=said)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format="mistral")
    message = await ask(call, chat, method)
    assert (message.tool_calls, message.text) == ([], said)
