"""Calls in the format of each family, wherever the answer is cut into tokens, in all four ways to ask."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatResponse
from llama_index.core.tools import BaseTool, FunctionTool

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken
from llamaindex_datacrunch import DataCrunch
from tests.conftest import CUTS

Serve = Callable[..., EmulatedEndpoint]
ARGUMENTS = {"a": 1, "b": "x\n"}
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
)
"""A chat template with a place for tools, so that nothing is asked for in words."""
THINKING = TEMPLATE + "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"


def join(a: int, b: str) -> str:
    """Join a number and a text."""
    return f"{a}{b}"


TOOLS: list[BaseTool] = [FunctionTool.from_defaults(join, name="sum")]
WAYS = pytest.mark.parametrize(
    "way",
    [
        "chat_with_tools",
        "achat_with_tools",
        "stream_chat_with_tools",
        "astream_chat_with_tools",
    ],
)


async def last_of(llm: DataCrunch, way: str, **kwargs: Any) -> ChatResponse:
    """Ask in one way; return the last response, after every unfinished one was asked for its calls."""
    made = getattr(llm, way)(TOOLS, user_msg="1 and x?", **kwargs)
    made = await made if inspect.isawaitable(made) else made
    if isinstance(made, ChatResponse):
        return made
    chunks: Any = [*made] if inspect.isgenerator(made) else [each async for each in made]
    responses: list[ChatResponse] = chunks
    for response in responses[:-1]:
        calls_of(llm, response)
    return responses[-1]


def calls_of(llm: DataCrunch, response: ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    calls = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [(call.tool_name, call.tool_kwargs) for call in calls]


@WAYS
async def test_a_call_is_the_same_wherever_tokens_end(
    serve: Serve, tool_answer: Any, way: str
) -> None:
    """One call with its arguments comes out, and the text before it, at random borders of tokens."""
    endpoint = serve(answers=[tool_answer.tokens(places, before) for places, before in CUTS])
    name = tool_answer.tool_format
    llm = DataCrunch(base_url=endpoint.url, chat_template=TEMPLATE, tool_format=name)
    for _, before in CUTS:
        response = await last_of(llm, way)
        assert calls_of(llm, response) == [("sum", ARGUMENTS)]
        assert (response.message.content or "") == before.strip()


@WAYS
async def test_a_call_cut_by_the_token_limit_is_never_made(
    serve: Serve, tool_answer: Any, way: str
) -> None:
    """Half of a call is an error that says what to do, or text: never a call with other arguments."""
    script = tool_answer.tokens([place / 40 for place in range(40)])
    llm = DataCrunch(
        base_url=serve(answers=script).url,
        chat_template=TEMPLATE,
        tool_format=tool_answer.tool_format,
    )
    for limit in range(2, len(script) - 4, 13):
        response = await last_of(llm, way, max_tokens=limit)
        try:
            calls = calls_of(llm, response)
        except StructuredOutputError as error:
            assert "cannot be read" in str(error)  # noqa: PT017 -- text is fine too
        else:
            assert calls in ([], [("sum", ARGUMENTS)])


@WAYS
async def test_a_call_that_the_model_only_thinks_of_is_none(
    serve: Serve, tool_answer: Any, way: str
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
        llm = DataCrunch(
            base_url=endpoint.url, chat_template=template, tool_format=tool_answer.tool_format
        )
        response = await last_of(llm, way)
        assert calls_of(llm, response) == []
        assert (response.message.content or "").endswith("</think>\n\nNo.")
        assert calls_of(llm, await last_of(llm, way)) == [("sum", ARGUMENTS)]


@WAYS
async def test_letters_that_spell_a_control_token_are_text(serve: Serve, way: str) -> None:
    """A marker that is a control token counts only as such."""
    said = '[TOOL_CALLS] [{"name": "sum", "arguments": {"a": 1, "b": "x"}}]'
    llm = DataCrunch(
        base_url=serve(answers=said).url, chat_template=TEMPLATE, tool_format="mistral"
    )
    response = await last_of(llm, way)
    assert calls_of(llm, response) == []
    assert response.message.content == said


@pytest.mark.parametrize(("dialect", "sent"), [("1.1.1", False), ("3.3.7", True)])
def test_a_server_that_is_known_to_be_old_gets_no_grammar(
    serve: Serve,
    dialect: str,
    sent: bool,  # noqa: FBT001 -- pytest passes it by name
) -> None:
    """After `fetch_server_limits`, no grammar is sent to a server before TGI 1.4."""
    endpoint = serve(
        answers='{"tool_calls": [{"name": "sum", "arguments": {"a": 1, "b": "x"}}]}',
        dialect=dialect,
    )
    llm = DataCrunch(base_url=endpoint.url, chat_template="llama-2", max_tokens=50)
    for fetch in (False, True):
        model = llm.fetch_server_limits() if fetch else llm
        response = model.chat_with_tools(TOOLS, "1 and x?", tool_required=True)
        assert calls_of(model, response) == [("sum", {"a": 1, "b": "x"})]
    first, last = (one.json for one in endpoint.requests if one.path == "/generate")
    assert "grammar" in first["parameters"]
    assert ("grammar" in last["parameters"]) is sent
