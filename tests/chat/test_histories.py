"""Every order of messages is accepted, and rendered as by transformers if it accepts it."""

import json
import logging
import random
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ChatTemplate

HERE = Path(__file__).parent
OWN = sorted(path.stem for path in (HERE / "templates").glob("*.jinja"))
ROLES = ("system", "user", "assistant", "tool")
LENGTHS = pytest.mark.parametrize("length", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
CALL = {"id": "call00001", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}


@pytest.fixture(scope="session")
def theirs(make_tokenizer: Callable[..., Any]) -> Callable[[ChatTemplate, Any], str | None]:
    """Render with transformers, without the BOS token; return None if it refuses."""
    tokenizer = make_tokenizer()

    def render(template: ChatTemplate, chat: Any) -> str | None:
        tokenizer.bos_token, tokenizer.eos_token = template.bos_token, template.eos_token
        continued = chat[-1]["role"] == "assistant"
        try:
            text = tokenizer.apply_chat_template(
                chat,
                chat_template=template.template,
                tokenize=False,
                add_generation_prompt=not continued,
                continue_final_message=continued,
            )
        except Exception:  # noqa: BLE001 -- a template refuses as it likes
            return None
        assert isinstance(text, str)
        return text.removeprefix(template.bos_token or "")

    return render


def _chat(roles: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"role": role, "content": f"words{place}"}
        | ({"tool_call_id": "call00001"} if role == "tool" else {})
        for place, role in enumerate(roles)
    ]


def _template(name: str) -> ChatTemplate:
    if name in ChatTemplate.names():
        return ChatTemplate.named(name)
    text = (HERE / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return ChatTemplate(text, bos_token="<s>", eos_token="</s>")


@LENGTHS
@pytest.mark.parametrize("name", [*ChatTemplate.names(), *OWN])
def test_every_order_of_messages_is_sent(
    name: str, length: int, theirs: Callable[[ChatTemplate, Any], str | None]
) -> None:
    """No order is refused and no message is lost; what transformers renders completely is sent unchanged."""
    template = _template(name)
    for roles in product(ROLES, repeat=length):
        chat = _chat(roles)
        prompt = template.prompt(chat)
        assert all(prompt.count(message["content"]) == 1 for message in chat), roles
        expected = theirs(template, chat)
        if expected is not None and all(message["content"] in expected for message in chat):
            assert prompt == expected, roles


@LENGTHS
@pytest.mark.parametrize("name", ChatTemplate.names())
def test_a_bundled_template_drops_nothing(
    name: str, length: int, theirs: Callable[[ChatTemplate, Any], str | None]
) -> None:
    """A bundled template refuses what it cannot render, so `render` never loses a message."""
    for roles in product(ROLES, repeat=length):
        chat = _chat(roles)
        expected = theirs(ChatTemplate.named(name), chat)
        assert expected is None or all(message["content"] in expected for message in chat), roles


@pytest.mark.parametrize("parts", [30, pytest.param(90, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*ChatTemplate.names(), *OWN])
def test_any_part_of_a_conversation_is_sent(name: str, parts: int) -> None:
    """Slices and reversed lists, empty texts and calls without results: what counters ask for."""
    chat: list[dict[str, Any]] = [
        {"role": "system", "content": "S0"},
        {"role": "assistant", "content": "Hello! A0"},
        {"role": "user", "content": ""},
        {"role": "user", "content": "U0"},
        {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "call00002"}]},
        {"role": "tool", "tool_call_id": "call00002", "content": "T2"},
        {"role": "tool", "tool_call_id": "call00001", "content": "T1"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "U1"}]},
    ]
    template = _template(name)
    ends = combinations(range(len(chat) + 1), 2)
    slices = [whole[start:end] for start, end in ends for whole in (chat, chat[::-1])]
    for part in random.Random(name).sample(slices, parts):
        prompt = template.prompt(part)
        texts = json.dumps([message["content"] for message in part])
        for words in ("S0", "A0", "U0", "T1", "T2", "U1"):
            assert (words in prompt) == (words in texts)


def test_what_was_changed_is_one_entry_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the change without any text; unchanged conversations are not logged."""
    template = ChatTemplate.named("llama-2")
    with caplog.at_level(logging.DEBUG, logger="datacrunch_tgi"):
        template.prompt(_chat(("user", "assistant", "user")))
        assert caplog.messages == []
        template.prompt(_chat(("assistant", "user")))
    assert caplog.messages == [
        "messages changed for the chat template: an empty user message first"
    ]


@pytest.mark.parametrize("name", ["llama-2", "vicuna", "mistral", "gemma"])
def test_a_greeting_stays_the_assistants(name: str) -> None:
    """A greeting is sent as the assistant's, after an empty user message."""
    template = ChatTemplate.named(name)
    greeting = _chat(("assistant", "user"))
    empty: dict[str, Any] = {"role": "user", "content": ""}
    assert template.prompt(greeting) == template.prompt([empty, *greeting])


def test_results_come_in_the_order_of_their_calls() -> None:
    """Agents report results as they finish; some templates match them by position."""
    calls = [{**CALL, "id": f"call0000{n}"} for n in range(3)]
    results = [
        {"role": "tool", "tool_call_id": f"call0000{n}", "content": f"R{n}"} for n in (2, 0, 1)
    ]
    chat: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": calls},
        *results,
    ]
    prompt = _template("tools").prompt([{"role": "user", "content": "U"}, *chat])
    assert prompt.index("R0") < prompt.index("R1") < prompt.index("R2")


@pytest.mark.parametrize("name", ChatTemplate.names())
def test_a_call_that_is_last_is_complete(name: str) -> None:
    """A last message with a tool call is not continued: its turn is ended."""
    call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    prompt = _template(name).prompt([{"role": "user", "content": "U"}, call])
    assert "add" in prompt
    assert not prompt.endswith(("}", "]", "</tool_call>"))
