"""Agents with LlamaIndex: one has two tools, one has a tool that answers from documents (RAG).

    python cookbook/agents_llamaindex.py

With DATACRUNCH_BASE_URL set (and DATACRUNCH_API_KEY, DATACRUNCH_MODEL) your endpoint answers. Otherwise an
emulated endpoint in this process does, with scripted answers in the tool-call format of Qwen 2.5.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llama_index.core import Document
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.tools import QueryEngineTool
from llama_index.retrievers.bm25 import BM25Retriever

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

DATA = Path(__file__).parent / "data"


def call(name: str, **arguments: Any) -> str:
    """Write a tool call as Qwen 2.5 does."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


SCRIPT = (
    call("multiply", a=15, b=30),
    call("price", tokens=450),
    "450 tokens cost 1.125 euros.",
    call("documentation", input="overloaded server"),
    "Status 429: wait and try again.",  # for the query engine inside the tool
    "An overloaded server answers 429.",
)
"""Answers of the emulated endpoint, in turn."""


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def price(tokens: int) -> str:
    """Return the price of some tokens."""
    return f"{tokens} tokens at 2.5 euros per thousand: {tokens * 2.5 / 1000} euros"


def documentation(llm: DataCrunch) -> QueryEngineTool:
    """Return a tool that answers from the documents in data/."""
    documents = [Document(text=path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*"))]
    nodes = SentenceSplitter().get_nodes_from_documents(documents)
    retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=1)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    description = "Answers questions on DataCrunch's endpoints. Pass a search phrase."
    return QueryEngineTool.from_defaults(engine, name="documentation", description=description)


async def ask(agent: FunctionAgent, question: str) -> None:
    """Print a question, the calls that the agent makes, and its answer."""
    print(f"\n{question}")
    running = agent.run(question)
    async for event in running.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"  {event.tool_name}({event.tool_kwargs}) = {event.tool_output}")
    print(f"  {await running}")


@contextmanager
def endpoint() -> Iterator[dict[str, Any]]:
    """Yield the settings of your endpoint, or of one in this process."""
    if "DATACRUNCH_BASE_URL" in os.environ:
        yield {}
        return
    print("No DATACRUNCH_BASE_URL is set: an endpoint in this process gives scripted answers.")
    with EmulatedEndpoint(answers=SCRIPT, max_input_tokens=4095, max_total_tokens=8192) as emulated:
        yield {"base_url": emulated.url, "model": "Qwen/Qwen2.5-7B-Instruct"}


async def main() -> None:
    with endpoint() as settings:
        llm = DataCrunch(**settings, max_tokens=200, temperature=0, context_window=8192)
        accountant = FunctionAgent(tools=[multiply, price], llm=llm)
        await ask(accountant, "How many tokens are 15 answers of 30 tokens, and what do they cost?")
        guide = FunctionAgent(
            tools=[documentation(llm)],
            llm=llm,
            system_prompt="Answer from the documentation.",
        )
        await ask(guide, "What does an overloaded server do?")


if __name__ == "__main__":
    asyncio.run(main())
