"""Calls in Python's form, `[add(a=1)]`: which values are read, and what is wrong with the others."""

from typing import Any

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat

TOOLS: list[dict[str, Any]] = [
    {"function": {"name": name, "parameters": {"type": "object"}}} for name in ("add", "now")
]
ADVICE = (
    "use a larger model, or force the call (tool_choice) on a server with grammars "
    "(TGI 1.4.1 or newer)"
)


def read(text: str, reason: str | None = "eos_token") -> ToolCallReader:
    reader = ToolCallReader(ToolFormat.named("llama-4"), TOOLS)
    reader.read([Token(id=1, text=text)], reason)
    return reader


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ("", {}),
        (" ", {}),
        ("a=1, b=2", {"a": 1, "b": 2}),
        ("a=1,", {"a": 1}),
        ("a-b = 1", {"a-b": 1}),
        ("X=1, XX=2", {"X": 1, "XX": 2}),
        ("""a='x)', b="[" """, {"a": "x)", "b": "["}),
        ("a=[1, (2, 3)], b={'c': -1.5}", {"a": [1, [2, 3]], "b": {"c": -1.5}}),
        ("a=true, b=null, c=None, d=False", {"a": True, "b": None, "c": None, "d": False}),
        (r"a='it\'s \d \n'", {"a": "it's \\d \n"}),
        (r"a='\\', b=1", {"a": "\\", "b": 1}),
        ("a='''x'''", {"a": "x"}),
        ('a="é"', {"a": "é"}),
    ],
)
def test_literals_are_read_as_python_reads_them(written: str, arguments: dict[str, Any]) -> None:
    """Also JSON's words, and a backslash that escapes nothing."""
    reader = read(f"[add({written}), now()]")
    assert [(call.name, call.arguments) for call in reader.calls] == [
        ("add", arguments),
        ("now", {}),
    ]
    assert reader.calls[0].text == f"[add({written})"
    assert reader.text == ""


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("1", "its arguments are not name=value"),
        ("a==1", "its arguments are not name=value"),
        ("a=1, , b=2", "its arguments are not name=value"),
        ("a=f(1)", "an argument is not a literal"),
        ("a=1e999", "an argument is not a literal"),
        ("a=b", "an argument is not a literal"),
        ("a=1 2", "an argument is not a literal"),
        ("a=-'x'", "an argument is not a literal"),
        ("a={1: 2}", "a key in an argument is not a string"),
        ("a={**x}", "a key in an argument is not a string"),
    ],
)
def test_what_is_no_literal_is_an_invalid_call_that_says_so(written: str, reason: str) -> None:
    """Nothing is evaluated, and the calls after it are read."""
    reader = read(f"[add({written}), now()]")
    (invalid,) = reader.invalid_calls
    assert (invalid.name, invalid.text) == ("add", f"[add({written})")
    assert invalid.reason == f"{reason}; {ADVICE}"
    assert invalid.id
    assert [call.name for call in reader.calls] == ["now"]


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [
        ("length", "the token limit ended the answer inside the call; raise max_new_tokens"),
        (
            "stop_sequence",
            "a stop string ended the answer inside the call; use other stop strings",
        ),
        ("eos_token", f"its JSON is incomplete or invalid; {ADVICE}"),
        (None, f"its JSON is incomplete or invalid; {ADVICE}"),
    ],
)
@pytest.mark.parametrize("written", ["[add(a=1", "[add(a='x)]", "[add(a=(1)]"])
def test_a_call_that_is_cut_says_what_cut_it(
    written: str, finish_reason: str | None, reason: str
) -> None:
    """With all that the model wrote of it."""
    reader = read(written, finish_reason)
    (invalid,) = reader.invalid_calls
    assert (invalid.name, invalid.text, invalid.reason) == ("add", written, reason)
    assert (reader.calls, reader.text) == ([], "")


def test_a_call_that_is_whole_in_a_list_that_is_cut_is_a_call() -> None:
    """The end of the list says nothing about the call, and no invalid call is made of nothing."""
    reader = read("[add(a=1), now() ", "length")
    assert [call.name for call in reader.calls] == ["add", "now"]
    assert (reader.invalid_calls, reader.text) == ([], "")


@pytest.mark.parametrize("text", ["[fly(a=1)]", "[add]", "[ add ( a=1)]", "[]", "[1, 2]"])
def test_a_list_that_begins_with_no_call_of_a_tool_is_text(text: str) -> None:
    """Without a marker in front of it."""
    reader = read(text)
    assert (reader.text, reader.calls, reader.invalid_calls) == (text, [], [])


def test_what_is_no_call_in_a_list_of_calls_is_invalid() -> None:
    """The calls before it are kept."""
    reader = read("[add(a=1) and more] Done.")
    assert [call.name for call in reader.calls] == ["add"]
    (invalid,) = reader.invalid_calls
    assert (invalid.name, invalid.reason) == (None, f"its JSON is invalid; {ADVICE}")


def test_a_stream_has_arguments_as_json() -> None:
    """In letters, as other families write it."""
    reader = ToolCallReader(ToolFormat.named("llama-4"), TOOLS)
    deltas = [reader.push(Token(id=1, text="[add(a='é')]")), reader.finish(None)]
    assert "".join(call.arguments for delta in deltas for call in delta.calls) == '{"a": "é"}'


def test_a_name_that_is_no_tools_is_a_call_after_one_that_is() -> None:
    """The caller refuses it by its name."""
    assert [call.name for call in read("[add(a=1), fly()]").calls] == ["add", "fly"]
