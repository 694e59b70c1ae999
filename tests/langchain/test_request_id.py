"""The id that the server gave to a request is where LangChain's users look for an answer's metadata."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM

Call = Callable[..., Awaitable[Any]]


def answer_with(endpoint: EmulatedEndpoint, method: str, *names: str) -> None:
    """Let the next answers have these request ids."""
    token = {"id": 1, "text": "Hi", "logprob": -0.1, "special": False}
    details = {"finish_reason": "length", "generated_tokens": 1, "seed": None, "tokens": [token]}
    event = {"token": token, "generated_text": "Hi", "details": details}
    for name in names:
        headers = {"X-Request-Id": name, "Content-Type": "application/json"}
        body = json.dumps({"generated_text": "Hi", "details": details})
        if method == "stream":
            headers["Content-Type"], body = "text/event-stream", f"data:{json.dumps(event)}\n\n"
        endpoint.fail_next(status=200, body=body, headers=headers)


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_a_message_has_it(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, method: str
) -> None:
    """In `response_metadata`, of a stream in the last chunk's."""
    answer_with(endpoint, method, "id-1")
    answer = await call(chat, method, "Hi")
    message = answer[-1] if isinstance(answer, list) else answer
    assert message.response_metadata["request_id"] == "id-1"
    assert "request_id" not in (await call(chat, "invoke", "Hi")).response_metadata


async def test_results_have_it_and_their_sum_has_none(
    llm: DataCrunchLLM, chat: ChatDataCrunch, endpoint: EmulatedEndpoint
) -> None:
    """In `generation_info` and in `llm_output`, which several prompts have in common."""
    answer_with(endpoint, "invoke", "id-1")
    one = llm.generate(["Hi"])
    assert (one.llm_output or {})["request_id"] == "id-1"
    answer_with(endpoint, "invoke", "id-2", "id-3")
    two = llm.generate(["Hi", "you"])
    infos = [generation.generation_info or {} for (generation,) in two.generations]
    assert {info["request_id"] for info in infos} == {"id-2", "id-3"}
    assert "request_id" not in (two.llm_output or {})
    answer_with(endpoint, "invoke", "id-4")
    assert (chat.generate([[HumanMessage("Hi")]]).llm_output or {})["request_id"] == "id-4"


async def test_it_is_no_part_of_the_caches_key(endpoint: EmulatedEndpoint) -> None:
    """A cached answer is found again, with the id of the request that it came from."""
    model = ChatDataCrunch(base_url=endpoint.url, model="llama-2-7b-chat", cache=InMemoryCache())
    answer_with(endpoint, "invoke", "id-1", "id-2")
    answers = [model.invoke("Hi") for _ in range(2)]
    assert [answer.response_metadata["request_id"] for answer in answers] == ["id-1", "id-1"]
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_an_answer_that_does_not_fit_has_it(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, method: str
) -> None:
    """The error names the request whose answer it refuses."""
    answer_with(endpoint, method, "id-1")
    schema = {"title": "Place", "type": "object", "properties": {"name": {"type": "string"}}}
    with pytest.raises(StructuredOutputError, match="request id id-1") as caught:
        await call(chat, method, "Hi", response_format=schema)
    assert caught.value.request_id == "id-1"
