"""What the tools of one call ask for: which are offered, the prompt's words, the grammar, the check."""

import json
from typing import Any

import jsonschema
import pytest

from datacrunch_tgi import ArgumentError, StructuredOutputError, Token
from datacrunch_tgi._tools import WORDS, ToolCallReader, ToolFormat, ToolRequest, without_reasoning

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now"}}
TOOLS = [ADD, NOW]
CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TREE: dict[str, Any] = {"$ref": "#/$defs/tree", "type": "object"}
TREE["$defs"] = {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}}}}


def request(
    choice: Any = None, tools: list[Any] = TOOLS, *, in_words: bool = True, **options: Any
) -> ToolRequest:
    return ToolRequest.of(tools, choice, tool_format=WORDS, in_words=in_words, **options)


def read(asked: ToolRequest, text: str, reason: str = "eos_token") -> ToolCallReader:
    reader = asked.reader()
    reader.read([Token(id=1, text=text)], reason)
    return reader


@pytest.mark.parametrize(
    ("choice", "meant", "offered"),
    [
        (None, "auto", ["add", "now"]),
        ("auto", "auto", ["add", "now"]),
        ("none", "none", []),
        (False, "none", []),
        ("any", "any", ["add", "now"]),
        ("required", "any", ["add", "now"]),
        (True, "any", ["add", "now"]),
        ("now", "now", ["now"]),
        ({"type": "function", "function": {"name": "now"}}, "now", ["now"]),
        ({"type": "tool", "name": "now"}, "now", ["now"]),
        ({"type": "any"}, "any", ["add", "now"]),
        ({"type": "auto"}, "auto", ["add", "now"]),
    ],
)
def test_a_choice_has_many_spellings(choice: Any, meant: str, offered: list[str]) -> None:
    """OpenAI's, Anthropic's and LangChain's; it decides which tools the model sees."""
    asked = request(choice)
    assert asked.choice == meant
    assert [tool["function"]["name"] for tool in asked.offered] == offered
    assert asked.forced is (meant not in ("auto", "none"))


