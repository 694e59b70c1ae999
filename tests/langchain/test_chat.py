"""The chat model: messages in, a message out, with metadata where LangChain's users look."""

from collections.abc import Awaitable, Callable
from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessageChunk,
    HumanMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch

Call = Callable[..., Awaitable[Any]]
WORDS = ["Hello", " there", ",", " my", " friend", ""]
USAGE = {"input_tokens": 9, "output_tokens": 6, "total_tokens": 15}
METHODS = pytest.mark.parametrize("method", ["invoke", "stream", "batch", "generate"])


def test_it_is_a_chat_model() -> None:
    """`ChatDataCrunch` is a LangChain chat model."""
    assert issubclass(ChatDataCrunch, BaseChatModel)


@METHODS
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_message_has_usage_and_finish_reason_on_every_path(
    chat: ChatDataCrunch,
    ask: Call,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Every method returns a message with usage and response metadata."""
    chat = ChatDataCrunch(base_url=chat.base_url, model=chat.model, streaming=streaming)
    message = await ask(chat, method, do_sample=True, seed=7)
    assert message.text == "Hello there, my friend"
    assert message.usage_metadata == USAGE
    assert message.response_metadata == {
        "finish_reason": "stop",
        "tgi_finish_reason": "eos_token",
        "seed": 7,
        "token_usage": {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15},
        "model_name": "llama-2-13b-chat",
        "model_provider": "datacrunch",
    }
    assert [block["type"] for block in message.content_blocks] == ["text"]


@METHODS
async def test_prompt_tokens_that_are_not_reported_are_not_guessed(
    serve: Callable[..., EmulatedEndpoint], ask: Call, method: str
) -> None:
    """Without reported prompt tokens or a tokenizer, there is no `usage_metadata`."""
    url = serve(answers="Hello", dialect="1.1.1").url
    chat = ChatDataCrunch(base_url=url, model="llama-2-13b-chat")
    message = await ask(chat, method)
    assert message.usage_metadata is None
    assert message.response_metadata["token_usage"] == {"completion_tokens": 2}
    counting = ChatDataCrunch(base_url=url, model="llama-2-13b-chat", tokenizer=str.split)
    message = await ask(counting, method)
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


async def test_usage_adds_up_to_what_the_server_counted(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, ask: Call
) -> None:
    """LangChain's usage callback sums what the server reports."""
    with get_usage_metadata_callback() as counted:
        for method in ("invoke", "stream", "batch"):
            await ask(chat, method)
    assert counted.usage_metadata == {
        "llama-2-13b-chat": {name: 3 * number for name, number in USAGE.items()}
    }
    result = await call(chat, "generate", [[HumanMessage("Hi")]] * 2)
    usage = {"prompt_tokens": 18, "completion_tokens": 12, "total_tokens": 30}
    assert result.llm_output["token_usage"] == usage
    assert len(endpoint.requests) == 5


@METHODS
async def test_log_probabilities_are_reported_where_they_are_asked_for(
    chat: ChatDataCrunch, ask: Call, method: str
) -> None:
    """`logprobs` and `top_logprobs` add log probabilities, as OpenAI has them."""
    assert "logprobs" not in (await ask(chat, method)).response_metadata
    message = await ask(chat, method, top_logprobs=2)
    content = message.response_metadata["logprobs"]["content"]
    assert [token["token"] for token in content] == [*WORDS[:-1], "</s>"]
    assert {token["logprob"] for token in content} == {-0.25}
    assert bytes(content[1]["bytes"]) == b" there"
    assert [other["token"] for other in content[1]["top_logprobs"]] == [" there", " the"]
    message = await ask(chat.bind(logprobs=True), "invoke")
    assert message.response_metadata["logprobs"]["content"][0]["top_logprobs"] == []


async def test_each_token_is_a_chunk_and_a_callback_once_and_one_chunk_is_the_last(
    chat: ChatDataCrunch, call: Call, remembering: Any
) -> None:
    """Each token is one chunk and one callback; the last chunk is marked."""
    chunks = await call(chat, "stream", "Hi", config={"callbacks": [remembering]})
    assert [chunk.content for chunk in chunks] == WORDS
    assert [chunk.chunk_position for chunk in chunks] == [None] * 5 + ["last"]
    assert [*remembering.tokens.values()] == [WORDS]
    assert [chunk.message.content for chunk in remembering.chunks] == WORDS
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usages == [USAGE]


async def test_a_chain_that_is_invoked_streams_to_who_listens(chat: ChatDataCrunch) -> None:
    """`astream_events` of a chain has each token of the model."""
    chain = ChatPromptTemplate.from_messages([("user", "{text}")]) | chat | StrOutputParser()
    events = [event async for event in chain.astream_events({"text": "Hi"}, version="v2")]
    streamed = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in streamed)
    assert [chunk.content for chunk in streamed] == WORDS


async def test_the_protocols_events_reach_callbacks_too(
    chat: ChatDataCrunch, remembering: Any
) -> None:
    """`stream_events` version 3 yields text and usage, and callbacks get each token."""
    stream = chat.stream_events("Hi", version="v3", config={"callbacks": [remembering]})
    assert "".join(stream.text) == "Hello there, my friend"
    assert stream.output.usage_metadata == USAGE
    assert [*remembering.tokens.values()] == [WORDS]


async def test_a_call_may_ask_to_be_streamed_or_not(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call
) -> None:
    """The argument `stream` of a call takes precedence over `streaming`."""
    await call(chat, "invoke", "Hi", stream=True)
    streaming = ChatDataCrunch(base_url=endpoint.url, model=chat.model, streaming=True)
    await call(streaming, "invoke", "Hi", stream=False)
    assert [request.path for request in endpoint.requests] == ["/generate_stream", "/generate"]


async def test_a_thousand_chunks_add_up_to_their_message(
    serve: Callable[..., EmulatedEndpoint], call: Call
) -> None:
    """The chunks of a long stream add up to the message and its metadata."""
    url = serve(answers="word " * 999).url
    chat = ChatDataCrunch(base_url=url, model="llama-2-13b-chat", max_tokens=1500, logprobs=True)
    chunks = await call(chat, "stream", "Hi")
    whole = reduce(add, chunks)
    assert (len(chunks), whole.text) == (1001, "word " * 999)
    metadata = whole.response_metadata
    assert (metadata["finish_reason"], metadata["model_name"]) == ("stop", "llama-2-13b-chat")
    assert len(metadata["logprobs"]["content"]) == 1001
    assert whole.usage_metadata["output_tokens"] == 1001
