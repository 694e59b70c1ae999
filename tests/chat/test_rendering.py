"""`render` equals transformers' `apply_chat_template`, byte for byte, or both refuse."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate

HERE = Path(__file__).parent
CONVERSATIONS = json.loads((HERE / "conversations.json").read_text(encoding="utf-8"))
NAMED = list(ChatTemplate.names())
OWN = sorted(path.stem for path in (HERE / "templates").glob("*.jinja"))
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a <city> & its surroundings: 'ä'.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    }
]
OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {"add_generation_prompt": False},
    "answer started": {"add_generation_prompt": True},
    "answer continued": {"add_generation_prompt": False, "continue_final_message": True},
    "with tools": {"add_generation_prompt": True, "tools": TOOLS},
    "with no tools": {"add_generation_prompt": True, "tools": []},
    "with variables": {
        "add_generation_prompt": True,
        "enable_thinking": False,
        "documents": [{"title": "A", "text": "B"}],
        "eos_token": "<end>",
        "pair": (1, [2.5, None, True]),
    },
}


@pytest.fixture(scope="session")
def theirs(make_tokenizer: Callable[..., Any]) -> Callable[..., str | None]:
    """Render with transformers; return None if it refuses."""

    @cache
    def tokenizer(bos_token: str | None, eos_token: str | None) -> Any:
        special = {"bos_token": bos_token, "eos_token": eos_token}
        return make_tokenizer(
            **{name: token for name, token in special.items() if token is not None}
        )

    def render(template: ChatTemplate, messages: Any, **options: Any) -> str | None:
        try:
            text = tokenizer(template.bos_token, template.eos_token).apply_chat_template(
                messages, chat_template=template.template, tokenize=False, **options
            )
        except Exception:  # noqa: BLE001 -- whatever it is, ours is to refuse too
            return None
        assert isinstance(text, str)
        return text

    return render


def _ours(template: ChatTemplate, messages: Any, **options: Any) -> str | None:
    try:
        return template.render(messages, **options)
    except ArgumentError:
        return None


def _template(name: str) -> ChatTemplate:
    if name in NAMED:
        return ChatTemplate.named(name)
    text = (HERE / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return ChatTemplate(text, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", NAMED + OWN)
def test_every_conversation_is_rendered_as_by_transformers(
    name: str, options: str, theirs: Callable[..., str | None]
) -> None:
    """Prompts and refusals are those of transformers' `apply_chat_template`."""
    template, given = _template(name), OPTIONS[options]
    rendered = 0
    for title, chat in CONVERSATIONS.items():
        before = _ours(template, chat, **given)
        expected = theirs(template, chat, **given)
        # Again, because midnight may be between them, and one template has the date.
        assert expected == before or expected == _ours(template, chat, **given), title
        rendered += expected is not None
    assert rendered > 2, "the comparison is of refusals only"


def test_the_messages_stay_as_they_were() -> None:
    """Rendering does not change the messages."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello"}], "name": None}]
    copy = json.loads(json.dumps(messages))
    template = _template("blocks")
    template.render(messages, continue_final_message=True)
    template.prompt(messages)
    assert messages == copy


def test_no_turn_is_started_if_one_is_continued() -> None:
    """`continue_final_message` starts no new turn."""
    template = ChatTemplate("{{ add_generation_prompt }} {{ messages[0].content }}!")
    assert template.render([{"role": "assistant", "content": "A"}]) == "True A!"
    continued = template.render(
        [{"role": "assistant", "content": "A"}], continue_final_message=True
    )
    assert continued == "False A"
