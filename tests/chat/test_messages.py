"""What a conversation may consist of, and the errors that name what is wrong with it."""

import base64
import json
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._chat._files import required

CHATML = ChatTemplate.named("chatml")
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
HELLO = {"role": "user", "content": "Hello"}
SVG = f"data:image/png;base64,{base64.b64encode(b'<svg/>').decode()}"


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ({"content": "x"}, "must have a role, such as 'user'"),
        ({"role": 1, "content": "x"}, "must have a role, such as 'user'"),
        ({"role": "user", "content": 1}, "must have content that is text or a list of blocks"),
        ({"role": "user", "content": {"text": "x"}}, "must have content that is text or a list of blocks"),
        *(
            ({"role": "user", "content": ["x", block]}, f"content of type {kind} is not supported; only text and image_url are, in OpenAI's form")
            for block, kind in (
                (1, "None"),
                ({"type": "audio"}, "'audio'"),
                ({"type": "text", "text": 1}, "'text'"),
                (image({}), "'image_url'"),
                (image(None), "'image_url'"),
            )
        ),
        ({"role": "user", "content": [image(SVG)]}, "an image must be PNG, JPEG, GIF, WebP or BMP data"),
    ],
)  # fmt: skip
def test_an_error_names_the_message_and_the_rule(message: dict[str, Any], rule: str) -> None:
    """By its place in the conversation."""
    with pytest.raises(ArgumentError) as caught:
        CHATML.prompt([HELLO, message], images=True)
    assert str(caught.value) == f"messages[1]: {rule}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://h.invalid/a.png", {"url": "http://h.invalid/a.png"}])
def test_blocks_are_joined_to_one_text(url: Any) -> None:
    """Texts as they are, an image where it stands; its URL may be in OpenAI's form or by itself."""
    blocks = ["See ", image(url), {"type": "text", "text": "!"}]
    prompt = CHATML.prompt([{"role": "user", "content": blocks}], images=True)
    assert "user\nSee ![](http://h.invalid/a.png)!<|im_end|>" in prompt


def test_tools_that_a_template_has_no_place_for_are_described_before_other_instructions() -> None:
    """In the system message, with the form of a call."""
    prompt = CHATML.prompt([HELLO], tools=[TOOL], instructions="Be brief.")
    system = prompt.partition("<|im_start|>user")[0]
    assert prompt.startswith("<|im_start|>system\n")
    assert json.dumps(TOOL["function"]) in system or '"add"' in system
    assert '{"tool_calls": [' in system
    assert system.rstrip().endswith("\n\nBe brief.<|im_end|>")
    assert CHATML.prompt([HELLO], instructions="Be brief.").startswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>"
    )


