"""What LlamaIndex's own tests demand of its ways to make an answer of documents, with this model.

Of llama-index-core: tests/response_synthesizers, of which these are the promises in words of our own.
"""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
from llama_index.core import get_response_synthesizer
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import BaseModel

from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Serve = Callable[..., EmulatedEndpoint]
Synthesized = Callable[..., Awaitable[Any]]

QUESTION = "Where does it live?"
TEXTS = [
    "The reindeer lives in Lapland.",
    "The seal lives in Saimaa.",
    "The bear lives in Karelia.",
]
NODES = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]


class Home(BaseModel):
    """Where an animal lives."""

    place: str


@pytest.fixture(params=["synthesize", "asynthesize"])
def synthesized(request: pytest.FixtureRequest) -> Synthesized:
    """Make an answer of documents, in a thread and in an event loop."""

    async def synthesized(
        endpoint: EmulatedEndpoint,
        mode: ResponseMode,
        nodes: Sequence[NodeWithScore] = NODES,
        *,
        model: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> Any:
        llm = DataCrunch(base_url=endpoint.url, **model)
        synthesizer = get_response_synthesizer(llm=llm, response_mode=mode, **options)
        if request.param == "asynthesize":
            return await synthesizer.asynthesize(QUESTION, [*nodes])
        return await asyncio.to_thread(synthesizer.synthesize, QUESTION, [*nodes])

    return synthesized


def prompts(endpoint: EmulatedEndpoint) -> list[str]:
    return [request.json["inputs"] for request in endpoint.requests]


@pytest.mark.parametrize(
    "mode",
    [ResponseMode.COMPACT, ResponseMode.TREE_SUMMARIZE, ResponseMode.SIMPLE_SUMMARIZE],
)
async def test_documents_that_fit_are_packed_into_one_prompt(
    serve: Serve, synthesized: Synthesized, mode: ResponseMode
) -> None:
    """Documents that fit are sent in one prompt."""
    endpoint = serve(answers="In Finland.")
    assert f"{await synthesized(endpoint, mode)}" == "In Finland."
    (prompt,) = prompts(endpoint)
    assert all(text in prompt for text in [*TEXTS, QUESTION])


async def test_each_document_refines_the_answer_before_it(
    serve: Serve, synthesized: Synthesized
) -> None:
    """The mode `refine` sends each document with the previous answer."""
    endpoint = serve(answers=("One place.", "Two places.", "Three places."))
    assert f"{await synthesized(endpoint, ResponseMode.REFINE)}" == "Three places."
    for prompt, text in zip(prompts(endpoint), TEXTS, strict=True):
        assert [other in prompt for other in TEXTS] == [other == text for other in TEXTS]
    said = [re.findall(r"\w+ places?\.", prompt) for prompt in prompts(endpoint)]
    assert said == [[], ["One place."], ["Two places."]]


async def test_a_document_may_be_found_to_hold_no_answer(
    serve: Serve, synthesized: Synthesized
) -> None:
    """`structured_answer_filtering` ignores documents without an answer."""
    found = ("In Lapland.", False), ("In Saimaa.", True), ("In Karelia.", False)
    answers = [json.dumps({"answer": text, "query_satisfied": holds}) for text, holds in found]
    said = await synthesized(
        serve(answers=answers), ResponseMode.REFINE, structured_answer_filtering=True
    )
    assert f"{said}" == "In Saimaa."


async def test_more_than_fits_is_summarized_and_the_summaries_again(
    serve: Serve, synthesized: Synthesized
) -> None:
    """`tree_summarize` summarizes summaries if the documents do not fit."""
    endpoint = serve(answers="In Finland.")
    long = [NodeWithScore(node=TextNode(text=60 * text)) for text in TEXTS]
    said = await synthesized(
        endpoint, ResponseMode.TREE_SUMMARIZE, long, model={"context_window": 640, "max_tokens": 64}
    )
    assert f"{said}" == "In Finland."
    *_, last = prompts(endpoint)
    assert last.count("In Finland.") == len(endpoint.requests) - 1 == 3


async def test_each_document_has_an_answer_with_its_number(
    serve: Serve, synthesized: Synthesized
) -> None:
    """`accumulate` returns a numbered answer for each document."""
    answers = {re.compile(text): text.split()[-1] for text in TEXTS}
    said = await synthesized(serve(answers=answers), ResponseMode.ACCUMULATE)
    numbered = [line for line in f"{said}".splitlines() if line.strip("-")]
    assert numbered == ["Response 1: Lapland.", "Response 2: Saimaa.", "Response 3: Karelia."]


async def test_the_prompts_of_many_documents_are_sent_together(
    serve: Serve, synthesized: Synthesized
) -> None:
    """With `use_async`, prompts are sent at the same time."""
    together = threading.Barrier(3)  # no document is answered before all are asked about

    def answer(_: str) -> str:
        together.wait(timeout=20)
        return "Yes."

    said = await synthesized(serve(answers=answer), ResponseMode.ACCUMULATE, use_async=True)
    assert f"{said}".count("Yes.") == 3


async def test_without_documents_the_question_alone_is_generated_from(
    serve: Serve, synthesized: Synthesized
) -> None:
    """`generation` sends the question without documents."""
    endpoint = serve(answers="Everywhere.")
    assert f"{await synthesized(endpoint, ResponseMode.GENERATION)}" == "Everywhere."
    assert prompts(endpoint) == [QUESTION]


async def test_where_nothing_was_found_nothing_is_sent(
    serve: Serve, synthesized: Synthesized
) -> None:
    """Without documents no request is sent."""
    endpoint = serve(answers="Everywhere.")
    assert f"{await synthesized(endpoint, ResponseMode.COMPACT, [])}" == "Empty Response"
    assert not endpoint.requests


@pytest.mark.parametrize(
    "mode", [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE]
)
async def test_an_answer_may_be_an_object(
    serve: Serve, synthesized: Synthesized, mode: ResponseMode
) -> None:
    """`output_cls` makes the answer an object."""
    endpoint = serve(answers='{"place": "Finland"}')
    said = await synthesized(endpoint, mode, output_cls=Home)
    assert said.response == Home(place="Finland")


@pytest.mark.parametrize("is_chat_model", [False, True])
async def test_an_answer_has_its_sources_for_prompts_and_messages(
    serve: Serve,
    synthesized: Synthesized,
    is_chat_model: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    """A response has its source nodes, with prompts and with chats."""
    endpoint = serve(answers="In Finland.")
    said = await synthesized(endpoint, ResponseMode.COMPACT, model={"is_chat_model": is_chat_model})
    assert [found.text for found in said.source_nodes] == TEXTS
    assert prompts(endpoint)[0].startswith("system: ") is is_chat_model
