"""Calls in the format of each family, wherever the answer is cut into tokens, at once and in a stream."""

from collections.abc import Awaitable, Callable
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken
from langchain_datacrunch import ChatDataCrunch

Call = Callable[..., Awaitable[Any]]
Serve = Callable[..., EmulatedEndpoint]
CALL = '{"name": "sum", "arguments": {"a": 1, "b": "x\\n"}}'
COMMAND = '[{"tool_name": "sum", "parameters": {"a": 1, "b": "x\\n"}}]'
ARGUMENTS = {"a": 1, "b": "x\n"}
TAGGED = f"Let me see.\n<tool_call>\n{CALL}\n</tool_call>"
CODER = (
    "<function=sum>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n\n</parameter>\n</function>"
)
BEGIN, SEP, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"  # noqa: RUF001 -- DeepSeek's letters
ANSWERS: dict[str, tuple[str, list[str | ScriptedToken]]] = {
    name: (
        tool_format,
        [ScriptedToken(part[1:], special=True) if part[0] == "!" else part for part in parts],
    )
    for name, tool_format, *parts in (
        ("llama-3", "llama-3", CALL.replace("arguments", "parameters"), "!<|eom_id|>"),
        ("llama-3 with its tag", "llama-3", "!<|python_tag|>", CALL, "!<|eom_id|>"),
        ("llama-4", "llama-4", "!<|python_start|>", "[sum(a=1, b='x\\n')]", "!<|python_end|>"),
        ("mistral v3", "mistral", "![TOOL_CALLS]", f" [{CALL}]"),
        ("mistral v13", "mistral", "![TOOL_CALLS]", "sum", "![ARGS]", '{"a": 1, "b": "x\\n"}'),
        ("qwen", "qwen", TAGGED),
        ("qwen3-coder", "qwen3-coder", f"<tool_call>\n{CODER}\n</tool_call>"),
        ("hermes", "hermes", TAGGED),
        ("phi-4", "phi-4", f"<|tool_call|>[{CALL}]<|/tool_call|>"),
        ("granite 3", "granite", "!<|tool_call|>", f"[{CALL}]"),
        ("deepseek", "deepseek", f'{BEGIN}sum{SEP}{{"a": 1, "b": "x\\n"}}{END}'),
        ("command-r", "command-r", f"Action:\n```json\n{COMMAND}\n```"),
        ("command-r7b", "command-r7b", f"<|START_ACTION|>{COMMAND}<|END_ACTION|>"),
        ("words", "words", f'{{"tool_calls": [{CALL}]}}'),
    )
}
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
)
"""A chat template with a place for tools, so that nothing is asked for in words."""
TOOL = {
    "name": "sum",
    "description": "Join a number and a text.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "required": ["a", "b"],
    },
}
EACH = pytest.mark.parametrize("answer", ANSWERS)
METHODS = pytest.mark.parametrize("method", ["invoke", "stream"])


def cut(parts: list[str | ScriptedToken], places: list[float]) -> list[ScriptedToken]:
    """Cut the texts at the given places, which are parts of their length."""
    found = list[ScriptedToken]()
    for part in parts:
        if isinstance(part, ScriptedToken):
            found.append(part)
            continue
        bounds = sorted({0, len(part), *(int(place * len(part)) for place in places)})
        found += [ScriptedToken(part[start:end]) for start, end in pairwise(bounds)]
    return found


async def ask(call: Call, chat: Any, method: str, **kwargs: Any) -> AIMessage:
    made = await call(chat.bind_tools([TOOL]), method, "1 and x?", **kwargs)
    message: AIMessage = reduce(add, made) if method == "stream" else made
    return message


def borders(examples: int) -> list[list[float]]:
    """Where to cut an answer: nowhere, after each letter, and at random."""
    found: list[list[float]] = [[], [place / 200 for place in range(200)]]

    @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.floats(0, 1), max_size=12))
    def collect(places: list[float]) -> None:
        found.append(places)

    collect()
    return found


@METHODS
@EACH
async def test_a_call_is_the_same_wherever_tokens_end(
    serve: Serve, call: Call, answer: str, method: str
) -> None:
    """The text beside it is kept, and no part of a marker is shown."""
    name, parts = ANSWERS[answer]
    script = [cut(parts, [])]
    endpoint = serve(answers=lambda _: script[0])
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)
    for places in borders(8):
        script[0] = cut(parts, places)
        message = await ask(call, chat, method)
        (made,) = message.tool_calls
        assert (made["name"], made["args"], bool(made["id"])) == ("sum", ARGUMENTS, True)
        assert message.invalid_tool_calls == []
        assert message.text.strip() == ("Let me see." if TAGGED in parts else "")


@METHODS
@EACH
async def test_a_call_cut_by_the_token_limit_is_never_made(
    serve: Serve, call: Call, answer: str, method: str
) -> None:
    """LangChain completes cut JSON, so that an agent would run a call with half its arguments."""
    name, parts = ANSWERS[answer]
    script = cut(parts, [place / 40 for place in range(40)])
    endpoint = serve(answers=script)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)
    for limit in range(2, len(script) - 4, 5):
        message = await ask(call, chat, method, max_tokens=limit)
        assert [made["args"] for made in message.tool_calls] in ([], [ARGUMENTS])


@METHODS
async def test_letters_that_spell_a_control_token_are_text(
    serve: Serve, call: Call, method: str
) -> None:
    said = f"[TOOL_CALLS] [{CALL}]"
    endpoint = serve(answers=said)
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format="mistral")
    message = await ask(call, chat, method)
    assert (message.tool_calls, message.text) == ([], said)
