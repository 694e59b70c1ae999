"""Chat engines over documents, and agents with tools, as far as a completion model drives them."""

import asyncio
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.react import ReActChatFormatter, ReActOutputParser
from llama_index.core.agent.workflow import AgentStream, AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

from datacrunch_tgi import AuthenticationError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Serve = Callable[..., EmulatedEndpoint]

DOCUMENT = "The reindeer lives in Lapland."
ANSWERS = {
    re.compile("(?i)standalone question"): "Where does the reindeer live?",
    re.compile("in Lapland"): "In Lapland.",
    re.compile("."): "I do not know.",
}
ENGINES = {
    ChatMode.SIMPLE: "I do not know.",
    ChatMode.CONTEXT: "In Lapland.",
    ChatMode.CONDENSE_QUESTION: "In Lapland.",
    ChatMode.CONDENSE_PLUS_CONTEXT: "In Lapland.",
}
"""What each kind of chat engine answers: one of them does not look at the document."""


@pytest.fixture
def endpoint(serve: Serve) -> EmulatedEndpoint:
    """An endpoint that finds the answer where the document is in the prompt."""
    return serve(answers=ANSWERS)


@pytest.fixture(params=ENGINES)
def mode(request: pytest.FixtureRequest) -> ChatMode:
    return ChatMode(request.param)


@pytest.fixture
def engine(model: DataCrunch, mode: ChatMode) -> BaseChatEngine:
    # LlamaIndex's default memory leaves its database open.
    return SummaryIndex.from_documents([Document(text=DOCUMENT)]).as_chat_engine(
        chat_mode=mode, llm=model, memory=ChatMemoryBuffer.from_defaults()
    )


@pytest.fixture(params=["chat", "achat", "stream_chat", "astream_chat"])
def chat(request: pytest.FixtureRequest) -> Callable[[BaseChatEngine, str], Any]:
    """Each way to talk to a chat engine."""

    async def talk(engine: BaseChatEngine, message: str) -> str:
        response = getattr(engine, request.param)(message)
        if inspect.isawaitable(response):
            response = await response
        if request.param == "stream_chat":
            return "".join(response.response_gen)
        if request.param == "astream_chat":
            return "".join([delta async for delta in response.async_response_gen()])
        return f"{response}"

    return talk


async def test_a_chat_engine_answers_and_remembers(
    engine: BaseChatEngine,
    mode: ChatMode,
    chat: Callable[[BaseChatEngine, str], Any],
    endpoint: EmulatedEndpoint,
) -> None:
    """Chat engines answer and send the history."""
    assert await chat(engine, "Where does it live?") == ENGINES[mode]
    assert await chat(engine, "Where was that?") == ENGINES[mode]
    said = [(message.role.value, message.content) for message in engine.chat_history]
    assert said == [
        ("user", "Where does it live?"),
        ("assistant", ENGINES[mode]),
        ("user", "Where was that?"),
        ("assistant", ENGINES[mode]),
    ]
    remembering = [request for request in endpoint.requests if ENGINES[mode] in f"{request.json}"]
    assert remembering
    assert not re.search(
        "usage|finish_reason|_tokens", f"{[r.json['inputs'] for r in remembering]}"
    )


STEPS = (
    'Thought: I need a tool.\nAction: double\nAction Input: {"number": 21}\nObservation: 7\n',
    "Thought: I can answer without using any more tools.\nAnswer: It is 42.",
)
"""A completion model continues with what it thinks the tool will return: 7."""


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@pytest.fixture
def workbench(serve: Serve) -> EmulatedEndpoint:
    """An endpoint that thinks as an agent does."""
    return serve(answers=STEPS)


@pytest.fixture
def thinker(workbench: EmulatedEndpoint) -> DataCrunch:
    return DataCrunch(base_url=workbench.url, stop=["\nObservation:"])


# LlamaIndex's agents look at every attribute of a pydantic model and use what their engine deprecates.
agents = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@agents
@pytest.mark.parametrize("streaming", [False, True])
async def test_an_agent_uses_its_tools(
    thinker: DataCrunch,
    workbench: EmulatedEndpoint,
    streaming: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """ReActAgent uses its tools, streamed and not."""
    running = ReActAgent(tools=[double], llm=thinker, streaming=streaming).run("Double 21")
    events = [event async for event in running.stream_events() if isinstance(event, AgentStream)]
    assert f"{await running}" == "It is 42."
    assert "".join(event.delta for event in events).endswith("It is 42." if streaming else "")
    prompt = workbench.requests[-1].json["inputs"]
    assert "Observation: 42" in prompt
    assert "Observation: 7" not in prompt


@agents
async def test_a_workflow_makes_an_agent_that_a_completion_model_can_drive(
    thinker: DataCrunch,
) -> None:
    """A model without tool calls gets a ReActAgent; FunctionAgent refuses it."""
    workflow = AgentWorkflow.from_tools_or_functions([double], llm=thinker)
    assert f"{await workflow.run('Double 21')}" == "It is 42."
    with pytest.raises(ValueError, match="must be a FunctionCallingLLM"):
        await FunctionAgent(tools=[double], llm=thinker).run("Double 21")


@agents
async def test_one_agent_hands_over_to_another(serve: Serve) -> None:
    """One ReActAgent hands over to another."""
    over = 'Action: handoff\nAction Input: {"to_agent": "counter", "reason": "a number"}\n'
    endpoint = serve(answers=(f"Thought: Not mine.\n{over}", *STEPS))
    llm = DataCrunch(base_url=endpoint.url, stop=["\nObservation:"])
    speaker = ReActAgent(name="speaker", description="Speaks.", llm=llm)
    counter = ReActAgent(name="counter", description="Counts.", llm=llm, tools=[double])
    workflow = AgentWorkflow(agents=[speaker, counter], root_agent="speaker")
    answer: Any = await workflow.run("Double 21")
    assert (f"{answer}", answer.current_agent_name) == ("It is 42.", "counter")


@agents
@pytest.mark.parametrize("method", ["predict_and_call", "apredict_and_call"])
async def test_a_model_calls_a_tool_itself(thinker: DataCrunch, method: str) -> None:
    # Without the two, LlamaIndex refuses its own defaults.
    """`predict_and_call` runs the tool that the model chooses."""
    way = {"react_chat_formatter": ReActChatFormatter(), "output_parser": ReActOutputParser()}
    tools = [FunctionTool.from_defaults(fn=double)]
    call = functools.partial(getattr(thinker, method), tools, user_msg="Double 21", **way)
    answer = await (call() if method == "apredict_and_call" else asyncio.to_thread(call))
    assert f"{answer}" == "42"


@agents
async def test_an_error_comes_out_of_an_agent_as_itself(
    model: DataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """An error in an agent keeps its class."""
    endpoint.fail_next(status=401)
    with pytest.raises(AuthenticationError):
        await ReActAgent(tools=[double], llm=model).run("Double 21")
