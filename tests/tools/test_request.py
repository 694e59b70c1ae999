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


OBJECT = "parameters must be the JSON schema of an object"
CHOICES = "must be auto, none, any, required or the name of a tool"


def tool_with(parameters: Any) -> dict[str, Any]:
    return {"function": {"name": "f", "parameters": parameters}}


@pytest.mark.parametrize(
    ("tools", "choice", "words"),
    [
        ([ADD, ADD], None, "tools='add': two tools have this name: rename one"),
        (
            [{"type": "web_search"}],
            None,
            "tools[0]='web_search': must be a function; the server runs no tools",
        ),
        ([ADD, {"function": {}}], None, "tools[1]: must have a name"),
        ([{"function": {"name": ""}}], None, "tools[0]: must have a name"),
        ([tool_with(7)], None, f"tools[0]='f': {OBJECT}"),
        ([tool_with({"type": "array"})], None, f"tools[0]='f': {OBJECT}"),
        (
            [tool_with({"properties": 3})],
            None,
            "tools[0]='f': parameters: is not a JSON schema: $.properties: 3 is not of type 'object'",
        ),
        (
            [tool_with({"properties": {"a": {"$ref": "#/b"}}})],
            None,
            "tools[0]='f': parameters: must contain the target of each reference",
        ),
        (TOOLS, "subtract", f"tool_choice='subtract': {CHOICES} (add, now)"),
        (
            TOOLS,
            {"type": "function", "function": {"name": "subtract"}},
            f"tool_choice='subtract': {CHOICES} (add, now)",
        ),
        (TOOLS, 7, f"tool_choice=7: {CHOICES} (add, now)"),
        ([], "any", "tool_choice='any': needs tools to choose from"),
        ([], "add", f"tool_choice='add': {CHOICES} (there are none)"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tools: list[Any], choice: Any, words: str) -> None:
    """The error names the tool or the choice, and the rule."""
    with pytest.raises(ArgumentError) as caught:
        request(choice, tools)
    assert str(caught.value) == words


@pytest.mark.parametrize("choice", ["any", "add"])
def test_a_forced_call_leaves_no_choice_to_answer(choice: str) -> None:
    """`response_format` cannot be combined with a required call."""
    with pytest.raises(ArgumentError) as caught:
        request(choice, response_schema=CITY)
    assert str(caught.value) == (
        f"tool_choice='{choice}': "
        "cannot be combined with response_format, which allows a call or an answer"
    )
    assert not request("none", response_schema=CITY).offered


def test_a_function_of_the_responses_api_is_a_tool() -> None:
    """OpenAI's newer form has name and parameters beside the type."""
    flat = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    (shown,) = request("any", [flat]).offered
    assert shown == {"type": "function", "function": {k: flat[k] for k in ("name", "parameters")}}


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


SHAPE = '{"tool_calls": [{"name": <tool name>, "arguments": <arguments object>}]}'
DESCRIBED = f"""You can call these tools. Each line describes one, with the JSON schema of its arguments:
{json.dumps(ADD["function"])}
{{"name": "now", "parameters": {{"type": "object", "properties": {{}}}}}}

"""


@pytest.mark.parametrize(
    ("choice", "options", "words"),
    [
        (
            None,
            {},
            (
                f"{DESCRIBED}To call one or more tools, answer with only this JSON object and no other text:\n"
                f"{SHAPE}\nIf no call is needed, answer the user in plain text."
            ),
        ),
        (None, {"in_words": False}, ""),
        (
            "any",
            {},
            (
                f"{DESCRIBED}Call one or more tools. Answer with only this JSON object and no other text:\n"
                f"{SHAPE}"
            ),
        ),
        (
            "now",
            {"in_words": False, "parallel": False},
            f"Call exactly one tool. Answer with only this JSON object and no other text:\n{SHAPE}",
        ),
        (
            None,
            {"in_words": False, "response_schema": CITY},
            (
                "Answer with only one JSON object and no other text. To call one or more tools:\n"
                f'{{"response": {SHAPE}}}\n'
                'For the final answer, once no more calls are needed:\n{"response": {"answer": <answer>}}\n'
                f"where the answer matches this JSON schema:\n{json.dumps(CITY)}"
            ),
        ),
        (
            "none",
            {"response_schema": CITY},
            (
                "Answer with one JSON object and nothing else, no words before or after it. "
                f"It has to match this JSON schema:\n{json.dumps(CITY)}"
            ),
        ),
    ],
)
def test_the_words_that_a_model_reads(choice: Any, options: dict[str, Any], words: str) -> None:
    """Whole, because models follow some words and not others."""
    assert request(choice, **options).instructions == words


NO_GRAMMARS = "Use a server with grammars (TGI 1.4.1 or newer), or a model trained for tools."


@pytest.mark.parametrize(
    ("choice", "text", "reason", "wanted", "hint"),
    [
        ("any", "It is three.", "eos_token", "a tool", NO_GRAMMARS),
        ("any", "Let me", "length", "a tool", "Raise max_new_tokens: the limit ended the answer."),
        ("any", '{"name": "fly", "arguments": {}}', "eos_token", "a tool", NO_GRAMMARS),
        (
            "add",
            '{"tool_calls": [{"name": "now", "arguments": {}}]}',
            "eos_token",
            "the tool 'add'",
            NO_GRAMMARS,
        ),
    ],
)
def test_a_forced_call_that_does_not_come_is_an_error(
    choice: str, text: str, reason: str, wanted: str, hint: str
) -> None:
    """A missing required call raises an error with the answer and advice."""
    asked = request(choice)
    with pytest.raises(StructuredOutputError) as caught:
        asked.check(read(asked, text, reason))
    assert caught.value.text == text
    assert caught.value.message == f"the model did not call {wanted}; it answered {text!r}"
    assert caught.value.hint == hint


def test_a_forced_call_that_cannot_be_read_is_left_to_the_caller() -> None:
    """A required call that cannot be parsed is an invalid call, not an error."""
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


def test_what_violates_a_schema_is_said_of_each_call() -> None:
    """By the call's id; a call of another tool violates none, and a default may be any object."""
    add = json.loads(json.dumps(ADD))
    add["function"]["parameters"]["properties"]["a"]["default"] = object()
    asked = request(tools=[add])
    wrong, right, other = (
        {"name": name, "arguments": {"a": a, "b": 2}}
        for name, a in (("add", 1.5), ("add", 1), ("fly", 1.5))
    )
    reader = read(asked, json.dumps({"tool_calls": [wrong, right, other]}))
    assert len(reader.calls) == 3
    assert asked.violations(reader) == {
        reader.calls[0].id: ("the arguments violate the schema: $.a: 1.5 is not of type 'integer'")
    }


def test_a_reader_ends_and_counts_as_the_request_says() -> None:
    """At the request's stop strings, not at half of one; after one call where they are not parallel."""
    call = '{"name": "now", "arguments": {}}'
    for parallel, count in ((True, 2), (False, 1)):
        assert len(read(request(parallel=parallel), f"[{call}, {call}]").calls) == count
    reader = request().reader(["END"])
    reader.read([Token(id=1, text=f"No. END {call}")], "eos_token")
    assert (reader.text, reader.calls) == ("No. ", [])
    reader = request().reader(["END"])
    reader.read([Token(id=1, text="No. EN")], "length")
    assert (reader.text, reader.finish_reason) == ("No. EN", "length")


def test_a_server_without_grammars_gets_none() -> None:
    """The prompt's words are the same."""
    without = request("any", grammars=False)
    assert without.grammar is None
    assert without.instructions == request("any").instructions


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
