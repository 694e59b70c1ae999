"""Tokens reach chains and callbacks in time, and once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import GenerationChunk
from langchain_core.runnables import RunnableLambda

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

WORDS = ["Hello", " there", ",", " my", " friend", ""]
"""What `endpoint` answers; the end token shows nothing."""

STREAMED = pytest.mark.parametrize(
    ("method", "streaming"),
    [("stream", False), ("invoke", True), ("generate", True), ("batch", True)],
)


def _input(method: str) -> Any:
    return ["Hi"] if method in {"generate", "batch"} else "Hi"


async def test_each_token_is_an_event_of_the_chain_that_the_model_is_in(llm: DataCrunchLLM) -> None:
    """`astream_events` of a chain has each token of the model."""
    chain = RunnableLambda[str, str](str.strip) | llm | StrOutputParser()
    events = [event async for event in chain.astream_events(" Hi ", version="v2")]
    streamed = [event["data"].get("chunk") for event in events if event["event"] == "on_llm_stream"]
    assert all(isinstance(chunk, GenerationChunk) for chunk in streamed)
    assert [chunk.text for chunk in streamed if chunk] == WORDS


@STREAMED
async def test_a_callback_gets_each_token_once_with_its_chunk(
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Callbacks get each token once, with its chunk and log probability."""
    llm.streaming = streaming
    llm.callbacks = [remembering]
    await call(llm, method, _input(method))
    (tokens,) = remembering.tokens.values()
    assert tokens == WORDS
    assert [chunk.text for chunk in remembering.chunks] == WORDS
    infos = [chunk.generation_info["tokens"] for chunk in remembering.chunks]
    assert [token["text"] for (token,) in infos] == [*WORDS[:-1], "</s>"]
    assert all(isinstance(token["logprob"], float) for (token,) in infos)


@pytest.mark.parametrize(("method", "streaming"), [("astream", False), ("ainvoke", True)])
async def test_an_asynchronous_callback_gets_each_token_too(
    llm: DataCrunchLLM,
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Async callbacks get each token."""
    heard: list[str] = []

    class Listening(AsyncCallbackHandler):
        async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
            assert chunk.text == token
            heard.append(token)

    llm.streaming = streaming
    result = getattr(llm, method)("Hi", config={"callbacks": [Listening()]})
    if method == "astream":
        _ = [token async for token in result]
    else:
        await result
    assert heard == WORDS


def test_a_callback_hears_of_a_token_before_the_stream_yields_it(
    llm: DataCrunchLLM, remembering: Any
) -> None:
    """Callbacks get a token before the stream yields it."""
    stream = llm.stream("Hi", config={"callbacks": [remembering]})
    for count, _ in enumerate(stream, start=1):
        assert len(remembering.chunks) == count


async def test_an_asynchronous_callback_hears_of_a_token_before_the_stream_yields_it(
    llm: DataCrunchLLM, remembering: Any
) -> None:
    """Callbacks get a token before the async stream yields it."""
    count = 0
    async for _ in llm.astream("Hi", config={"callbacks": [remembering]}):
        count += 1
        assert len(remembering.chunks) == count


@pytest.mark.parametrize(("method", "streaming"), [("stream", False), ("invoke", True)])
async def test_a_callback_gets_the_first_tokens_before_the_server_has_sent_the_third(
    endpoint: EmulatedEndpoint,
    llm: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
    method: str,
    streaming: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Callbacks get tokens while the server is still generating."""

    class Leaving(BaseCallbackHandler):
        """Leaves at the second token; the server, silent after it, would never send a third."""

        raise_error = True
        run_inline = True
        heard = 0

        def on_llm_new_token(self, *_: Any, **__: Any) -> None:
            self.heard += 1
            if self.heard == 2:
                raise EOFError

    llm.streaming = streaming
    endpoint.fail_next(stall=600, stall_after=2)
    with pytest.raises(EOFError):
        await call(llm, method, "Hi", config={"callbacks": [Leaving()]})
    await asyncio.to_thread(endpoint.wait_until_idle)
    (request,) = endpoint.requests
    assert (request.events, request.left_early) == (2, True)


async def test_an_answer_without_words_is_still_a_chunk(
    serve: Callable[..., EmulatedEndpoint], call: Callable[..., Awaitable[Any]]
) -> None:
    """An empty answer is one empty chunk."""
    llm = DataCrunchLLM(base_url=serve(answers="").url)
    assert await call(llm, "stream", "Hi") == [""]
    assert await call(llm, "invoke", "Hi") == ""


async def test_without_streaming_invoke_asks_for_the_whole_answer(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """`invoke` uses `/generate` by default."""
    assert await call(llm, "invoke", "Hi") == "".join(WORDS)
    assert [request.path for request in endpoint.requests] == ["/generate"]


async def test_with_streaming_invoke_streams(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """With `streaming=True`, `invoke` uses `/generate_stream`."""
    llm.streaming = True
    assert await call(llm, "invoke", "Hi") == "".join(WORDS)
    assert [request.path for request in endpoint.requests] == ["/generate_stream"]
