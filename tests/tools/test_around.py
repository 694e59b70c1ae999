"""What stands around calls: space, text that looks like one, and other things in a list of calls."""

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat
from tests.tools.test_reader import CALL, TOOLS
from tests.tools.test_reader import _read as read


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("qwen", "<tool_call>", ""),
        ("qwen", "<tool_call>", "\n</tool_call>"),
        ("qwen", "<tool_call>```json\n", "\n```\n</tool_call>"),
        ("qwen", "<tool_call>```json\n", ""),
        ("words", "```json\n", ""),
        ("words", "```json\n", "\n```"),
        ("words", "", ""),
        ("phi-4", "functools[", "]"),
        ("llama-3", "", ";"),
    ],
)
def test_space_after_a_call_is_kept_with_the_text_that_follows(
    name: str, start: str, end: str
) -> None:
    """With or without what ends a call; without text nothing is shown, and never the end itself."""
    found = read(name, f"First. {start}{CALL}{end}\n Then.")
    assert found.text.replace(";", "") == "First.\n Then."
    found = read(name, f"First. {start}{CALL}{end}\n ")
    assert (found.text, len(found.calls)) == ("First.", 1)


@pytest.mark.parametrize("name", ["llama-3", "words"])
def test_an_object_that_is_text_hides_no_call_after_it(name: str) -> None:
    """Where it ends is known by its brackets, whatever was read of it."""
    for text in (
        '{"parameters": {"a": 1}, "name": "fly"}',
        '{"x": [{"y": "}"}], "z": {}}',
        '{"type": "function", "function": {"name": "fly", "parameters": {}}}',
        '{"name": X}',
        f'{{"name": X, "y": {CALL}}}',
    ):
        for space in ("\n", ""):
            found = read(name, f"{text}{space}{CALL}")
            assert (found.text, [call.name for call in found.calls]) == (text, ["add"])


@pytest.mark.parametrize("name", ["llama-3", "words"])
def test_a_quote_after_a_fence_hides_no_call(name: str) -> None:
    """Only brackets say where an object ends that is text."""
    text = '```\n"Hi'
    found = read(name, f"{text}\n{CALL}")
    assert (found.text, [call.name for call in found.calls]) == (text, ["add"])


FLY = '{"name": "fly", "arguments": {"to": "Mars"}}'


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mistral", [("[TOOL_CALLS]",), f" [{FLY}]"]),
        ("mistral", [("[TOOL_CALLS]",), FLY]),
        ("mistral", [("[TOOL_CALLS]",), "fly", ("[ARGS]",), '{"to": "Mars"}']),
        ("granite", [("<|tool_call|>",), f"[{FLY}]"]),
        ("phi-4", [f"functools[{FLY}]"]),
        ("command-r", [f"Action:\n```json\n[{FLY}]\n```"]),
        ("deepseek", ['<｜tool▁call▁begin｜>fly<｜tool▁sep｜>{"to": "Mars"}<｜tool▁call▁end｜>']),  # noqa: RUF001
        ("llama-4", [("<|python_start|>",), '[fly(to="Mars")]', ("<|python_end|>",)]),
        ("words", [f'{{"tool_calls": [{FLY}]}}']),
    ],
)
def test_what_a_familys_form_marks_is_a_call_whatever_its_name(
    name: str, parts: list[str | tuple[str]]
) -> None:
    """In a list, by itself, and where the name stands alone."""
    found = read(name, *parts)
    assert [(call.name, call.arguments) for call in found.calls] == [("fly", {"to": "Mars"})]
    assert (found.text, found.invalid_calls) == ("", [])


def test_a_marker_may_precede_several_objects() -> None:
    """One after another, with space between them."""
    found = read("qwen", f"<tool_call>{CALL}\n{FLY}{CALL}</tool_call>")
    assert [call.name for call in found.calls] == ["add", "fly", "add"]


@pytest.mark.parametrize("name", ["llama-3", "words"])
def test_what_follows_a_call_in_a_list_is_a_call_whatever_its_name(name: str) -> None:
    """The first one has shown that the list is no text."""
    found = read(name, f"[{CALL}, {FLY}]")
    assert [call.name for call in found.calls] == ["add", "fly"]
    assert read(name, f"[{FLY}, {CALL}]").calls == []


@pytest.mark.parametrize("value", ["3", "{}", FLY])
def test_an_envelope_of_something_else_than_a_list_is_invalid(value: str) -> None:
    """As a broken call, not as text."""
    found = read("words", f'{{"tool_calls": {value}}}')
    (invalid,) = found.invalid_calls
    assert (found.text, found.calls, invalid.name) == ("", [], None)


