"""Agents of LangChain and LangGraph run: tools, structured responses, streams, checkpoints, middleware."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware, ModelFallbackMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessageChunk, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch

Serve = Callable[..., EmulatedEndpoint]


def in_words(tool: str, **arguments: Any) -> str:
    return json.dumps({"tool_calls": [{"name": tool, "arguments": arguments}]})


def tagged(tool: str, **arguments: Any) -> str:
    call = json.dumps({"name": tool, "arguments": arguments})
    return f"I will.\n<tool_call>\n{call}\n</tool_call>"


MODELS = {"llama-2-13b-chat": in_words, "Qwen2.5-7B-Instruct": tagged}
EACH_MODEL = pytest.mark.parametrize("model", MODELS)


class City(BaseModel):
    """A city."""

    name: str
    capital: bool


HELSINKI = City(name="Helsinki", capital=True)
JSON = HELSINKI.model_dump_json()
ASK: Any = {"messages": [("user", "Is it sunny in Finland's capital?")]}


def weather(place: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {place}"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def chat(serve: Serve, said: list[str], model: str = "llama-2-13b-chat") -> ChatDataCrunch:
    endpoint = serve(answers=said, max_input_tokens=3000, max_total_tokens=4096)
    return ChatDataCrunch(base_url=endpoint.url, model=model, max_tokens=300)


@EACH_MODEL
async def test_an_agent_calls_a_tool_and_answers_with_its_result(serve: Serve, model: str) -> None:
    """`create_agent` runs the tool and answers with its result."""
    said = [MODELS[model]("weather", place="Helsinki"), "Yes, it is."]
    for run in ("invoke", "ainvoke"):
        agent: Any = create_agent(chat(serve, said, model), [weather, add])
        made = getattr(agent, run)(ASK)
        messages = (await made if run == "ainvoke" else made)["messages"]
        assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
        assert messages[2].content == "sunny in Helsinki"
        assert messages[3].text == "Yes, it is."


async def test_a_mistake_of_the_model_is_answered_with_an_error_and_it_goes_on(
    serve: Serve,
) -> None:
    """A wrong argument, a name that is unknown, and then the right call."""
    call = MODELS["Qwen2.5-7B-Instruct"]
    said = [call("add", a="one"), call("subtract", a=1), call("add", a=1, b=2), "It is 3."]
    agent: Any = create_agent(chat(serve, said, "Qwen2.5-7B-Instruct"), [weather, add])
    messages = agent.invoke(ASK)["messages"]
    results = [message for message in messages if isinstance(message, ToolMessage)]
    assert [result.status for result in results] == ["error", "error", "success"]
    assert (results[-1].content, messages[-1].text) == ("3", "It is 3.")


@pytest.mark.parametrize("tools", [[], [weather]])
@pytest.mark.parametrize("form", [City, ProviderStrategy(City), ToolStrategy(City)])
def test_an_agent_ends_with_a_structured_response(serve: Serve, form: Any, tools: Any) -> None:
    """`create_agent` returns a structured response, with every strategy."""
    call = MODELS["llama-2-13b-chat"]
    if isinstance(form, ToolStrategy):
        said = [call("City", name="Helsinki", capital=True)]
    else:
        said = [f'{{"response": {{"answer": {JSON}}}}}' if tools else f"Sure:\n{JSON}"]
    if tools:
        called = call("weather", place="Helsinki")
        said = [called if isinstance(form, ToolStrategy) else f'{{"response": {called}}}', *said]
    agent: Any = create_agent(chat(serve, said), tools, response_format=form)
    assert agent.invoke(ASK)["structured_response"] == HELSINKI
    streamed: list[Any] = list(
        create_agent(chat(serve, said), tools, response_format=form).stream(
            ASK, stream_mode="values"
        )
    )
    assert streamed[-1]["structured_response"] == HELSINKI


@EACH_MODEL
async def test_the_streaming_modes_show_tokens_and_steps(serve: Serve, model: str) -> None:
    """An agent streams tokens and steps."""
    said = [MODELS[model]("weather", place="Helsinki"), "Yes, it is sunny there."]
    agent: Any = create_agent(chat(serve, said, model), [weather])
    tokens = [part async for part, _ in agent.astream(ASK, stream_mode="messages")]
    chunks = [part for part in tokens if isinstance(part, AIMessageChunk)]
    assert "".join(chunk.text for chunk in chunks).endswith("Yes, it is sunny there.")
    assert len([chunk for chunk in chunks if chunk.tool_call_chunks]) > 1
    agent = create_agent(chat(serve, said, model), [weather])
    steps = [name for step in agent.stream(ASK, stream_mode="updates") for name in step]
    assert steps == ["model", "tools", "model"]


def test_a_checkpoint_is_continued(serve: Serve) -> None:
    """An agent continues a conversation from a checkpoint."""
    call = MODELS["llama-2-13b-chat"]
    model = chat(serve, [call("weather", place="Helsinki"), "Sunny.", "As I said: sunny."])
    agent: Any = create_agent(model, [weather], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    agent.invoke(ASK, config)
    messages = agent.invoke({"messages": [("user", "And now?")]}, config)["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai", "human", "ai"]
    assert messages[-1].text == "As I said: sunny."


def test_middleware_that_calls_the_model_itself_works(serve: Serve) -> None:
    """One selects tools by structured output, one falls back to another model."""
    call = MODELS["llama-2-13b-chat"]
    said = ['{"tools": ["weather"]}', call("weather", place="Helsinki"), '{"tools": []}', "Sunny."]
    agent: Any = create_agent(
        chat(serve, said), [weather, add], middleware=[LLMToolSelectorMiddleware()]
    )
    assert agent.invoke(ASK)["messages"][-1].text == "Sunny."
    down = ChatDataCrunch(base_url="http://127.0.0.1:9", model="llama-2-13b-chat", max_retries=0)
    fallback = ModelFallbackMiddleware(chat(serve, said[1::2]))
    agent = create_agent(down, [weather], middleware=[fallback])
    assert agent.invoke(ASK)["messages"][-1].text == "Sunny."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_prebuilt_agent_of_langgraph_runs(serve: Serve) -> None:
    """LangGraph's `create_react_agent` runs, with a response format."""
    from langgraph.prebuilt import create_react_agent  # noqa: PLC0415 -- it warns

    said = [MODELS["llama-2-13b-chat"]("weather", place="Helsinki"), "Sunny.", JSON]
    agent: Any = create_react_agent(chat(serve, said), [weather], response_format=City)
    made = agent.invoke(ASK)
    assert made["messages"][-1].text == "Sunny."
    assert made["structured_response"] == HELSINKI
