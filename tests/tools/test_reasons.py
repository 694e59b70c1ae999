"""Why a call is invalid, and what of it is shown, however the answer arrives."""

import json
from collections.abc import Sequence

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat
from tests.tools.test_reader import TOOLS

ADVICE = "; use a larger model, or force the call (tool_choice) on a server with grammars (TGI 1.4.1 or newer)"
INVALID = f"its JSON is invalid{ADVICE}"
CUT = f"its JSON is incomplete or invalid{ADVICE}"
LIMIT = "the token limit ended the answer inside the call; raise max_new_tokens"
STOP = "a stop string ended the answer inside the call; use other stop strings"


def read(
    name: str,
    parts: Sequence[str | tuple[str]],
    finish_reason: str | None,
    *,
    parallel: bool = True,
) -> tuple[ToolCallReader, list[str]]:
    """Read an answer in one piece and character by character, to the same result; its arguments too."""
    results = []
    for whole in (True, False):
        reader = ToolCallReader(ToolFormat.named(name), TOOLS, parallel=parallel)
        assert reader.finish_reason is None
        deltas = [
            reader.push(Token(id=0, text=text, special=isinstance(part, tuple)))
            for part in parts
            for text in ([part] if whole and isinstance(part, str) else part)
        ]
        deltas.append(reader.finish(finish_reason))
        assert reader.finish_reason == finish_reason
        shown = dict[int, str]()
        for call in (call for delta in deltas for call in delta.calls):
            shown[call.index] = shown.get(call.index, "") + call.arguments
        results.append((reader, [shown[index] for index in sorted(shown)]))
    one, other = (
        (
            reader.text,
            [(call.index, call.name, call.arguments, call.text) for call in reader.calls],
            [
                (call.index, call.name, call.arguments, call.text, call.reason)
                for call in reader.invalid_calls
            ],
            shown,
        )
        for reader, shown in results
    )
    assert one == other
    return results[1]


