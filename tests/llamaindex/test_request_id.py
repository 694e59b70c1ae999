"""The id that the server gave to a request is in the raw response, and in an error."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core.tools import FunctionTool

from datacrunch_tgi import APIError, StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]


async def test_the_response_has_it(model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask) -> None:
    """The last response of a stream too; a message's own arguments stay empty."""
    token = {"id": 1, "text": "Hi", "logprob": -0.1, "special": False}
    details = {"finish_reason": "length", "generated_tokens": 1, "seed": None, "tokens": [token]}
    headers = {"X-Request-Id": "id-1", "Content-Type": "application/json"}
    body = json.dumps({"generated_text": "Hi", "details": details})
    if "stream" in ask.__name__:
        event = {"token": token, "generated_text": "Hi", "details": details}
        headers["Content-Type"], body = "text/event-stream", f"data:{json.dumps(event)}\n\n"
    endpoint.fail_next(status=200, body=body, headers=headers)
    last = (await ask(model))[-1]
    assert last.raw["request_id"] == "id-1"
    assert last.additional_kwargs == {}
    assert "request_id" not in (await ask(model))[-1].raw


async def test_an_error_has_it(model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask) -> None:
    """An error has the request id as an attribute and in its text."""
    endpoint.fail_next(status=422, body={"error": "no"}, headers={"X-Request-Id": "id-1"})
    with pytest.raises(APIError, match="request id id-1") as caught:
        await ask(model)
    assert caught.value.request_id == "id-1"


async def test_a_response_without_the_required_call_has_it(endpoint: EmulatedEndpoint) -> None:
    """The error names the request whose answer it refuses."""
    model = DataCrunch(base_url=endpoint.url, model="llama-3.1-8b-instruct")
    tool = FunctionTool.from_defaults(lambda: "sunny", name="weather", description="The weather")
    token = {"id": 1, "text": "Hi", "logprob": -0.1, "special": False}
    details = {"finish_reason": "length", "generated_tokens": 1, "seed": None, "tokens": [token]}
    body = {"generated_text": "Hi", "details": details}
    endpoint.fail_next(status=200, body=body, headers={"X-Request-Id": "id-1"})
    with pytest.raises(StructuredOutputError, match="request id id-1"):
        await model.achat_with_tools([tool], "Hi", tool_required=True)
