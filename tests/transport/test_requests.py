"""What is sent is what the user means, and what fails before it costs no request."""

import json
import threading
from collections import UserDict
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, Client
from datacrunch_tgi.testing import EmulatedEndpoint


def test_a_header_of_the_users_stands_in_the_place_of_our_own(http: Any, serve: Any) -> None:
    """The user's headers replace the client's own."""
    server = serve(http.answer())
    headers = {"user-agent": "my-app/1", "X-Team": "one"}
    with Client(base_url=server.url, headers=headers) as client:
        client.generate("Hello")
    sent = server.requests[0].headers
    assert (sent["user-agent"], sent["x-team"]) == ("my-app/1", "one")


def test_a_tokenizer_that_fails_costs_no_request(http: Any, serve: Any) -> None:
    """If the tokenizer fails, no request is sent."""
    server = serve(http.answer())

    def broken(_: str) -> list[int]:
        raise KeyError("vocab")

    with Client(base_url=server.url, tokenizer=broken) as client, pytest.raises(KeyError):
        client.generate("Hello")
    assert server.requests == []


def test_a_tokenizer_that_returns_no_tokens_is_refused_with_advice(http: Any, serve: Any) -> None:
    """A transformers tokenizer returns a mapping, whose length is no number of tokens."""
    server = serve(http.answer())

    def like_transformers(_: str) -> Any:
        return UserDict({"input_ids": [1, 2, 3], "attention_mask": [1, 1, 1]})

    with (
        Client(base_url=server.url, tokenizer=like_transformers) as client,
        pytest.raises(ArgumentError, match="must return the tokens themselves: pass its encode"),
    ):
        client.generate("Hello")
    assert server.requests == []


def test_a_client_with_other_settings_shares_connections_unless_they_lead_elsewhere(
    http: Any, serve: Any
) -> None:
    """Copies share connections unless target or headers differ."""
    server = serve(http.answer())
    with Client(base_url=server.url, api_key="sk-1", model="one") as client:
        other = client.with_settings(model="two", max_retries=0, first_token_timeout=5)
        for each in (client, other, client.with_settings(api_key="sk-2")):
            each.generate("Hello")
    assert [json.loads(request.body)["model"] for request in server.requests] == [
        "one",
        "two",
        "one",
    ]
    keys = [request.headers["authorization"] for request in server.requests]
    assert keys == ["Bearer sk-1", "Bearer sk-1", "Bearer sk-2"]
    assert (client.model, client.settings.max_retries, other.settings.max_retries) == ("one", 2, 0)
    assert server.accepted == 2
    with pytest.raises(ArgumentError, match="max_retrys: no such setting; did you mean"):
        client.with_settings(max_retrys=1)  # type: ignore[call-arg]  # the test is about it


async def test_a_tokenizer_never_blocks_the_event_loop(http: Any, serve: Any) -> None:
    """An async client runs the tokenizer in another thread."""
    used: list[int] = []

    def tokenizer(_: str) -> list[int]:
        used.append(threading.get_ident())
        return [1, 2]

    async with AsyncClient(base_url=serve(http.answer()).url, tokenizer=tokenizer) as client:
        answer = await client.generate("Hello")
    assert answer.usage.prompt_tokens == 2
    assert threading.get_ident() not in used


def test_an_ipv6_address_is_an_address(caller: Any) -> None:
    """IPv6 addresses in brackets are accepted."""
    with EmulatedEndpoint(answers="Hi you", host="::1") as endpoint:
        assert caller(endpoint.url).ask("generate").text == "Hi you"
        assert caller(endpoint.url).ask("stream").text == "Hi you"