@pytest.mark.parametrize(
    ("inside", "name", "arguments", "reason"),
    [
        ('{"name": "add", "arguments": NaN}', "add", "NaN", "NaN is not JSON"),
        ('{"name": "add", "arguments": "{\\"a\\": -Infinity}"}', "add", '{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"name": "add", "arguments": {"a": -1e999}}', "add", '{"a": -1e999}', "the number -1e999 is too large"),
        ('{"name": "add", "arguments": [1]}', "add", "[1]", "the arguments are not a JSON object"),
        ('{"name": "add", "arguments": ""}', "add", '""', "the arguments are not a JSON object"),
        ('{"name": "add", "arguments": {"a": "\\udfff"}}', "add", '{"a": "\\udfff"}', "it has a lone surrogate"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_read_are_kept_with_the_reason(
    inside: str, name: str, arguments: str, reason: str
) -> None:
    """Whatever ended the answer; the next call is read."""
    text = f"<tool_call>{inside}</tool_call>"
    again = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    for finish_reason in ("eos_token", "length"):
        reader, shown = read("qwen", [text, again], finish_reason)
        (invalid,) = reader.invalid_calls
        assert (invalid.name, invalid.arguments) == (name, arguments)
        assert invalid.reason == f"the arguments cannot be read: {reason}{ADVICE}"
        assert text.startswith(invalid.text)
        assert [(call.index, call.name) for call in reader.calls] == [(1, "now")]
        assert shown == [arguments, "{}"]


@pytest.mark.parametrize(
    ("inside", "name", "reason"),
    [
        ('{"arguments": {"a": 1}}', None, f"it does not name a tool{ADVICE}"),
        ('{"name": "", "arguments": {"a": 1}}', "", INVALID),
        ('{"name": 3, "arguments": {"a": 1}}', None, INVALID),
        ('{"name": , "name": "add"}', None, INVALID),
        ('{"name" "add"}', None, INVALID),
        ('{"name": "add", "arguments": }', "add", INVALID),
        ('{"name": "add", "arguments": {"a": x}}', "add", INVALID),
        ('{"name": "add", 3}', "add", INVALID),
        ('{"name": "add", "id": , "arguments": {}}', "add", INVALID),
        ("{name: add}", None, INVALID),
    ],
)
def test_what_is_not_json_is_invalid_wherever_the_answer_ends(
    inside: str, name: str | None, reason: str
) -> None:
    """The token limit is not the reason where the JSON was already wrong."""
    for finish_reason in ("eos_token", "length", "stop_sequence"):
        text = f"<tool_call>{inside}</tool_call>"
        reader, _ = read("qwen", [f"Hi {text} Done."], finish_reason)
        (invalid,) = reader.invalid_calls
        assert (reader.calls, reader.text.split()) == ([], ["Hi", "Done."])
        assert (invalid.name, invalid.reason) == (name, reason)
        assert text.startswith(invalid.text)
        reader, _ = read("llama-3", [("<|python_tag|>",), f"{inside} and more"], finish_reason)
        assert [call.reason for call in reader.invalid_calls] == [reason]


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [("length", LIMIT), ("stop_sequence", STOP), ("eos_token", CUT), (None, CUT)],
)
def test_a_call_that_is_cut_says_what_ended_the_answer(
    finish_reason: str | None, reason: str
) -> None:
    """In what was being read: arguments, a key, a name, the marker."""
    text = '<tool_call>{"name": "add", "arguments": {"a": 1}'
    for end in (len(text), text.index("1"), text.index("ments"), text.index('", "'), 11):
        reader, _ = read("qwen", [text[:end]], finish_reason)
        (invalid,) = reader.invalid_calls
        assert (invalid.text, invalid.reason) == (text[:end], reason)


def test_a_special_token_inside_a_call_is_written_out() -> None:
    """A marker cannot be part of JSON; it is in the call's text, and in no text that is shown."""
    parts: list[str | tuple[str]] = [
        "Hi ",
        ("[TOOL_CALLS]",),
        '[{"name": "add", "arguments": {"a": "',
    ]
    reader, shown = read("mistral", [*parts, ("[ARGS]",), '"}}]'], "eos_token")
    (invalid,) = reader.invalid_calls
    assert invalid.text == '[TOOL_CALLS][{"name": "add", "arguments": {"a": "[ARGS]"}}]'
    assert (invalid.arguments, invalid.reason, shown) == ('{"a": "', INVALID, ['{"a": "'])
    assert (reader.text, reader.raw_text) == ("Hi", f"Hi {invalid.text}")


def test_line_breaks_in_strings_are_accepted() -> None:
    """Models write them; JSON has them escaped. Other characters stay as they are."""
    reader, shown = read(
        "qwen", ['<tool_call>{"name": "add", "arguments": {"a": "\u00e4\n"}}'], None
    )
    assert [call.arguments for call in reader.calls] == [{"a": "\u00e4\n"}]
    assert shown == ['{"a": "\u00e4\n"}']


def test_only_the_first_call_is_kept_where_calls_are_not_parallel() -> None:
    """Neither later calls nor anything of them in a stream, valid or not."""
    call = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    for more in (call, '<tool_call>{"name": "add", x}</tool_call>', call[:-20]):
        reader, shown = read("qwen", [f"{call}\n{more}"], "length", parallel=False)
        assert [one.index for one in reader.calls] == [0]
        assert (reader.invalid_calls, shown) == ([], ['{"a": 1}'])


FORMS: list[str] = [
    '{"type": "function", "function": {"name": "add", "parameters": {"a": 1}}}',
    '{"id": "1", "type": "function", "tool": {"tool_name": "add", "arguments": {"a": 1}}, "x": [1]}',
    '{"tool_call_id": "1", "name": "add", "arguments": {"a": 1}}',
    '{"function": "add", "parameters": {"a": 1}}',
    '{"parameters": {"a": 1}, "name": "add"}',
    '{"name": "add", "x": {"a": 2}, "parameters": {"a": 1}}',
    ' { "name" : "add" , "arguments" : "{\\"a\\": 1}" } ',
]


@pytest.mark.parametrize("text", FORMS)
def test_a_call_may_have_keys_of_other_libraries(text: str) -> None:
    """As OpenAI, LangChain and the models' own examples write them, with a marker or without."""
    for before in ([], [("<|python_tag|>",)]):
        reader, shown = read("llama-3", [*before, text], "eos_token")
        assert [(call.name, call.arguments) for call in reader.calls] == [("add", {"a": 1})]
        assert (reader.text.strip(), [json.loads(one) for one in shown]) == ("", [{"a": 1}])


@pytest.mark.parametrize(
    "text",
    [
        '{"x": 2, "name": "add", "parameters": {"a": 1}}',
        '{"parameters": {"a": 1}, "name": "fly"}',
        '{"type": "function", "function": {"name": "fly", "parameters": {"a": 1}}}',
        '{"name": "fly", "parameters": {"a": 1}}',
        '{"name": "add2"}',
        '{"name": "ad2',
        '{"parameters": {"a": 1',
        '{"id": "1"}',
        '{"tools": 3}',
    ],
)
def test_an_object_that_names_no_offered_tool_is_text_without_a_marker(text: str) -> None:
    """Every key before the name is one of a call's, and the name is that of a tool."""
    for name in ("llama-3", "words"):
        reader, shown = read(name, [text], "eos_token")
        assert (reader.text, reader.calls, reader.invalid_calls, shown) == (text, [], [], [])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("qwen", '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'),
        ("qwen3-coder", "<function=add>\n<parameter=a>\n1\n</parameter>\n</function>"),
        ("llama-4", "[add(a=1)]"),
        ("deepseek", '<｜tool▁call▁begin｜>add<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜>'),  # noqa: RUF001 -- its letters
    ],
)
def test_a_streams_call_has_its_id_with_its_name(name: str, answer: str) -> None:
    """Which comes before the end of its arguments; frameworks put a call together by it."""
    reader = ToolCallReader(ToolFormat.named(name), TOOLS)
    deltas = [reader.push(Token(id=0, text=character)) for character in answer]
    grown = [call for delta in [*deltas, reader.finish(None)] for call in delta.calls]
    (call,) = reader.calls
    assert (grown[0].name, grown[0].id) == ("add", call.id)
    assert [one.id for one in grown[1:]] == [None] * (len(grown) - 1)


