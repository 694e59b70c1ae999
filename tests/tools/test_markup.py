"""Calls in Qwen3-Coder's form: what is one, and the types of its arguments."""

from typing import Any

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat

PROPERTIES: dict[str, Any] = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "one": {"oneOf": [{"type": "integer"}, {"type": "null"}]},
    "some": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    "flag": {"type": ["boolean", "null"]},
    "items": {"type": "array"},
    "level": {"enum": ["1", "2"]},
    "any": True,
}


def tool(properties: Any) -> dict[str, Any]:
    return {"function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}


def read(text: str, properties: Any = None) -> tuple[ToolCallReader, str]:
    """Read an answer character by character; return the arguments that a stream showed too."""
    reader = ToolCallReader(ToolFormat.named("qwen3-coder"), [tool(properties)])
    deltas = [reader.push(Token(id=0, text=character)) for character in text]
    deltas.append(reader.finish(None))
    return reader, "".join(call.arguments for delta in deltas for call in delta.calls)


def call(name: str = "f", **values: str) -> str:
    text = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<function={name}>\n{text}</function>"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("text", "1\n</b> 2", "1\n</b> 2"),
        ("text", "null", "null"),
        ("count", "3", 3),
        ("count", " null", None),
        ("count", "None", "None"),
        ("count", "True", "True"),
        ("count", "three", "three"),
        ("maybe", "null", None),
        ("maybe", "None", None),
        ("maybe", "12", "12"),
        ("one", "12", 12),
        ("one", "none", None),
        ("some", "None", None),
        ("some", "True", True),
        ("flag", "True", True),
        ("flag", "False ", False),
        ("flag", "true", True),
        ("flag", "maybe", "maybe"),
        ("items", '["a"]', ["a"]),
        ("items", "[a]", "[a]"),
        ("level", "1", "1"),
        ("level", "3", 3),
        ("any", "4", "4"),
        ("unknown", "4", "4"),
    ],
)
def test_arguments_follow_the_schema(name: str, value: str, expected: Any) -> None:
    """A string stays text, also where it looks like a number; other types are JSON or Python's words."""
    reader, _ = read(f"<tool_call>\n{call(**{name: value})}\n</tool_call>", PROPERTIES)
    (found,) = reader.calls
    assert found.arguments == {name: expected}
    assert type(found.arguments[name]) is type(expected)


def test_arguments_of_a_tool_without_a_schema_are_text() -> None:
    """Also of a tool that was not offered, whose call an agent answers with an error."""
    for name in ("f", "fly"):
        reader, shown = read(f"<tool_call>{call(name, to='Märs', n='1')}</tool_call>")
        (found,) = reader.calls
        assert (found.name, found.arguments) == (name, {"to": "Märs", "n": "1"})
        assert shown == '{"to": "Märs", "n": "1"}'


def test_a_function_that_was_not_offered_is_text_without_a_marker() -> None:
    """So is what follows it, up to the next call."""
    text = f"Write {call('fly', to='Mars')} to fly."
    reader, _ = read(f"{text}\n{call('f')}", PROPERTIES)
    assert reader.text == text
    assert [(found.name, found.arguments) for found in reader.calls] == [("f", {})]


@pytest.mark.parametrize("end", ["</function>\n</tool_call>", "</function>", "</tool_call>"])
@pytest.mark.parametrize("value", ["a</parameter>b", "</parameter>\n</parameter>", "</function>"])
def test_arguments_may_contain_the_formats_own_tags(value: str, end: str) -> None:
    """A value ends at `</parameter>` with another tag behind it, also without `</function>`."""
    text = f"<tool_call>\n<function=f>\n<parameter=text>\n{value}\n</parameter>\n{end} Done."
    reader, _ = read(text, PROPERTIES)
    assert [found.arguments for found in reader.calls] == [{"text": value}]
    assert (reader.invalid_calls, reader.text.strip()) == ([], "Done.")


def test_a_name_may_have_space_around_it() -> None:
    """Names of the function and of an argument."""
    reader, _ = read("<function= f ><parameter= count >3</parameter></function>", PROPERTIES)
    assert [(found.name, found.arguments) for found in reader.calls] == [("f", {"count": 3})]


def test_other_text_in_a_call_makes_it_invalid() -> None:
    """The call's text is there to its end; text after it is shown."""
    text = "<tool_call><function=f>\n3\n</function></tool_call>"
    reader, _ = read(f"{text} Done.", PROPERTIES)
    (found,) = reader.invalid_calls
    assert (reader.calls, found.name, found.text) == ([], "f", text)
    assert reader.text.strip() == "Done."
