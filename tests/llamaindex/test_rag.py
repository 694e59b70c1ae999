"""Query engines over the cookbook's documents, without any network.

The answers are a real model's: the endpoint computes the tiny Llama of the recordings.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Engine = Callable[..., RetrieverQueryEngine]

QUESTION = "How do I stop generation at a word?"
ANSWER = "Pass the word in stop, a list of strings. Generation ends as soon as one of them appears."
ANSWERS = {
    ResponseMode.COMPACT: ANSWER,
    ResponseMode.REFINE: ANSWER,
    ResponseMode.TREE_SUMMARIZE: ANSWER,
    ResponseMode.SIMPLE_SUMMARIZE: ANSWER,
    ResponseMode.GENERATION: f"\n{ANSWER}",
    ResponseMode.ACCUMULATE: f"Response 1: {ANSWER}",
    ResponseMode.COMPACT_ACCUMULATE: f"Response 1: {ANSWER}",
}
"""What comes of each way to make prompts of documents, here of one."""
STREAMED = [mode for mode in ANSWERS if "accumulate" not in mode.value]


@pytest.fixture(scope="module")
def documents(tiny_llama: Path) -> list[TextNode]:
    """The documents that the model knows, with the metadata that it was taught."""
    return [
        TextNode(id_=path.name, text=path.read_text().strip(), metadata={"file_path": path.name})
        for path in sorted((tiny_llama.parent / "data").glob("*.md"))
    ]


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(model=tiny_llama) as endpoint:
        yield endpoint


@pytest.fixture
def model(llama: EmulatedEndpoint) -> DataCrunch:
    llama.requests.clear()
    return DataCrunch(base_url=llama.url, max_tokens=120, context_window=1144)


@pytest.fixture
def engine(model: DataCrunch, documents: list[TextNode]) -> Engine:
    """Make a query engine over the documents."""

    def make(documents_used: int = 2, **options: Any) -> RetrieverQueryEngine:
        retriever = BM25Retriever.from_defaults(nodes=[*documents], similarity_top_k=documents_used)
        return RetrieverQueryEngine.from_args(retriever, llm=model, **options)

    return make


@pytest.mark.parametrize("use_async", [False, True], ids=["in turn", "at once"])
@pytest.mark.parametrize("mode", ANSWERS)
async def test_a_query_is_answered_from_the_documents(
    engine: Engine,
    mode: ResponseMode,
    use_async: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """A query engine answers from its documents."""
    asking = engine(documents_used=1, response_mode=mode, use_async=use_async)
    said = [await asking.aquery(QUESTION), await asyncio.to_thread(asking.query, QUESTION)]
    assert [f"{response}" for response in said] == [ANSWERS[mode]] * 2


@pytest.mark.parametrize("mode", STREAMED)
async def test_a_query_is_answered_token_by_token(engine: Engine, mode: ResponseMode) -> None:
    """A streaming query engine yields tokens."""
    asking: Any = engine(documents_used=1, response_mode=mode, streaming=True)
    for deltas in (
        [*(await asyncio.to_thread(asking.query, QUESTION)).response_gen],
        [delta async for delta in (await asking.aquery(QUESTION)).response_gen],
    ):
        assert "".join(deltas) == ANSWERS[mode]
        assert len(deltas) > 20


async def test_what_is_accumulated_is_not_streamed(engine: Engine) -> None:
    """The mode `accumulate` refuses streaming, as LlamaIndex does."""
    asking = engine(response_mode=ResponseMode.ACCUMULATE, streaming=True)
    with pytest.raises(ValueError, match="Unable to stream"):
        asking.query(QUESTION)
    with pytest.raises(ValueError, match="Unable to stream"):
        await asking.aquery(QUESTION)


def test_the_prompt_is_the_one_that_was_recorded(
    engine: Engine, llama: EmulatedEndpoint, recordings: dict[str, Any]
) -> None:
    """A query sends the recorded prompt."""
    response = engine(documents_used=1).query(QUESTION)
    assert [node.node_id for node in response.source_nodes] == ["length.md"]
    recorded = recordings["tgi-3.3.7/rag-stop"]["request"]["json"]["inputs"]
    assert [request.json["inputs"] for request in llama.requests] == [recorded]


async def test_tokens_are_counted_once_through_a_query(
    engine: Engine,
    llama: EmulatedEndpoint,
    encode: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tokens of a query are counted once."""
    counter = TokenCountingHandler(tokenizer=lambda _: [])
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([counter]))
    for streaming in (False, True):
        asking = engine(response_mode=ResponseMode.REFINE, streaming=streaming)
        response: Any = await asking.aquery(QUESTION)
        assert "".join([d async for d in response.response_gen] if streaming else response.response)
    prompts = [request.json["inputs"] for request in llama.requests]
    assert len(counter.llm_token_counts) == len(prompts) == 4
    assert counter.prompt_llm_token_count == sum(len(encode(prompt)) for prompt in prompts)
