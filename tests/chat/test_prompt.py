"""`prompt`: no message is lost, whatever a template accepts."""

import json
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate

TEMPLATES = Path(__file__).parent / "templates"
ALTERNATING = ["llama-2", "mistral", "mistral-v3", "gemma", "vicuna"]
NAMED = [*ALTERNATING, "llama-3", "chatml", "zephyr", "phi-3"]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "call00001",
                "type": "function",
                "function": {"name": "weather", "arguments": {"text": "Oulu", "content": "now"}},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call00001", "content": "snow"},
]


def _chat(*turns: str) -> list[dict[str, Any]]:
    """Messages of `role: content`."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


def _own(name: str) -> ChatTemplate:
    text = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    return ChatTemplate(text, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("name", ALTERNATING)
def test_neighbours_of_one_role_are_merged_where_turns_must_alternate(name: str) -> None:
    """Consecutive messages of one role are merged if the template requires alternation."""
    template = ChatTemplate.named(name)
    given = template.prompt(_chat("user: A", "user: B", "assistant: C", "assistant: D", "user: E"))
    assert given == template.prompt(_chat("user: A\n\nB", "assistant: C\n\nD", "user: E"))


def test_nothing_is_put_before_or_after_a_text_that_is_merged_with_none() -> None:
    """Merging with an empty message adds no white space."""
    template = ChatTemplate.named("mistral")
    assert template.prompt(_chat("user: ", "user: A", "user: ")) == "[INST] A [/INST]"


@pytest.mark.parametrize("name", ["llama-3", "chatml", "zephyr", "phi-3"])
def test_neighbours_stay_apart_where_a_template_takes_them(name: str) -> None:
    """Consecutive messages of one role are kept apart if the template accepts them."""
    template, chat = ChatTemplate.named(name), _chat("user: A", "user: B")
    assert template.prompt(chat) == template.render(chat).removeprefix(template.bos_token or "")


@pytest.mark.parametrize("name", ["gemma", "mistral"])
def test_a_system_message_stands_before_the_users_where_a_template_knows_none(name: str) -> None:
    """Without a system role, its text is put before the user's."""
    template = ChatTemplate.named(name)
    given = template.prompt(_chat("system: S", "user: A", "assistant: B", "user: C"))
    assert given == template.prompt(_chat("user: S\n\nA", "assistant: B", "user: C"))


def test_the_first_system_message_stays_one_where_a_later_one_cannot() -> None:
    """The first system message keeps its role; a later one is merged."""
    chat = _chat("system: S", "user: A", "assistant: B", "system: T", "user: C")
    assert ChatTemplate.named("llama-2").prompt(chat) == (
        "[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] T\n\nC [/INST]"
    )


@pytest.mark.parametrize("name", NAMED)
def test_no_message_is_lost_wherever_it_stands(name: str) -> None:
    """Every message of any order of roles is in the prompt."""
    chats = [
        _chat("system: one", "system: two", "user: three"),
        _chat("user: one", "assistant: two", "system: three", "user: four"),
        _chat("system: one", "user: two", "assistant: three", "system: four", "system: five"),
        _chat("system: one"),
        _chat("system: one", "assistant: two", "user: three"),
        _chat("user: one", "user: two", "system: three", "user: four"),
    ]
    for chat in chats:
        prompt = ChatTemplate.named(name).prompt(chat)
        words = [message["content"] for message in chat]
        if name != "mistral-v3":  # which puts the system message last
            assert words == sorted(words, key=prompt.index)
        assert all(prompt.count(word) == 1 for word in words)


def test_what_a_models_own_template_drops_is_sent_in_another_form(tiny_llama: Path) -> None:
    """Messages that the model's own template would drop are merged instead."""
    template = ChatTemplate.from_file(tiny_llama)
    chat = _chat("system: S", "system: T", "user: A")
    assert template.render(chat) == "<s>[INST] A [/INST]"
    assert template.prompt(chat) == "[INST] <<SYS>>\nS\n\nT\n<</SYS>>\n\nA [/INST]"
    late = _chat("user: A", "assistant: B", "system: S", "user: C")
    assert template.prompt(late) == "[INST] A [/INST] B </s><s>[INST] S\n\nC [/INST]"


