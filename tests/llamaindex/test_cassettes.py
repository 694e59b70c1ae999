"""What two real servers answered, replayed: what is sent is what was recorded, letter by letter."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core import get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]
QUESTION = "How do I stop generation at a word?"
ANSWER = "Pass the word in stop, a list of strings. Generation ends as soon as one of them appears."

pytestmark = [pytest.mark.vcr, pytest.mark.usefixtures("server")]


@pytest.fixture(params=["fork-1.1.1", "tgi-3.3.7"])
def server(request: pytest.FixtureRequest) -> str:
    """The server that was recorded."""
    return str(request.param)


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest, server: str) -> str:
    """The cassette that a test names, as this server recorded it."""
    marker = request.node.get_closest_marker("default_cassette")
    return f"{server}/{marker.args[0]}"


@pytest.fixture
def model() -> DataCrunch:
    return DataCrunch(
        base_url="http://endpoint.invalid",
        api_key="sk-secret",
        model="llama-2-13b-chat",
        max_tokens=120,
        completion_to_prompt=lambda prompt: f"[INST] {prompt} [/INST]",
        messages_to_prompt=lambda messages: f"[INST] {messages[-1].content} [/INST]",
    )


@pytest.fixture
def document(recordings: dict[str, Any], server: str) -> NodeWithScore:
    """The document of the recorded question-answering prompt."""
    prompt = recordings[f"{server}/rag-stop"]["request"]["json"]["inputs"]
    text = prompt.partition("file_path: length.md\n\n")[2].partition("\n-----")[0]
    return NodeWithScore(node=TextNode(text=text, metadata={"file_path": "length.md"}))


@pytest.mark.default_cassette("ask-stop.yaml")
async def test_an_answer(model: DataCrunch, ask_whole: Ask) -> None:
    """A call gives the recorded answer."""
    (said,) = await ask_whole(model, QUESTION)
    check_answer(said)


@pytest.mark.default_cassette("ask-stop-stream.yaml")
async def test_a_streamed_answer(model: DataCrunch, ask_streamed: Ask) -> None:
    """A stream gives the recorded answer token by token."""
    chunks = await ask_streamed(model, QUESTION)
    check_answer(chunks[-1])
    assert "".join(chunk.delta for chunk in chunks) == chunks[-1].text
    assert len(chunks) == 27 + 1


def check_answer(said: Any) -> None:
    assert said.text == f" {ANSWER}"
    assert (said.raw["finish_reason"], said.raw["tgi_finish_reason"]) == ("stop", "eos_token")
    assert said.raw["usage"]["completion_tokens"] == len(said.logprobs) == 27
    assert said.raw["usage"].get("prompt_tokens", 14) == 14
    assert [one.token for one in said.logprobs[-1]] == ["</s>"]
    assert json.loads(json.dumps(said.raw)) == said.raw


@pytest.mark.default_cassette("japanese-cut-5.yaml")
async def test_an_answer_that_ends_within_a_character(model: DataCrunch, ask_whole: Ask) -> None:
    """An answer that is cut inside a character keeps the characters before it."""
    (said,) = await ask_whole(model, "Say hello in Japanese.", max_tokens=5)
    check_cut(said)


@pytest.mark.default_cassette("japanese-cut-5-stream.yaml")
async def test_a_streamed_answer_that_ends_within_a_character(
    model: DataCrunch, ask_streamed: Ask
) -> None:
    """A stream yields a character when its last token has arrived."""
    chunks = await ask_streamed(model, "Say hello in Japanese.", max_tokens=5)
    check_cut(chunks[-1])
    assert [chunk.delta for chunk in chunks] == [" ", "", "", "こ", "", ""]


def check_cut(said: Any) -> None:
    assert (said.text, said.raw["finish_reason"]) == (" こ", "length")
    assert said.raw["generated_text"] == ""  # the servers give up on such an answer
    assert said.raw["usage"]["completion_tokens"] == len(said.logprobs) == 5


@pytest.mark.default_cassette("rag-stop.yaml")
@pytest.mark.parametrize("method", ["synthesize", "asynthesize"])
async def test_a_question_to_a_document(
    model: DataCrunch, document: NodeWithScore, method: str
) -> None:
    """A response synthesizer gives the recorded answer."""
    model.completion_to_prompt = None
    synthesizer = get_response_synthesizer(llm=model)
    response: Any = getattr(synthesizer, method)(QUESTION, [document])
    assert f"{await response if method == 'asynthesize' else response}" == ANSWER


@pytest.mark.default_cassette("rag-stop-stream.yaml")
@pytest.mark.parametrize("method", ["synthesize", "asynthesize"])
async def test_a_question_to_a_document_answered_in_a_stream(
    model: DataCrunch, document: NodeWithScore, method: str
) -> None:
    """A streaming response synthesizer gives the recorded answer."""
    model.completion_to_prompt = None
    synthesizer = get_response_synthesizer(llm=model, streaming=True)
    response: Any = getattr(synthesizer, method)(QUESTION, [document])
    if method == "asynthesize":
        deltas = [delta async for delta in (await response).response_gen]
    else:
        deltas = [*response.response_gen]
    assert "".join(deltas) == ANSWER
    assert len(deltas) > 20