@pytest.mark.parametrize(
    ("tools", "choice", "rule"),
    [
        ([ADD, ADD], None, "^tools='add': two tools have this name"),
        ([{"type": "web_search"}], None, r"^tools\[0\]='web_search': must be a function"),
        ([ADD, {"function": {}}], None, r"^tools\[1\]: must have a name"),
        ([{"function": {"name": ""}}], None, r"^tools\[0\]: must have a name"),
        ([{"function": {"name": "f", "parameters": 7}}], None, r"^tools\[0\]='f': parameters must"),
        (
            [{"function": {"name": "f", "parameters": {"type": "array"}}}],
            None,
            r"^tools\[0\]='f': parameters must",
        ),
        (
            [{"function": {"name": "f", "parameters": {"properties": 3}}}],
            None,
            r"^tools\[0\]='f': parameters: is not a JSON schema: \$.properties: 3 is not",
        ),
        (
            [{"function": {"name": "f", "parameters": {"properties": {"a": {"$ref": "#/b"}}}}}],
            None,
            r"^tools\[0\]='f': parameters: must contain the target of each reference",
        ),
        (TOOLS, "subtract", r"^tool_choice='subtract': must be .*\(add, now\)"),
        (TOOLS, {"type": "function", "function": {"name": "subtract"}}, "^tool_choice='subtract'"),
        (TOOLS, 7, "^tool_choice=7"),
        ([], "any", "^tool_choice='any': needs tools"),
        ([], "add", r"^tool_choice='add': must be .*\(there are none\)"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tools: list[Any], choice: Any, rule: str) -> None:
    """The error names the tool or the choice, and the rule."""
    with pytest.raises(ArgumentError, match=rule):
        request(choice, tools)


@pytest.mark.parametrize("choice", ["any", "add"])
def test_a_forced_call_leaves_no_choice_to_answer(choice: str) -> None:
    """`response_format` cannot be combined with a required call."""
    with pytest.raises(ArgumentError, match=f"^tool_choice='{choice}': cannot be combined"):
        request(choice, response_schema=CITY)
    assert not request("none", response_schema=CITY).offered


def test_a_template_gets_the_tools_that_are_offered_with_parameters() -> None:
    """Templates get each tool with `parameters`, because some require them."""
    (shown,) = request("now", in_words=False).template_tools or [{}]
    assert shown["function"] == {"name": "now", "parameters": {"type": "object", "properties": {}}}
    assert request("none", in_words=False).template_tools is None
    assert request(in_words=True).template_tools is None


SHAPES: list[tuple[Any, dict[str, Any], list[str], list[str]]] = [
    (
        "any",
        {},
        [
            '{"tool_calls": [{"name": "now", "arguments": {}}]}',
            '{"tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "now", "arguments": {}}]}',
        ],
        ['{"tool_calls": []}', '{"tool_calls": [{"name": "fly", "arguments": {}}]}', "{}"],
    ),
    (
        "any",
        {"parallel": False},
        ['{"tool_calls": [{"name": "now", "arguments": {}}]}'],
        [
            '{"tool_calls": [{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]}',
            '{"tool_calls": []}',
        ],
    ),
    (
        "add",
        {},
        ['{"tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}}]}'],
        [
            '{"tool_calls": [{"name": "now", "arguments": {}}]}',
            '{"tool_calls": [{"name": "add", "arguments": {"a": 1}}]}',
        ],
    ),
    (
        None,
        {"response_schema": CITY},
        [
            '{"response": {"answer": {"name": "Oulu"}}}',
            '{"response": {"tool_calls": [{"name": "now", "arguments": {}}]}}',
        ],
        ['{"name": "Oulu"}', '{"response": {}}'],
    ),
    ("none", {"response_schema": CITY}, ['{"name": "Oulu"}'], ["{}"]),
]


@pytest.mark.parametrize(("choice", "options", "right", "wrong"), SHAPES)
def test_the_grammar_allows_what_the_words_ask_for_and_what_is_read(
    choice: Any, options: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    """All three are one shape, with `properties` at its top, as TGI wants it."""
    asked = request(choice, **options)
    assert asked.grammar is not None
    assert asked.grammar["type"] == "json"
    assert next(iter(asked.grammar["value"])) == "properties"
    for answer in right:
        jsonschema.validate(json.loads(answer), asked.grammar["value"])
        reader = read(asked, answer)
        called = "tool_calls" in answer
        assert (bool(reader.calls), bool(reader.text)) == (called, not called)
        asked.check(reader)
        if reader.text:
            assert json.loads(reader.text) == {"name": "Oulu"}
    for answer in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(answer), asked.grammar["value"])


def test_a_free_answer_has_no_grammar() -> None:
    """A model that may answer in words does; of no tools nothing is said."""
    for asked in (request(), request("none"), request(tools=[])):
        assert asked.grammar is None
    assert request("none").instructions == request(tools=[]).instructions == ""


def test_a_tool_whose_schema_refers_to_itself_is_forced_in_words_alone() -> None:
    """A recursive tool is required by prompt only, without a grammar."""
    tree = {"type": "function", "function": {"name": "plant", "parameters": TREE}}
    asked = request("any", [tree, NOW])
    assert asked.grammar is None
    assert "Call one or more tools" in asked.instructions
    call = '{"tool_calls": [{"name": "plant", "arguments": {"left": {"left": {}}}}]}'
    assert read(asked, call).calls[0].arguments == {"left": {"left": {}}}


def test_the_words_describe_tools_only_where_the_template_does_not() -> None:
    """The prompt describes tools only if the template does not."""
    for in_words in (True, False):
        for choice, asks in ((None, in_words), ("any", True)):
            words = request(choice, in_words=in_words).instructions
            assert ("Add two numbers." in words) is in_words
            assert ('{"tool_calls": [' in words) is asks
    assert "exactly one tool" in request("any", parallel=False).instructions
    assert json.dumps(CITY) in request(response_schema=CITY).instructions
    assert json.dumps(CITY) in request("none", response_schema=CITY).instructions


@pytest.mark.parametrize(
    ("choice", "text", "reason", "hint"),
    [
        ("any", "It is three.", "eos_token", "a server with grammars"),
        ("any", "Let me", "length", "Raise max_new_tokens"),
        ("any", '{"name": "fly", "arguments": {}}', "eos_token", "a server with grammars"),
        ("add", '{"tool_calls": [{"name": "now", "arguments": {}}]}', "eos_token", "a server with"),
    ],
)
def test_a_forced_call_that_does_not_come_is_an_error(
    choice: str, text: str, reason: str, hint: str
) -> None:
    """It shows what came, a call of another tool too, and says what to do."""
    asked = request(choice)
    with pytest.raises(StructuredOutputError, match="the model did not call") as caught:
        asked.check(read(asked, text, reason))
    assert caught.value.text == text
    assert hint in (caught.value.hint or "")


def test_a_forced_call_that_cannot_be_read_is_left_to_the_caller() -> None:
    """It came: whoever asked gets it as an invalid call, with its reason."""
    asked = request("any")
    reader = read(asked, '{"tool_calls": [{"name": "add", "arguments": {"a": 1,,}}]}')
    asked.check(reader)
    assert [call.name for call in reader.invalid_calls] == ["add"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "patternProperties": {"[": {"type": "string"}}},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
    ],
)
def test_a_schema_that_cannot_check_arguments_does_not_harm_a_call(parameters: Any) -> None:
    """A schema that cannot be used for checking does not invalidate a call."""
    tool = {"type": "function", "function": {"name": "odd", "parameters": parameters}}
    asked = ToolRequest.of([tool], tool_format=ToolFormat.named("words"), in_words=True)
    reader = read(asked, '{"name": "odd", "arguments": {"x": 1}}')
    assert reader.calls[0].name == "odd"
    assert asked.violations(reader) == {}


@pytest.mark.parametrize("mark", ["<think>", "[THINK]", "<|START_THINKING|>"])
def test_reasoning_that_a_prompt_begins_is_ended_where_a_grammar_leaves_no_room(mark: str) -> None:
    """Without a grammar, the model thinks, and what it thinks of is no call."""
    prompt = f"user: 1+2?\nassistant: {mark}\n"
    forced, free = request("any"), request()
    assert without_reasoning("assistant: ") == "assistant: "
    assert without_reasoning(prompt) != prompt
    assert without_reasoning(prompt).startswith(prompt.rstrip())
    assert (forced.grammar is None, free.grammar is None) == (False, True)
    call = '{"tool_calls": [{"name": "now", "arguments": {}}]}'
    for asked, sent, calls in ((forced, without_reasoning(prompt), 1), (free, prompt, 0)):
        reader = asked.reader(prompt=sent)
        reader.read([Token(id=1, text=call)], "eos_token")
        assert len(reader.calls) == calls


def test_a_grammar_is_obeyed_in_plain_json_also_where_the_family_has_a_format() -> None:
    """Under a grammar no special token comes, so no marker of a family does."""
    asked = ToolRequest.of(
        TOOLS, "any", tool_format=ToolFormat.named("mistral"), in_words=False, parallel=False
    )
    assert read(asked, '{"tool_calls": [{"name": "now", "arguments": {}}]}').calls[0].name == "now"
    assert asked.template_tools is not None