@pytest.mark.parametrize("name", NAMED)
def test_a_last_answer_is_continued(name: str) -> None:
    """A last assistant message is continued, without an end of its turn."""
    template = ChatTemplate.named(name)
    started = template.prompt(_chat("user: Count.", "assistant: One, two,"))
    assert started.endswith("One, two,")
    assert started.startswith(template.prompt(_chat("user: Count.")))


def test_a_last_tool_call_is_not_continued() -> None:
    """A last message with a tool call ends its turn."""
    prompt = _own("tools").prompt([CALL[0], {**CALL[1], "content": "Let me see."}])
    assert prompt.endswith("</tool_call><|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("name", NAMED)
def test_text_blocks_become_one_text(name: str) -> None:
    """Text blocks are joined to one text."""
    template = ChatTemplate.named(name)
    blocks = [{"type": "text", "text": "Hel"}, "lo ", {"type": "text", "text": "there"}]
    given = template.prompt([{"role": "user", "content": blocks}])
    assert given == template.prompt(_chat("user: Hello there"))


def test_a_template_that_knows_blocks_gets_them() -> None:
    """A template that reads text blocks gets them as blocks."""
    chat = [{"role": "user", "content": [{"type": "text", "text": t} for t in ("One ", "two")]}]
    assert _own("blocks").prompt(chat) == "\n<USER>\nOne\ntwo\n</USER>\n<ASSISTANT>\n"


@pytest.mark.parametrize(
    "filter", ["default('')", "string", "tojson", "tojson(separators=(',', ':'))"]
)
def test_no_list_of_blocks_is_taken_for_a_text(filter: str) -> None:  # noqa: A002 -- Jinja's word
    """A template that would print a list of blocks gets their text."""
    template = ChatTemplate(
        f"{{% for m in messages %}}{{{{ m.content | {filter} }}}}{{% endfor %}}"
    )
    chat = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert template.prompt(chat) == template.prompt(_chat("user: Hello"))


@pytest.mark.parametrize("kind", ["image", "audio", "file", None])
def test_a_block_that_is_not_supported_is_refused_by_its_type(kind: str | None) -> None:
    """An unsupported block is refused by type, without text of the message."""
    chat = [{"role": "user", "content": [{"type": "text", "text": "secret"}, {"type": kind}]}]
    for template in (ChatTemplate.named("llama-2"), _own("blocks")):
        with pytest.raises(ArgumentError) as caught:
            template.prompt(chat)
        assert "only text and image_url are" in caught.value.rule
        assert str(caught.value).startswith(
            f"messages[0]: content of type {kind!r} is not supported"
        )
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        {"content": "secret"},
        {"role": 5, "content": "secret"},
        {"role": "user", "content": 5},
        {"role": "user", "content": {"text": "secret"}},
        {"role": "user", "content": ["secret", 5]},
        {"role": "user", "content": [{"type": "text", "text": None}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "tool_calls": "secret"},
        {"role": "assistant", "tool_calls": [{"function": "secret"}]},
    ],
)
def test_a_malformed_message_is_named(message: dict[str, Any]) -> None:
    """A malformed message is refused by index, without its text."""
    for template in (ChatTemplate.named("llama-2"), _own("tools")):
        with pytest.raises(ArgumentError, match=r"^messages") as caught:
            template.prompt([*_chat("user: Hello"), message], images=True)
        assert "secret" not in str(caught.value)


def test_tools_calls_and_results_reach_a_template_that_knows_them() -> None:
    """Tools, calls and results are passed to a template that supports them."""
    for name in ("tools", "checks"):
        prompt = _own(name).prompt(CALL, tools=[TOOL])
        for reported in ("weather", "Oulu", "now", "snow", '"parameters"'):
            assert reported in prompt


@pytest.mark.parametrize(
    "more", [{"b": "now"}, {"text": "now"}, {"b": {"text": ["now"]}}, {"text": "Weather?"}]
)
def test_no_argument_of_a_call_is_lost(more: dict[str, Any]) -> None:
    """A call of which a template writes only some arguments is sent as text."""
    template = ChatTemplate(
        "{% for m in messages %}{{ m.content }};{% for c in m.tool_calls or [] %}"
        "{{ c.function.name }}({{ c.function.arguments.a }});{% endfor %}{% endfor %}"
    )
    for arguments, shown in (
        ({"a": "Oulu"}, ";weather(Oulu)"),
        ({"a": "Oulu", **more}, json.dumps({"a": "Oulu", **more})),
    ):
        chat = json.loads(json.dumps(CALL))
        chat[1]["tool_calls"][0]["function"]["arguments"] = arguments
        assert shown in template.prompt(chat)


