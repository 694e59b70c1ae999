"""What is changed for a template that refuses a conversation: as little as possible, one step after another."""

import json
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._chat._fallbacks import fallbacks, merged
from datacrunch_tgi._chat._messages import with_instructions
from datacrunch_tgi._chat._tool_messages import in_call_order

ADD: dict[str, Any] = {"id": "call_1", "function": {"name": "add", "arguments": {"a": "ä"}}}
NOW: dict[str, Any] = {"id": "call_2", "function": {"name": "now"}}
R1 = {"role": "tool", "tool_call_id": "call_1", "content": "R1"}
R2 = {"role": "tool", "content": "R2"}
LOOK = {"role": "assistant", "content": "Look", "tool_calls": [ADD, NOW]}


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


CHAT = [turn("system", "S"), turn("user", "U"), LOOK, R1, R2, turn("developer", "D")]
FULL_ADD = {**ADD, "type": "function"}
FULL_NOW = {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": {}}}
FULL = [
    *CHAT[:2],
    {**LOOK, "tool_calls": [FULL_ADD, FULL_NOW]},
    {**R1, "name": "add"},
    {**R2, "name": "now"},
    CHAT[5],
]
CALLS = (
    '{"tool_calls": [{"name": "add", "arguments": {"a": "ä"}}, {"name": "now", "arguments": {}}]}'
)
WORDS = [
    *CHAT[:2],
    turn("assistant", f"Look\n\n{CALLS}"),
    turn("user", "Result of add: R1"),
    turn("user", "Result of now: R2"),
    turn("user", "D"),
]


def as_text(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}


def test_each_change_is_larger_than_the_one_before() -> None:
    """First tool messages in other forms, then system messages, then words instead of calls."""
    forms = dict(fallbacks(CHAT, lambda calls: f"<{len(calls)}>"))
    tools = [
        "tool messages completed",
        "tool call ids of nine letters",
        "arguments of tool calls as text",
        "arguments of tool calls as text, ids of nine letters",
        "one tool call a message",
        "one tool call a message, ids of nine letters",
        "tool calls written out",
    ]
    user = "system messages as the user's"
    assert list(forms) == [
        "",
        *tools,
        user,
        *(f"{change} and {user}" for change in tools),
        "tool messages in words",
        "tool messages in words and neighbours of one role merged",
        f"tool messages in words and {user}",
        "everything in one user message",
    ]
    assert forms[""] == CHAT
    assert forms["tool messages completed"] == FULL
    assert forms["arguments of tool calls as text"] == [
        *FULL[:2],
        {**LOOK, "tool_calls": [as_text(FULL_ADD), as_text(FULL_NOW)]},
        *FULL[3:],
    ]
    assert forms["one tool call a message"] == [
        *FULL[:2],
        turn("assistant", "Look"),
        turn("assistant", "", tool_calls=[FULL_ADD]),
        FULL[3],
        turn("assistant", "", tool_calls=[FULL_NOW]),
        *FULL[4:],
    ]
    assert forms["tool calls written out"] == [*FULL[:2], turn("assistant", "Look<2>"), *FULL[3:]]
    assert forms[user] == [turn("user", "S\n\nU"), *CHAT[2:]]
    assert forms["tool messages in words"] == WORDS
    results = "Result of add: R1\n\nResult of now: R2\n\nD"
    assert forms["tool messages in words and neighbours of one role merged"] == [
        *WORDS[:3],
        turn("user", results),
    ]
    (everything,) = forms["everything in one user message"]
    assert everything["role"] == "user"
    assert everything["content"] == "\n\n".join(f"{one['role']}: {one['content']}" for one in WORDS)


def test_a_message_without_text_has_an_empty_one() -> None:
    """Where templates join texts."""
    call = {"role": "assistant", "content": None, "tool_calls": [NOW]}
    forms = dict(fallbacks([turn("user", "U"), call]))
    assert forms["tool messages completed"][1]["content"] == ""
    assert forms["tool messages in words"][1]["content"] == (
        '{"tool_calls": [{"name": "now", "arguments": {}}]}'
    )


def test_ids_of_nine_letters_are_the_same_for_a_call_and_its_result() -> None:
    """In every form, and for every request; an id that has them stays."""
    own = {**NOW, "id": "call00002"}
    chat = [turn("user", "U"), turn("assistant", "", tool_calls=[ADD, own]), R1, R2]
    forms = dict(fallbacks(chat))
    ids = [name for name in forms if "ids of nine letters" in name]
    assert len(ids) == 3
    for name in ids:
        calls = [call["id"] for one in forms[name] for call in one.get("tool_calls", ())]
        results = [one["tool_call_id"] for one in forms[name] if one["role"] == "tool"]
        assert calls == results == ["BU2HUL5e5", "call00002"]


def test_calls_and_results_without_ids_belong_together_by_place() -> None:
    """Also several times in a conversation; a result without a call has an id too."""
    calls: list[dict[str, Any]] = [
        {"function": {"name": name, "arguments": {}}} for name in ("add", "now")
    ]
    asked = [turn("assistant", "", tool_calls=calls), R2, R2]
    forms = dict(fallbacks([R2, turn("user", "U"), *asked, turn("user", "U"), *asked]))
    form = forms["tool call ids of nine letters"]
    ids = [call["id"] for one in form for call in one.get("tool_calls", ())]
    results = [one["tool_call_id"] for one in form if one["role"] == "tool"]
    assert results[1:] == ids
    assert len({*results}) == 5
    assert all(len(one) == 9 and one.isascii() and one.isalnum() for one in results)
    assert [one.get("name") for one in form if one["role"] == "tool"] == [None, *["add", "now"] * 2]


def test_ids_stay_where_a_template_needs_only_texts_of_arguments() -> None:
    """Of two changes the smaller one is made."""
    template = ChatTemplate(
        "{% for one in messages %}{{ one.role ~ ':' ~ one.content ~ one.tool_call_id }}"
        "{% for call in one.tool_calls %}{{ call.id ~ ' ' + call.function.name + call.function.arguments }}"
        "{% endfor %};{% endfor %}"
    )
    prompt = template.prompt([turn("user", "U"), {**LOOK, "tool_calls": [ADD]}, R1])
    assert prompt == 'user:U;assistant:Lookcall_1 add{"a": "ä"};tool:R1call_1;'


@pytest.mark.parametrize(
    ("chat", "changes"),
    [
        ([turn("user", "U")], []),
        ([turn("user", ["U", {"type": "text", "text": "V"}])], ["text blocks joined"]),
        (
            [turn("user", "U"), turn("user", "V")],
            ["neighbours of one role merged", "everything in one user message"],
        ),
        (
            [turn("system", "S"), turn("assistant", "A")],
            [
                "an empty user message first",
                "system messages as the user's",
                "everything in one user message",
            ],
        ),
        (
            [turn("assistant", "A")],
            ["an empty user message first", "everything in one user message"],
        ),
        (
            [turn("system", "S"), turn("user", "U"), turn("system", "T")],
            [
                "later system messages as the user's",
                "system messages as the user's",
                "everything in one user message",
            ],
        ),
    ],
)
def test_only_what_differs_is_tried(chat: list[dict[str, Any]], changes: list[str]) -> None:
    """A change that changes nothing is left out."""
    assert [change for change, _ in fallbacks(chat)] == ["", *changes]


def test_neighbours_are_merged_if_they_differ_in_texts_only() -> None:
    """Names are dropped; empty texts leave no gap; what has calls or blocks stays by itself."""
    chat = [
        turn("user", "a", name="x"),
        turn("user", "", name="y"),
        turn("user", "b"),
        turn("user", ["c"]),
        turn("assistant", "d"),
        turn("assistant", "e", tool_calls=[ADD]),
        turn("assistant", "f"),
    ]
    assert merged(chat) == [turn("user", "a\n\nb"), *chat[3:]]


def test_results_are_sorted_by_their_calls_and_arguments_parsed() -> None:
    """Other messages and results of unknown calls stay in place; broken JSON stays as it is."""
    calls: list[dict[str, Any]] = [
        {"id": "1", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "2", "function": {"name": "now", "arguments": ""}},
        {"id": "3", "function": {"name": "now", "arguments": "{"}},
    ]
    results = [turn("tool", f"R{n}", tool_call_id=n) for n in ("3", "2", "x", "1")]
    chat = [turn("assistant", "", tool_calls=calls), *results, turn("user", "U")]
    first, *others = in_call_order(chat)
    arguments = [call["function"]["arguments"] for call in first["tool_calls"]]
    assert arguments == [{"a": 1}, {}, "{"]
    assert [one["content"] for one in others] == ["R2", "R3", "Rx", "R1", "U"]
    assert calls[0]["function"]["arguments"] == '{"a": 1}'


@pytest.mark.parametrize(
    "calls", [["add"], [{}], [{"function": {}}], [{"function": "add"}], {"a": 1}]
)
def test_a_call_without_a_name_is_refused(calls: Any) -> None:
    """The error names what is missing."""
    with pytest.raises(ArgumentError) as caught:
        in_call_order([turn("assistant", "", tool_calls=calls)])
    assert str(caught.value) == "messages: tool calls must be dictionaries with function.name"


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (turn("user", "U"), [turn("system", "I"), turn("user", "U")]),
        (turn("system", "S"), [turn("system", "S\n\nI")]),
        (turn("system", None), [turn("system", "I")]),
        (turn("system", ""), [turn("system", "I")]),
        (turn("system", ["S"]), [turn("system", ["S", {"type": "text", "text": "\n\nI"}])]),
    ],
)
def test_instructions_follow_the_system_message(
    first: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    """Or are one, where there is none."""
    last = turn("user", "V")
    assert with_instructions([first, last], "I") == [*expected, last]
