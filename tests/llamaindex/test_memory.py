"""Memories summarise, extract facts and count tokens with every chat template, whatever is remembered."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.memory import (
    ChatMemoryBuffer,
    ChatSummaryMemoryBuffer,
    FactExtractionMemoryBlock,
    Memory,
    StaticMemoryBlock,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.conftest import TEMPLATES

Serve = Callable[..., EmulatedEndpoint]
Encode = Callable[[str], list[int]]

HISTORY = [
    ChatMessage(role="assistant", content="Hello! How can I help?"),
    ChatMessage("2+2?"),
    ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm"),
            TextBlock(text="Let me see."),
            ToolCallBlock(tool_call_id="1", tool_name="add", tool_kwargs={"a": 2, "b": 2}),
        ],
    ),
    ChatMessage(role="tool", content="4", additional_kwargs={"tool_call_id": "1"}),
    ChatMessage(role="assistant", content="Four."),
    ChatMessage("Thanks"),
    ChatMessage(role="assistant", content="You are welcome."),
]


@pytest.fixture(params=[*TEMPLATES, None])
def options(request: pytest.FixtureRequest, encode: Encode) -> dict[str, Any]:
    """Each bundled template, and none."""
    return {"chat_template": request.param, "tokenizer": encode, "max_tokens": 50}


def test_a_summary_memory_summarises(serve: Serve, options: dict[str, Any]) -> None:
    """What does not fit is summarised by the model, which is asked with all of it."""
    endpoint = serve(answers="They added two and two.")
    llm = DataCrunch(base_url=endpoint.url, **options)
    llm.set_global_tokenizer()
    memory = ChatSummaryMemoryBuffer.from_defaults(
        chat_history=[*HISTORY], llm=llm, token_limit=30, count_initial_tokens=True
    )
    assert "They added two and two." in f"{memory.get()}"
    assert "How can I help?" in endpoint.requests[0].json["inputs"]
    assert llm.chat(memory.get()).message.content == "They added two and two."


@pytest.fixture
async def database() -> AsyncIterator[AsyncEngine]:
    """A database that is closed: LlamaIndex leaves its own open."""
    engine = create_async_engine("sqlite+aiosqlite:///:memory:", poolclass=StaticPool)
    yield engine
    await engine.dispose()


async def test_a_memory_with_blocks_extracts_facts(
    serve: Serve, options: dict[str, Any], database: AsyncEngine
) -> None:
    """Facts are extracted from what is flushed, tool calls among it, and sent in later chats."""
    fact = "<facts><fact>Two and two are four</fact></facts>"
    endpoint = serve(answers=fact)
    llm = DataCrunch(base_url=endpoint.url, **options)
    llm.set_global_tokenizer()
    memory = Memory.from_defaults(
        async_engine=database,
        token_limit=60,
        token_flush_size=30,
        chat_history_token_ratio=0.3,
        memory_blocks=[
            StaticMemoryBlock(name="who", static_content="The user is Ada."),
            FactExtractionMemoryBlock(name="facts", llm=llm),
        ],
    )
    await memory.aput_messages([*HISTORY, ChatMessage("And 3+3?")])
    remembered = await memory.aget()
    assert "Two and two are four" in f"{remembered}"
    assert "The user is Ada." in f"{remembered}"
    await llm.achat(remembered)
    assert "Two and two are four" in endpoint.requests[-1].json["inputs"]


async def test_a_buffer_counts_and_cuts_in_the_middle(
    serve: Serve, options: dict[str, Any]
) -> None:
    """The model accepts any slice of a history that a memory buffer keeps."""
    endpoint = serve(answers="Yes.")
    llm = DataCrunch(base_url=endpoint.url, **options)
    llm.set_global_tokenizer()
    for limit in (10, 20, 40, 80):
        memory = ChatMemoryBuffer.from_defaults(chat_history=[*HISTORY], token_limit=limit)
        engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory)
        assert f"{await engine.achat('So?')}" == "Yes."
        assert "So?" in endpoint.requests[-1].json["inputs"]


async def test_any_part_of_a_history_is_sent(serve: Serve, options: dict[str, Any]) -> None:
    """Slices and reversed lists have a prompt that holds their last text."""
    endpoint = serve(answers="Yes.")
    llm = DataCrunch(base_url=endpoint.url, **options)
    lengths = range(1, len(HISTORY) + 1)
    for part in [HISTORY[:n] for n in lengths] + [HISTORY[-n:] for n in lengths]:
        for messages in (part, part[::-1]):
            response = await llm.achat(messages)
            assert response.message.content == "Yes."
            assert messages[-1].content in endpoint.requests[-1].json["inputs"], messages
