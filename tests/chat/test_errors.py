"""A faulty template raises an ArgumentError without the conversation, and does no harm."""

import traceback
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate

WORDS = "the words that no error shows"
CHAT = [{"role": "user", "content": WORDS}]

FAULTY = {
    "{{ messages": "cannot be rendered: unexpected end of template",
    "{% for m in messages %}{{ m.content }}": "cannot be rendered: Unexpected end of template",
    "{% frobnicate %}": "cannot be rendered: Encountered unknown tag 'frobnicate'",
    "{{ bos_token + messages[0].content }}": "cannot be rendered: 'bos_token' is undefined",
    "{{ messages[0].text + '' }}": "cannot be rendered: 'dict object' has no attribute 'text'",
    "{{ messages[0].content + 1 }}": "cannot be rendered: can only concatenate str",
    "{{ messages[7].content }}": "cannot be rendered: list object has no element 7",
    "{{ messages[messages[0].content].x }}": "cannot be rendered: 'list object' has no attribute '…'",
    "{{ 1 // 0 }}": "cannot be rendered: integer division or modulo by zero",
    "{% for i in range(10 ** 9) %}{% endfor %}": "cannot be rendered: Range too big.",
    "{{ messages | tojson(indent={}) }}": "cannot be rendered: can't multiply sequence",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "cannot be rendered: maximum recursion depth",
}
REFUSED = [
    "{{ messages[0].content.__class__.__mro__ }}",
    "{{ ''.__class__.__base__.__subclasses__() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum.__globals__['os'].popen('id') }}",
    "{% set n = namespace(__class__='x') %}",
    "{% set n = namespace() %}{% set n.__call__ = messages %}",
    "{{ messages.append(1) }}",
    "{{ messages[0].update({'content': ''}) }}",
    "{% include 'setup.cfg' %}",
    "{% import 'os' as os %}",
]
EMPTY = [
    "{{ messages.__class__ }}",
    "{{ messages[0]['content'] | attr('__class__') }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__code__ }}",
    "{{ dict.__globals__ }}",
    "{{ '{0.__class__}'.format(messages) }}",
    "{{ '%s' | format(messages.__class__) }}",
]


@pytest.mark.parametrize("text", FAULTY)
@pytest.mark.parametrize("way", ["render", "prompt"])
def test_a_faulty_template_is_named_as_such(text: str, way: str) -> None:
    """An error in a template names `chat_template` and the fault, in one line."""
    with pytest.raises(ArgumentError) as caught:
        getattr(ChatTemplate(text), way)(CHAT)
    assert caught.value.field == "chat_template"
    assert caught.value.rule.startswith(FAULTY[text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", REFUSED)
def test_a_template_cannot_reach_out(text: str) -> None:
    """A template cannot reach files, modules or other objects."""
    with pytest.raises(ArgumentError) as caught:
        ChatTemplate(text + "{{ messages[0].content }}").render(CHAT)
    assert caught.value.field == "chat_template"


@pytest.mark.parametrize("text", EMPTY)
def test_a_template_sees_nothing_of_pythons_own(text: str) -> None:
    """Python's internal attributes are undefined in a template."""
    assert ChatTemplate(text + "{{ messages[0].content }}").render(CHAT) == WORDS


def test_a_template_sees_plain_data_only(tmp_path: Any) -> None:
    """Values are passed to a template as plain data, without the methods of a subclass."""

    class Text(str):
        __slots__ = ()

        def leak(self) -> str:
            return "leaked"

    template = ChatTemplate("{{ path }} {{ messages[0].content.leak is defined }}")
    assert template.render([{"content": Text("x")}], path=tmp_path) == "<PosixPath> False"


@pytest.mark.parametrize("way", ["render", "prompt"])
def test_a_templates_own_words_are_reported(way: str) -> None:
    """The message of `raise_exception` is part of the error."""
    template = ChatTemplate("{{ raise_exception('Only one message, please') }}")
    with pytest.raises(ArgumentError) as caught:
        getattr(template, way)(CHAT)
    assert str(caught.value) == "messages: refused by the chat template: Only one message, please"


@pytest.mark.parametrize(
    "text",
    [
        "{{ raise_exception('No: ' + messages[0].content) }}",
        "{% if messages[0].content[0] == 't' %}{{ raise_exception(messages[0].content) }}{% endif %}",
        "{% if 'words' in messages[0].content %}{{ {}[messages[0].content].x }}{% endif %}",
        "{{ '%(' ~ messages[0].content ~ ')s' | format(a=1) }}{{ messages[0].content + 1 }}",
    ],
)
@pytest.mark.parametrize("way", ["render", "prompt"])
def test_no_error_shows_the_conversation(text: str, way: str) -> None:
    """No error of a template contains a message's text, even in its traceback."""
    with pytest.raises(ArgumentError) as caught:
        getattr(ChatTemplate(text), way)(CHAT)
    assert WORDS not in "".join(traceback.format_exception(caught.value)).replace(f'"{WORDS}"', "")


@pytest.mark.parametrize(
    ("messages", "rule"),
    [
        ([], "must not be empty"),
        ("Hello", "must be a list of dictionaries"),
        (["Hello"], "must be a list of dictionaries"),
        ({"role": "user"}, "must be a list of dictionaries"),
        (None, "must be a list of dictionaries"),
    ],
)
@pytest.mark.parametrize("way", ["render", "prompt"])
def test_messages_are_dictionaries(messages: Any, rule: str, way: str) -> None:
    """Messages that are not dictionaries are refused with the rule."""
    with pytest.raises(ArgumentError) as caught:
        getattr(ChatTemplate.named("gemma"), way)(messages)
    assert str(caught.value) == f"messages: {rule}"


@pytest.mark.parametrize("way", ["render", "prompt"])
def test_tools_are_dictionaries(way: str) -> None:
    """Tools that are not dictionaries are refused with the rule."""
    with pytest.raises(ArgumentError, match=r"^tools: must be a list of dictionaries$"):
        getattr(ChatTemplate.named("gemma"), way)(CHAT, tools=["weather"])
