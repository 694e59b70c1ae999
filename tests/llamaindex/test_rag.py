"""Query engines, chat engines and agents over the cookbook's documents, without any network.

The answers are a real model's: the endpoint computes the tiny Llama of the recordings.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llama_index.core
import pytest
from llama_index.core import Settings, get_response_synthesizer
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.retrievers.bm25 import BM25Retriever
from tokenizers import Tokenizer

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

QUESTION = "How do I stop generation at a word?"
ANSWER = "Pass the word in stop, a list of strings. Generation ends as soon as one of them appears."
MODES = [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE]


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
def engine(model: DataCrunch, documents: list[TextNode]) -> Callable[..., RetrieverQueryEngine]:
    """Make a query engine over the documents."""

    def make(documents_used: int = 2, **options: Any) -> RetrieverQueryEngine:
        retriever = BM25Retriever.from_defaults(nodes=[*documents], similarity_top_k=documents_used)
        return RetrieverQueryEngine.from_args(retriever, llm=model, **options)

    return make


@pytest.fixture
def encode(tiny_llama: Path) -> Iterator[Callable[[str], list[int]]]:
    """The model's own tokenizer, given to LlamaIndex too, as the class's documentation says."""
    tokenizer = Tokenizer.from_file(str(tiny_llama / "tokenizer.json"))
    before = llama_index.core.global_tokenizer

    def encode(text: str) -> list[int]:
        return [*tokenizer.encode(text).ids]

    Settings.tokenizer = encode
    yield encode
    llama_index.core.global_tokenizer = before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("use_async", [False, True], ids=["in turn", "at once"])
async def test_a_query_is_answered_from_the_documents(
    engine: Callable[..., RetrieverQueryEngine],
    mode: ResponseMode,
    use_async: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    whole = engine(response_mode=mode, use_async=use_async)
    streaming: Any = engine(response_mode=mode, use_async=use_async, streaming=True)
    said = [
        f"{await whole.aquery(QUESTION)}",
        f"{await asyncio.to_thread(whole.query, QUESTION)}",
        "".join((await asyncio.to_thread(streaming.query, QUESTION)).response_gen),
        "".join([delta async for delta in (await streaming.aquery(QUESTION)).response_gen]),
    ]
    assert said == [ANSWER] * 4


def test_the_prompt_is_the_one_that_was_recorded(
    engine: Callable[..., RetrieverQueryEngine],
    llama: EmulatedEndpoint,
    recordings: dict[str, Any],
) -> None:
    response = engine(documents_used=1).query(QUESTION)
    assert [node.node_id for node in response.source_nodes] == ["length.md"]
    recorded = recordings["tgi-3.3.7/rag-stop"]["request"]["json"]["inputs"]
    assert [request.json["inputs"] for request in llama.requests] == [recorded]


# LlamaIndex runs the tasks in a loop that it closes without ending its generators, on which the
# connections of a loop rely to be closed with it. They are closed, but by the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
async def test_a_query_within_a_running_event_loop_is_answered_as_in_a_notebook(
    engine: Callable[..., RetrieverQueryEngine], model: DataCrunch
) -> None:
    asking = engine(response_mode=ResponseMode.TREE_SUMMARIZE, use_async=True)
    assert [f"{asking.query(QUESTION)}" for _ in range(3)] == [ANSWER] * 3
    await model.acomplete("Hi", max_tokens=1)  # forgets the loops that ended
    gc.collect()


def test_one_engine_serves_many_threads(engine: Callable[..., RetrieverQueryEngine]) -> None:
    asking = engine(response_mode=ResponseMode.TREE_SUMMARIZE, use_async=True)
    with ThreadPoolExecutor(4) as threads:
        said = [*threads.map(asking.query, [QUESTION] * 8)]
    assert [f"{response}" for response in said] == [ANSWER] * 8


@pytest.mark.parametrize(("mode", "copies"), [*zip(MODES, (2, 1, 5), strict=True)])
async def test_prompts_fit_the_window_by_the_models_own_tokenizer(
    tiny_llama: Path,
    documents: list[TextNode],
    encode: Callable[[str], list[int]],
    mode: ResponseMode,
    copies: int,
) -> None:
    assert encode("Hello")
    nodes = [NodeWithScore(node=node) for node in documents * copies]
    with EmulatedEndpoint(model=tiny_llama, max_input_tokens=2040) as endpoint:
        model = DataCrunch(base_url=endpoint.url, max_tokens=8, context_window=2048)
        synthesizer = get_response_synthesizer(llm=model, response_mode=mode, use_async=True)
        await synthesizer.asynthesize(QUESTION, nodes)
        assert len(endpoint.requests) > 1
        assert {request.status for request in endpoint.requests} == {200}


async def test_tokens_are_counted_once_through_a_query(
    model: DataCrunch,
    llama: EmulatedEndpoint,
    documents: list[TextNode],
    encode: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = TokenCountingHandler(tokenizer=lambda _: [])
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([counter]))
    retriever = BM25Retriever.from_defaults(nodes=[*documents], similarity_top_k=2)
    for streaming in (False, True):
        engine = RetrieverQueryEngine.from_args(
            retriever, llm=model, response_mode=ResponseMode.REFINE, streaming=streaming
        )
        response: Any = await engine.aquery(QUESTION)
        assert "".join([d async for d in response.response_gen] if streaming else response.response)
    prompts = [request.json["inputs"] for request in llama.requests]
    assert len(counter.llm_token_counts) == len(prompts) == 4
    assert counter.prompt_llm_token_count == sum(len(encode(prompt)) for prompt in prompts)


def test_a_chat_engine_keeps_to_the_documents(model: DataCrunch, documents: list[TextNode]) -> None:
    retriever = BM25Retriever.from_defaults(nodes=[*documents], similarity_top_k=1)
    memory = ChatMemoryBuffer.from_defaults(tokenizer_fn=str.split)
    engine = ContextChatEngine.from_defaults(retriever=retriever, llm=model, memory=memory)
    assert engine.chat(QUESTION).response
    assert "".join(engine.stream_chat(QUESTION).response_gen)


# LlamaIndex's agents look at every attribute of a pydantic model and use what their engine deprecates.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_agent_uses_its_tools(serve: Callable[..., EmulatedEndpoint]) -> None:
    steps = (
        'Thought: I need a tool.\nAction: double\nAction Input: {"number": 21}\n',
        "Thought: I can answer without using any more tools.\nAnswer: It is 42.",
    )

    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    endpoint = serve(answers=steps)
    agent = ReActAgent(tools=[double], llm=DataCrunch(base_url=endpoint.url))
    assert f"{await agent.run('Double 21')}" == "It is 42."
    assert "Observation: 42" in endpoint.requests[-1].json["inputs"]