def test_a_streams_call_gets_the_models_id_where_that_follows_the_arguments() -> None:
    """Mistral's calls end with it."""
    answer = '[{"name": "add", "arguments": {"a": 1}, "id": "aB3dE5gH7"}]'
    reader = ToolCallReader(ToolFormat.named("mistral"), TOOLS)
    deltas = [reader.push(Token(id=0, text="[TOOL_CALLS]", special=True))]
    deltas += [reader.push(Token(id=0, text=character)) for character in answer]
    grown = [call for delta in deltas for call in delta.calls]
    assert (grown[0].name, grown[0].id, grown[-1].id) == ("add", None, "aB3dE5gH7")


def test_an_id_before_the_arguments_is_the_calls() -> None:
    """Mistral's newer calls have it there."""
    parts: list[str | tuple[str]] = [("[TOOL_CALLS]",), "add", ("[CALL_ID]",), "aB3dE5gH7"]
    reader, _ = read("mistral", [*parts, ("[ARGS]",), '{"a": 1}'], None)
    assert [call.id for call in reader.calls] == ["aB3dE5gH7"]


def test_a_call_that_is_cut_at_a_backslash_is_kept_as_it_is() -> None:
    """In its text and in its arguments."""
    text = '<tool_call>{"name": "add", "arguments": {"a": "\\'
    reader, shown = read("qwen", [text], "length")
    (invalid,) = reader.invalid_calls
    assert (invalid.text, invalid.arguments, shown) == (text, '{"a": "\\', ['{"a": "\\'])


def test_an_id_is_the_value_of_its_own_key() -> None:
    """Not of another key of the call, though it has the form of an id."""
    answer = '[{"name": "add", "arguments": {"a": 1}, "x": "aB3dE5gH7"}]'
    reader, _ = read("mistral", [("[TOOL_CALLS]",), answer], None)
    assert [call.id != "aB3dE5gH7" for call in reader.calls] == [True]


def test_no_character_of_a_text_is_a_marker() -> None:
    """Special tokens are kept as lone surrogates, which a text cannot have: they are replaced."""
    for place in range(0xDC80, 0xDC90):
        text = f'{chr(place)}[{{"name": "add", "arguments": {{}}}}]'
        reader, _ = read("granite", [text], None)
        assert (reader.text, reader.calls) == (text.replace(chr(place), "\ufffd"), [])
