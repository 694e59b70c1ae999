"""Every order of messages is sent: a template gets them as they are."""

from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from tests.conftest import TEMPLATES

ROLES = ("system", "user", "assistant", "tool")
AS_JSON = ChatTemplate("{{ messages | tojson }}")


def history(*roles: str) -> tuple[list[ChatMessage], list[dict[str, str]]]:
    """Return LlamaIndex's messages of some roles, and those that a template gets."""
    expected = [
        {"role": role, "content": f"word{place}"}
        | ({"tool_call_id": "1"} if role == "tool" else {})
        for place, role in enumerate(roles)
    ]
    given = [
        ChatMessage(
            role=MessageRole(one["role"]),
            content=one["content"],
            additional_kwargs={"tool_call_id": "1"} if one["role"] == "tool" else {},
        )
        for one in expected
    ]
    return given, expected


def test_every_order_of_messages_is_sent(endpoint: EmulatedEndpoint) -> None:
    """What each bundled template makes of every order is tested with the templates."""
    llm = DataCrunch(base_url=endpoint.url, chat_template=AS_JSON, max_tokens=2)
    for length in range(1, 5):
        for roles in product(ROLES, repeat=length):
            given, expected = history(*roles)
            llm.chat(given)
            assert endpoint.requests[-1].json["inputs"] == AS_JSON.prompt(expected), roles


@pytest.fixture(params=["chat", "achat", "stream_chat", "astream_chat"])
def chat(request: pytest.FixtureRequest) -> Callable[..., Awaitable[Any]]:
    """Each way to chat."""

    async def ask(llm: DataCrunch, messages: list[ChatMessage]) -> None:
        answer: Any = getattr(llm, request.param)(messages)
        if hasattr(answer, "__await__"):
            answer = await answer
        if hasattr(answer, "__anext__"):
            assert [response async for response in answer]
        elif hasattr(answer, "__next__"):
            assert [*answer]

    return ask


@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_prompt_is_the_templates(
    endpoint: EmulatedEndpoint, chat: Callable[..., Awaitable[Any]], template: str
) -> None:
    """Histories that were cut are sent in the template; a last assistant message is continued."""
    llm = DataCrunch(base_url=endpoint.url, chat_template=template, max_tokens=2)
    for roles in (("assistant", "user"), ("tool", "user", "system", "assistant")):
        given, expected = history(*roles)
        await chat(llm, given)
        sent = endpoint.requests[-1].json["inputs"]
        assert sent == ChatTemplate.named(template).prompt(expected)


@pytest.mark.parametrize("template", ["chatml", None])
async def test_no_messages_are_refused(
    endpoint: EmulatedEndpoint, chat: Callable[..., Awaitable[Any]], template: str | None
) -> None:
    """There is nothing to send, with a template and without one."""
    llm = DataCrunch(base_url=endpoint.url, chat_template=template)
    with pytest.raises(ArgumentError, match=r"^messages: must not be empty"):
        await chat(llm, [])
    assert not endpoint.requests
