"""Every order of messages is sent: a template gets them as they are."""

from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch
from tests.conftest import TEMPLATES

Call = Callable[..., Awaitable[Any]]
KINDS: dict[str, Callable[[str], BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
    "tool": lambda text: ToolMessage(text, tool_call_id="1"),
}
AS_JSON = ChatTemplate("{{ messages | tojson }}")


def history(*roles: str) -> tuple[list[BaseMessage], list[dict[str, str]]]:
    """Return LangChain's messages of some roles, and those that a template gets."""
    texts = [f"word{place}" for place in range(len(roles))]
    given = [KINDS[role](text) for role, text in zip(roles, texts, strict=True)]
    expected = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    return given, [
        one | {"tool_call_id": "1"} if one["role"] == "tool" else one for one in expected
    ]


def test_every_order_of_messages_is_sent(endpoint: EmulatedEndpoint) -> None:
    """What each bundled template makes of every order is tested with the templates."""
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=AS_JSON, max_tokens=2)
    for length in range(1, 5):
        for roles in product(KINDS, repeat=length):
            given, expected = history(*roles)
            chat.invoke(given)
            assert endpoint.requests[-1].json["inputs"] == AS_JSON.prompt(expected), roles


@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("template", TEMPLATES)
async def test_the_prompt_is_the_templates(
    endpoint: EmulatedEndpoint, call: Call, method: str, template: str
) -> None:
    """Histories that were cut are sent in the template; a last assistant message is continued."""
    chat = ChatDataCrunch(base_url=endpoint.url, chat_template=template, max_tokens=2)
    for roles in (("assistant", "user"), ("tool", "user", "system", "assistant")):
        given, expected = history(*roles)
        await call(chat, method, given)
        sent = endpoint.requests[-1].json["inputs"]
        assert sent == ChatTemplate.named(template).prompt(expected)


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_no_messages_are_refused(
    chat: ChatDataCrunch, endpoint: EmulatedEndpoint, call: Call, method: str
) -> None:
    """There is nothing to send; counted, they are no tokens."""
    with pytest.raises(ArgumentError, match=r"^messages: must not be empty"):
        await call(chat, method, [])
    assert chat.get_num_tokens_from_messages([]) == 0
    assert not endpoint.requests