def test_an_argument_called_text_is_sent_in_the_templates_own_form() -> None:
    """It is no block of a message, whatever else the messages say."""
    template = _own("tools")
    for question in ("Weather?", "Oulu"):
        chat = [*_chat(f"user: {question}"), *CALL[1:]]
        assert template.prompt(chat, tools=[TOOL]) == template.render(chat, tools=[TOOL])


@pytest.mark.parametrize("name", [name for name in NAMED if name != "mistral-v3"])
def test_a_template_without_a_place_for_tools_has_them_in_words(name: str) -> None:
    """Tools are described, calls and results become texts."""
    template = ChatTemplate.named(name)
    assert not template.takes_tools
    prompt = template.prompt(CALL, tools=[TOOL])
    call = '{"tool_calls": [{"name": "weather", "arguments": {"text": "Oulu", "content": "now"}}]}'
    for part in (json.dumps(TOOL["function"]), "Weather?", call, "Result of weather: snow"):
        assert prompt.count(part) == 1


def test_an_error_says_what_would_be_lost() -> None:
    """If no variant can be sent, the error is that of the original conversation."""
    deaf = ChatTemplate("{% for m in messages if m.role == 'none' %}{{ m.content }}{% endfor %}")
    with pytest.raises(ArgumentError) as caught:
        deaf.prompt(_chat("user: A", "tool: B"))
    assert str(caught.value) == "messages: the chat template leaves out what the user says"


def test_the_same_words_twice_are_sent_twice() -> None:
    """A message is not mistaken for another one with the same text."""
    once = ChatTemplate("{% for m in messages if m.role != 'system' %}{{ m.content }};{% endfor %}")
    assert once.prompt(_chat("system: yes", "user: yes")) == "yes\n\nyes;"
    last = ChatTemplate(
        "{% for m in messages %}{{ '[LAST]' if m == messages[-1] }}{{ m.content }}{% endfor %}"
    )
    assert last.prompt(_chat("user: yes", "user: yes")) == "[LAST]yes[LAST]yes"


def test_reasoning_that_a_template_leaves_out_is_no_loss() -> None:
    """A template may leave out the reasoning of earlier answers."""
    chat = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "<think>hm</think>4", "reasoning_content": "hm"},
        {"role": "user", "content": "3+3?"},
    ]
    assert _own("reasoning").prompt(chat) == (
        "<|User|>2+2?<|Assistant|>4</s><|User|>3+3?<|Assistant|><think>\n"
    )


def test_only_the_templates_own_bos_token_is_dropped() -> None:
    """Only the first token that the template adds is removed, not one in a message."""
    without = ChatTemplate("{{ messages[0].content }}", bos_token="<s>")
    chat = _chat("user: <s>A")
    assert without.prompt(chat, allow_control_tokens=True) == "<s>A"
    doubled = ChatTemplate(
        "{{ bos_token }}{{ bos_token }}{{ messages[0].content }}", bos_token="<s>"
    )
    assert doubled.prompt(_chat("user: A")) == "<s>A"


@pytest.mark.parametrize("bos", ["<s>", "<bos>", "<|begin_of_text|>"])
def test_a_bos_token_that_a_template_writes_out_is_dropped_too(bos: str) -> None:
    """A first token that is written out in the template is removed too."""
    template = ChatTemplate(bos + "{{ messages[0].content }}")
    assert template.prompt(_chat("user: A")) == "A"
    other = ChatTemplate(bos + "{{ messages[0].content }}", bos_token="<begin>")
    assert other.prompt(_chat("user: A")) == bos + "A"


def test_a_template_keeps_variables_of_its_own() -> None:
    """`variables` are passed to the template."""
    text = (TEMPLATES / "reasoning.jinja").read_text(encoding="utf-8")
    quiet = ChatTemplate(text, eos_token="</s>", variables={"enable_thinking": False})
    assert quiet.prompt(_chat("user: A")) == "<|User|>A<|Assistant|>"