def test_calls_in_a_history_use_the_template_for_tools() -> None:
    """Also where no tools are offered, because the other one has no place for calls."""
    template = ChatTemplate(
        "{% for one in messages %}{{ one.content }};{% endfor %}",
        tool_template="{% for one in messages %}{{ one.content }}"
        "{% for call in one.tool_calls %}[{{ call.function.name }} {{ call.function.arguments }}]"
        "{% endfor %};{% endfor %}",
    )
    call = {"function": {"name": "add", "arguments": '{"a": 1}'}}
    chat: list[dict[str, Any]] = [
        HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    assert template.prompt(chat) == "Hello;[add {'a': 1}];"
    assert template.prompt([HELLO]) == "Hello;"


@pytest.mark.parametrize(
    ("text", "content", "rule"),
    [
        ("{{ messages | length }}", "x", "it leaves out the message to continue"),
        ("{{ messages[0].content }}", None, "the last message has no text to continue"),
        ("{{ messages[0].content }}", [{"type": "image"}], "the last message has no text to continue"),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_refused(text: str, content: Any, rule: str) -> None:
    """A last message that the template does not show, or that has no text."""
    with pytest.raises(ArgumentError) as caught:
        ChatTemplate(text).render([{"content": content}], continue_final_message=True)
    assert str(caught.value) == f"messages: refused by the chat template: {rule}"


def test_a_fault_that_depends_on_a_text_is_described_without_it() -> None:
    """With the kind of error only."""
    text = "{% if messages[0].content == 'Hello' %}{{ ARROW }}{% endif %}"
    for fault, words in (
        ("raise_exception('no')", "messages: refused by the chat template: RefusalError"),
        ("1 // 0", "chat_template: cannot be rendered: ZeroDivisionError"),
    ):
        with pytest.raises(ArgumentError) as caught:
            ChatTemplate(text.replace("ARROW", fault)).render([HELLO])
        assert str(caught.value) == f"{words} because of the content of a message"


def test_marks_for_training_change_nothing() -> None:
    """What is between `generation` and `endgeneration` is rendered as it is."""
    template = ChatTemplate(
        "{% for one in messages %}{% generation %}<{{ one.content }}>{% endgeneration %}{% endfor %}!"
    )
    assert template.render([HELLO, HELLO]) == "<Hello><Hello>!"


def test_reasoning_has_each_name_that_templates_use() -> None:
    """Whatever name it has in the message; None is left out."""
    text = "{{ messages[0].thinking }}|{{ messages[0].reasoning_content }}|{{ messages[0].x is defined }}"
    for name in ("thinking", "reasoning_content", "reasoning"):
        chat = [{**HELLO, name: "Hm", "x": None}]
        assert ChatTemplate(text).render(chat) == "Hm|Hm|False"
    assert ChatTemplate(text).render([HELLO]) == "||False"


def test_functions_of_templates() -> None:
    """`dict` with pairs and names, `namespace` likewise, and `tojson` with options."""
    text = (
        "{{ dict([('a', 1)], b=2) }}{% set n = namespace({'a': 1}, b=2) %}{% set n.a = 3 %}"
        "{{ n.a + n.b }}{{ {'ä': '<'} | tojson }}{{ 'ä' | tojson(ensure_ascii=true) }}"
        "{{ documents is none }}{{ [1] | tojson(indent=1) }}"
    )
    assert (
        ChatTemplate(text).render([HELLO]) == '{\'a\': 1, \'b\': 2}5{"ä": "<"}"\\u00e4"True[\n 1\n]'
    )


def test_jinja_text_is_known_by_either_bracket() -> None:
    """A variable is enough."""
    for text in ("{{ messages[0].content }}", "{% if true %}Hello{% endif %}"):
        assert ChatTemplate.of(text).render([HELLO]) == "Hello"


def test_tools_are_written_where_control_tokens_are_allowed() -> None:
    """As they are where they are not."""
    template = ChatTemplate.named("qwen-2.5")
    prompt = template.prompt([HELLO], tools=[TOOL])
    assert '"name": "add"' in prompt
    assert template.prompt([HELLO], tools=[TOOL], allow_control_tokens=True) == prompt


def test_an_empty_answer_can_be_continued() -> None:
    """The prompt ends where its text would begin."""
    chat = [HELLO, {"role": "assistant", "content": ""}]
    template = ChatTemplate("{% if not messages[1:] %}?{% endif %}{{ messages[-1].content }}!")
    assert template.render(chat, continue_final_message=True) == ""


@pytest.mark.parametrize(
    ("model", "what", "start"),
    [
        ("", " for messages", "is required for messages: no template is known for the model. Pass"),
        ("x/y", "", "is required: no template is known for model 'x/y'. Pass the model's own, "),
    ],
)
def test_a_template_that_is_missing_is_asked_for(model: str, what: str, start: str) -> None:
    """With the names of those that there are."""
    error = required(model, what)
    assert error.field == "chat_template"
    assert error.rule.startswith(start)
    assert error.rule.endswith(f"; or a name: {', '.join(ChatTemplate.names())}")


def test_a_tool_that_a_template_leaves_out_is_an_error() -> None:
    """Which names `tools`; each of them has to be in the prompt."""
    template = ChatTemplate("{{ tools[0] | tojson if tools }}{{ messages[0].content }}")
    assert '"add"' in template.prompt([HELLO], tools=[TOOL])
    other = {"type": "function", "function": {**TOOL["function"], "name": "now"}}  # type: ignore[dict-item]  # a dictionary
    with pytest.raises(ArgumentError) as caught:
        template.prompt([HELLO], tools=[TOOL, other])
    assert str(caught.value) == "tools: the chat template has no place for tools"


def test_a_fault_that_depends_on_tools_is_described() -> None:
    """With the template's words, as any other."""
    template = ChatTemplate("{{ tools[0].function.x.y if tools }}{{ messages[0].content }}")
    with pytest.raises(ArgumentError, match="'dict object' has no attribute 'x'"):
        template.render([HELLO], tools=[TOOL])
