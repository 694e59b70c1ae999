"""Calls in the format of each family, wherever the answer is cut into tokens, in all four ways to ask."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.tools import BaseTool, FunctionTool

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken
from llamaindex_datacrunch import DataCrunch

Serve = Callable[..., EmulatedEndpoint]
Part = str | tuple[str]
"""Text, or in a tuple one control token."""

CALL = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
LLAMA = CALL.replace("arguments", "parameters")
COMMAND = '[{"tool_name": "add", "parameters": {"a": 1, "b": 2}}]'
CODER = (
    "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>"
)
ARGUMENTS = '{"a": 1, "b": 2}'
TAGGED = f"<tool_call>\n{CALL}\n</tool_call>"
BEGIN, SEP, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"  # noqa: RUF001 -- DeepSeek's letters
ANSWERS: dict[str, tuple[str, list[Part]]] = {
    "llama-3": ("llama-3", [LLAMA, ("<|eom_id|>",)]),
    "llama-3 with its tag": ("llama-3", [("<|python_tag|>",), LLAMA, ("<|eom_id|>",)]),
    "llama-4": ("llama-4", [("<|python_start|>",), "[add(a=1, b=2)]", ("<|python_end|>",)]),
    "mistral v3": ("mistral", [("[TOOL_CALLS]",), f" [{CALL}]"]),
    "mistral v13": ("mistral", [("[TOOL_CALLS]",), "add", ("[ARGS]",), ARGUMENTS]),
    "qwen": ("qwen", [TAGGED]),
    "qwen3-coder": ("qwen3-coder", [f"<tool_call>\n{CODER}\n</tool_call>"]),
    "hermes": ("hermes", [TAGGED]),
    "phi-4": ("phi-4", [f"<|tool_call|>[{CALL}]<|/tool_call|>"]),
    "granite 3": ("granite", [("<|tool_call|>",), f"[{CALL}]"]),
    "granite 4": ("granite-4", [TAGGED]),
    "deepseek v3.1": ("deepseek", [f"{BEGIN}add{SEP}{ARGUMENTS}{END}"]),
    "command-r": ("command-r", [f"Action:\n```json\n{COMMAND}\n```"]),
    "command-r7b": ("command-r7b", [f"<|START_ACTION|>{COMMAND}<|END_ACTION|>"]),
    "words": ("words", [f'{{"tool_calls": [{CALL}]}}']),
}

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
)
"""A chat template with a place for tools, so that nothing is asked for in words."""


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


TOOLS: list[BaseTool] = [FunctionTool.from_defaults(add)]
WAYS = (
    "chat_with_tools",
    "achat_with_tools",
    "stream_chat_with_tools",
    "astream_chat_with_tools",
)


def tokens(parts: list[Part], places: list[float]) -> list[ScriptedToken]:
    """Cut the texts at the given places, which are parts of their length."""
    found = list[ScriptedToken]()
    for part in parts:
        if isinstance(part, tuple):
            found.append(ScriptedToken(part[0], special=True))
            continue
        bounds = sorted({0, len(part), *(int(place * len(part)) for place in places)})
        found += [ScriptedToken(part[start:end]) for start, end in pairwise(bounds)]
    return found


async def last_of(llm: DataCrunch, way: str, **kwargs: Any) -> ChatResponse:
    """Ask in one way; return the last response, after every unfinished one was asked for its calls."""
    made = getattr(llm, way)(TOOLS, user_msg="1+2?", **kwargs)
    made = await made if inspect.isawaitable(made) else made
    if isinstance(made, ChatResponse):
        return made
    chunks: Any = [*made] if inspect.isgenerator(made) else [each async for each in made]
    responses: list[ChatResponse] = chunks
    for response in responses[:-1]:
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return responses[-1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_call_is_the_same_wherever_tokens_end(serve: Serve, answer: str, way: str) -> None:
    """One call with its arguments comes out, and no text, at random borders of tokens."""
    name, parts = ANSWERS[answer]
    script = [tokens(parts, [])]
    endpoint = serve(answers=lambda _: script[0])
    llm = DataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)

    async def check(places: list[float]) -> None:
        script[0] = tokens(parts, places)
        response = await last_of(llm, way)
        (call,) = llm.get_tool_calls_from_response(response)
        assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})
        assert not response.message.content

    cuts = list[list[float]]()

    @settings(max_examples=8, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.floats(0, 1), max_size=12))
    def collect(places: list[float]) -> None:
        cuts.append(places)

    collect()
    for places in [[], [place / 100 for place in range(100)], *cuts]:
        await check(places)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_call_cut_by_the_token_limit_is_never_made(
    serve: Serve, answer: str, way: str
) -> None:
    """Half of a call is an error that says what to do, or text: never a call with other arguments."""
    name, parts = ANSWERS[answer]
    script = tokens(parts, [place / 40 for place in range(40)])
    llm = DataCrunch(base_url=serve(answers=script).url, chat_template=TEMPLATE, tool_format=name)
    for limit in range(2, len(script) - 4, 7):
        response = await last_of(llm, way, max_tokens=limit)
        try:
            calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        except StructuredOutputError as error:
            assert "cannot be read" in str(error)  # noqa: PT017 -- text is fine too
        else:
            assert [call.tool_kwargs for call in calls] in ([], [{"a": 1, "b": 2}])


@pytest.mark.parametrize("way", WAYS)
async def test_letters_that_spell_a_control_token_are_text(serve: Serve, way: str) -> None:
    """A marker that is a control token counts only as such."""
    said = f"[TOOL_CALLS] [{CALL}]"
    llm = DataCrunch(
        base_url=serve(answers=said).url, chat_template=TEMPLATE, tool_format="mistral"
    )
    response = await last_of(llm, way)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    assert response.message.content == said