@pytest.mark.parametrize("rest", [", 3]", " x]", "; 1]", ", [1]]"])
def test_what_is_no_call_in_a_list_of_calls_is_invalid(rest: str) -> None:
    """The calls before it are kept."""
    found = read("granite", ("<|tool_call|>",), f"[{CALL}{rest} Done.")
    assert [call.name for call in found.calls] == ["add"]
    (invalid,) = found.invalid_calls
    assert (invalid.index, invalid.name) == (1, None)
    assert invalid.reason.startswith("its JSON is invalid")
    assert invalid.text.startswith(rest.partition("]")[0])


@pytest.mark.parametrize("text", ['{"name": "now"}', '{"name": "now", "arguments": " "}'])
def test_a_call_without_arguments_has_none(text: str) -> None:
    """An empty object, in a stream too."""
    reader = ToolCallReader(ToolFormat.named("qwen"), TOOLS)
    deltas = [reader.push(Token(id=0, text=f"<tool_call>{text}</tool_call>")), reader.finish(None)]
    assert [(call.name, call.arguments) for call in reader.calls] == [("now", {})]
    shown = "".join(call.arguments for delta in deltas for call in delta.calls)
    assert shown.strip() == "{}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"answer": {"a": [1]}}', '{"a": [1]}'),
        ('{"response": {"answer": "Hi"}}', '"Hi"'),
        ('{"response": {"answer": "Hi"}}}', '"Hi"}'),
        ('{"response": {"other": "Hi"}}', '{"response": {"other": "Hi"}}'),
        ('{"response": "Hi"}', '{"response": "Hi"}'),
        ('{"response": {"name": "now"}}', '{"response": {"name": "now"}}'),
        ('{"city": "Oulu", "answer": 1}', '{"city": "Oulu", "answer": 1}'),
        ('{"answer": {"a": [1', '{"a": [1'),
    ],
)
def test_a_final_answer_is_taken_out_of_its_envelope(text: str, shown: str) -> None:
    """Where one was asked for; anything else is text."""
    for places in (text, [text]):
        reader = ToolCallReader(ToolFormat.named("words"), TOOLS, in_words=True, final=True)
        reader.read([Token(id=0, text=part) for part in places], "length")
        assert (reader.text, reader.calls, reader.invalid_calls) == (shown, [], [])
    plain = ToolCallReader(ToolFormat.named("words"), TOOLS, in_words=True)
    plain.read([Token(id=0, text=text)], "length")
    assert plain.text == text


def test_reasoning_between_special_tokens_ends_at_a_special_token() -> None:
    """Not where a text spells it."""
    call: list[str | tuple[str]] = [("[TOOL_CALLS]",), "add", ("[ARGS]",), '{"a": 1}']
    found = read("mistral", ("[THINK]",), "Hm [/THINK]", *call)
    assert (found.calls, found.invalid_calls) == ([], [])
    found = read("mistral", ("[THINK]",), "Hm", ("[/THINK]",), *call)
    assert [one.name for one in found.calls] == ["add"]


@pytest.mark.parametrize("name", ["llama-3", "llama-4", "words"])
def test_a_fence_may_hold_a_list_of_calls(name: str) -> None:
    """As well as one call; other lists in a fence are text."""
    found = read(name, f"First.\n```json\n[{CALL}, {CALL}]\n```")
    assert (found.text, len(found.calls)) == ("First.", 2)
    text = "```json\n[1, 2]\n```"
    assert read(name, text).text == text


def test_what_a_token_adds_is_false_if_it_adds_nothing() -> None:
    """Neither text nor a part of a call."""
    reader = ToolCallReader(ToolFormat.named("qwen"), TOOLS)
    tokens = ["Hi", "<tool_call>", '{"name": ', '"add"', ', "arguments": ', "{}", "}"]
    added = [bool(reader.push(Token(id=0, text=text))) for text in tokens]
    assert added == [True, False, False, True, False, True, False]


def test_space_between_markers_that_are_left_out_is_kept() -> None:
    """Command-R7B puts text between markers, also several times."""
    parts: list[str | tuple[str]] = ["Hi ", ("<|END_RESPONSE|>",), ("<|START_RESPONSE|>",), "you"]
    assert read("command-r7b", ("<|START_RESPONSE|>",), *parts).text == "Hi you"
