"""Agents, workflows, programs and selectors of LlamaIndex run on tool calls."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.selectors import PydanticSingleSelector
from llama_index.core.tools import FunctionTool, QueryEngineTool
from pydantic import BaseModel

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.llamaindex.tool_calls import ADD, NOW, TOOLS, add, in_words, now

Serve = Callable[..., EmulatedEndpoint]

# LlamaIndex's agents look at every attribute of a pydantic model and use what their engine deprecates.
agents = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@agents
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_function_agent_uses_its_tools(
    serve: Serve,
    family: tuple[dict[str, Any], Callable[..., str]],
    streaming: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """FunctionAgent calls tools and answers with their results."""
    options, write = family
    endpoint = serve(answers=(write(ADD, NOW), "It is 3, at noon."))
    llm = DataCrunch(base_url=endpoint.url, **options)
    running = FunctionAgent(tools=[add, now], llm=llm, streaming=streaming).run("1+2, and when?")
    events = [event async for event in running.stream_events() if isinstance(event, AgentStream)]
    assert f"{await running}" == "It is 3, at noon."
    assert "".join(event.delta for event in events) == ("It is 3, at noon." if streaming else "")
    prompt = endpoint.requests[-1].json["inputs"]
    call, result = prompt.rfind('"add"'), prompt.rfind("noon")
    assert -1 < call < result


@agents
async def test_an_agent_answers_calls_of_unknown_tools_and_failures(serve: Serve) -> None:
    """FunctionAgent reports unknown tools and wrong arguments to the model."""
    wrong = (in_words(("divide", {"a": 1})), in_words(("add", {"a": 1})), "I cannot.")
    endpoint = serve(answers=wrong)
    llm = DataCrunch(base_url=endpoint.url, is_function_calling_model=True)
    assert f"{await FunctionAgent(tools=[add], llm=llm).run('1/2?')}" == "I cannot."
    assert len(endpoint.requests) == 3
    assert "missing 1 required" in endpoint.requests[-1].json["inputs"]


@agents
async def test_one_function_agent_hands_over_to_another(serve: Serve) -> None:
    """One FunctionAgent hands over to another."""
    over = in_words(("handoff", {"to_agent": "counter", "reason": "a number"}))
    endpoint = serve(answers=(over, in_words(ADD), "It is 3."))
    llm = DataCrunch(base_url=endpoint.url, is_function_calling_model=True, chat_template="llama-2")
    speaker = FunctionAgent(
        name="speaker", description="Speaks.", llm=llm, can_handoff_to=["counter"]
    )
    counter = FunctionAgent(name="counter", description="Counts.", llm=llm, tools=[add])
    workflow = AgentWorkflow(agents=[speaker, counter], root_agent="speaker")
    answer: Any = await workflow.run("1+2?")
    assert (f"{answer}", answer.current_agent_name) == ("It is 3.", "counter")


@agents
async def test_a_workflow_of_functions_makes_a_function_agent(serve: Serve) -> None:
    """`AgentWorkflow.from_tools_or_functions` makes a FunctionAgent."""
    endpoint = serve(answers=(in_words(ADD), "It is 3."))
    llm = DataCrunch(base_url=endpoint.url, is_function_calling_model=True)
    workflow = AgentWorkflow.from_tools_or_functions([add], llm=llm)
    assert f"{await workflow.run('1+2?')}" == "It is 3."


class Sum(BaseModel):
    """The sum of two numbers."""

    total: int


@pytest.mark.parametrize("way", ["call", "acall", "stream_call", "astream_call"])
async def test_a_program_makes_an_object_of_a_call(serve: Serve, way: str) -> None:
    """FunctionCallingProgram returns an object, in every method."""
    endpoint = serve(answers=in_words(("Sum", {"total": 3})))
    llm = DataCrunch(base_url=endpoint.url, is_function_calling_model=True)
    program = FunctionCallingProgram.from_defaults(Sum, "Add {a} and 2", llm=llm)
    made: Any = program(a=1) if way == "call" else getattr(program, way)(a=1)
    made = await made if inspect.isawaitable(made) else made
    if inspect.isgenerator(made):
        made = [*made][-1]
    elif inspect.isasyncgen(made):
        made = [each async for each in made][-1]
    assert made == Sum(total=3)
    request = endpoint.requests[-1].json
    assert "Add 1 and 2" in request["inputs"]
    assert ("grammar" in request["parameters"]) is ("stream" not in way)


async def test_a_selector_chooses_by_a_call(serve: Serve) -> None:
    """PydanticSingleSelector chooses by a tool call."""
    said = in_words(("SingleSelection", {"index": 2, "reason": "It sums."}))
    llm = DataCrunch(base_url=serve(answers=said).url, is_function_calling_model=True)
    selector = PydanticSingleSelector.from_defaults(llm=llm)
    for chosen in (
        selector.select(["speaks", "counts"], "1+2?"),
        await selector.aselect(["speaks", "counts"], "1+2?"),
    ):
        assert (chosen.ind, chosen.reason) == (1, "It sums.")


def test_a_router_asks_the_engine_that_the_model_selects(serve: Serve) -> None:
    """RouterQueryEngine uses the engine that the model selects."""
    said = in_words(("SingleSelection", {"index": 1, "reason": "It knows."}))
    endpoint = serve(answers=(said, "In Lapland."))
    llm = DataCrunch(base_url=endpoint.url, is_function_calling_model=True)
    engine = SummaryIndex.from_documents([Document(text="It lives in Lapland.")]).as_query_engine(
        llm=llm
    )
    tools = [QueryEngineTool.from_defaults(engine, description="Knows reindeers.")]
    router = RouterQueryEngine.from_defaults(tools, llm=llm)
    assert f"{router.query('Where?')}" == "In Lapland."


@pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
async def test_a_model_calls_a_tool_itself(serve: Serve, method: str) -> None:
    """The result is the tool's; a call of an unknown tool, or none, is an error that shows the answer."""

    async def ask(answer: str, **kwargs: Any) -> str:
        llm = DataCrunch(base_url=serve(answers=answer).url, is_function_calling_model=True)
        made = getattr(llm, method)(TOOLS, user_msg="1+2?", **kwargs)
        return f"{await made if inspect.isawaitable(made) else made}"

    assert await ask(in_words(ADD)) == "3"
    assert await ask(in_words(ADD, NOW), allow_parallel_tool_calls=True) == "3\n\nnoon"
    assert await ask("Three.", error_on_no_tool_call=False) == "Three."
    with pytest.raises(StructuredOutputError, match=r"called no tool; it answered 'Three\.'"):
        await ask("Three.")
    with pytest.raises(StructuredOutputError, match="called 'divide', which is not one of add, no"):
        await ask(in_words(("divide", {})))


@pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
@pytest.mark.parametrize(
    ("arguments", "shown", "wrong"),
    [
        ({"a": "one", "b": 2}, "$.a: 'one' is not of type 'integer'", True),
        ({"b": 2}, "$: 'a' is a required property", True),
        ({"a": "1", "b": 2}, "3", False),
    ],
)
async def test_a_tool_is_not_run_with_arguments_that_violate_its_schema(
    serve: Serve,
    method: str,
    arguments: dict[str, Any],
    shown: str,
    wrong: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """The result is an error that says why, for the model; what the tool's class converts is converted."""
    ran = list[Any]()

    def sum_up(a: int, b: int) -> int:
        """Add two numbers."""
        ran.append((a, b))
        return a + b

    said = in_words(("sum_up", arguments))
    llm = DataCrunch(base_url=serve(answers=said).url, is_function_calling_model=True)
    tools = [FunctionTool.from_defaults(sum_up)]
    made = getattr(llm, method)(tools, user_msg="1+2?")
    made = await made if inspect.isawaitable(made) else made
    (source,) = made.sources
    assert (source.is_error, source.tool_name) == (wrong, "sum_up")
    assert made.response.endswith(shown)
    assert ran == ([] if wrong else [(1, 2)])
