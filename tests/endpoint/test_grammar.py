"""Grammars: matching answers, and errors for invalid grammars."""

import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import pytest
from outlines_core import Index
from pydantic import BaseModel, ConfigDict, Field

from datacrunch_tgi.testing import EmulatedEndpoint, _grammar
from datacrunch_tgi.testing._patterns import schema_to_regex

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]

PROMPT = "[INST] List three colours as JSON. [/INST]"
SCHEMA = {"properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}

SAMPLINGS: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.3, "frequency_penalty": 0.5},
    {"temperature": 2.0, "seed": 1},
    {"temperature": 0.1, "top_k": 3, "top_p": 0.5, "typical_p": 0.5, "seed": 2},
    {"do_sample": True, "watermark": True, "seed": 3},
]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Owner(BaseModel):
    name: Annotated[str, Field(max_length=9)]
    adult: bool


class Cat(BaseModel):
    model_config = ConfigDict(strict=True)

    name: Annotated[str, Field(max_length=9)]
    colour: Annotated[Colour, Field(strict=False)]
    owner: Owner | None
    toys: Annotated[list[Literal["ball", "mouse"]], Field(min_length=1, max_length=3)]
    lives: Literal[9, 7]


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> Iterator[EmulatedEndpoint]:
    """An endpoint at which the tiny Llama answers."""
    with EmulatedEndpoint(model=tiny_llama) as endpoint:
        yield endpoint


def regex(pattern: str) -> dict[str, Any]:
    return {"type": "regex", "value": pattern}


def inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with what its references name in their place."""
    match schema:
        case {"$ref": str(reference)}:
            return inlined(definitions[reference.removeprefix("#/$defs/")], definitions)
        case dict():
            return {key: inlined(item, definitions) for key, item in schema.items()}
        case list():
            return [inlined(item, definitions) for item in schema]
        case _:
            return schema


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("is_inlined", [True, False])
def test_an_answer_matches_its_schema(
    llama: EmulatedEndpoint, ask: Ask, sampling: dict[str, Any], *, is_inlined: bool
) -> None:
    """Answers match nested models, enums, alternatives and lists, however tokens are chosen."""
    schema = Cat.model_json_schema()
    if is_inlined:
        schema = inlined(schema, schema.pop("$defs"))
    grammar = {"type": "json", "value": schema}

    answer = ask(llama, prompt=PROMPT, grammar=grammar, details=True, **sampling).json()

    Cat.model_validate_json(answer["generated_text"])
    assert answer["details"]["finish_reason"] == "eos_token"


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_matches_its_regular_expression(
    llama: EmulatedEndpoint, ask: Ask, sampling: dict[str, Any]
) -> None:
    """Characters that are in no token are put together of their bytes."""
    pattern = "(日本|中文|[0-9]{2}){1,4}-[^a-z]{2}"

    answer = ask(llama, grammar=regex(pattern), details=True, **sampling).json()

    assert re.fullmatch(pattern, answer["generated_text"])
    assert answer["details"]["finish_reason"] == "eos_token"


def test_what_can_be_nothing_else_is_certain(llama: EmulatedEndpoint, ask: Ask) -> None:
    """Logprobs are of the tokens that were allowed: of one alone, it is 0."""
    answer = ask(llama, grammar=regex("-"), details=True).json()

    tokens = answer["details"]["tokens"]
    assert [token["text"] for token in tokens][1:] == ["</s>"]
    assert tokens[1]["logprob"] == 0


def test_a_grammar_does_not_outlast_max_new_tokens(llama: EmulatedEndpoint, ask: Ask) -> None:
    """An answer under a grammar is cut at `max_new_tokens`, with finish reason `length`."""
    answer = ask(llama, grammar=regex("[0-9]{20}"), max_new_tokens=5, details=True).json()

    assert re.fullmatch("[0-9]{1,19}", answer["generated_text"])
    assert answer["details"]["finish_reason"] == "length"


def test_grammars_at_the_same_time(
    emulated_endpoint: Start, http: httpx.Client, ask: Ask, tiny_llama: Path
) -> None:
    """Each answer obeys its own, or none, also while another is under way."""
    endpoint = emulated_endpoint(model=tiny_llama, tokens_per_second=50)
    body = {"inputs": PROMPT, "parameters": {"grammar": regex("(ab|ba){20}")}}

    with http.stream("POST", f"{endpoint.url}/generate_stream", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        digits = ask(endpoint, grammar=regex("[0-9]{3}")).json()["generated_text"]
        free = ask(endpoint, prompt="[INST] Hello [/INST]").json()
        *_, last = (line for line in lines if line)

    text = json.loads(last.removeprefix("data:"))["generated_text"]
    assert re.fullmatch("(ab|ba){20}", text)
    assert re.fullmatch("[0-9]{3}", digits)
    assert free == {"generated_text": " Hello! How can I help you today?"}


def test_a_grammar_is_compiled_once_and_blocks_nobody(
    emulated_endpoint: Start,
    http: httpx.Client,
    ask: Ask,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it is compiled, other routes answer; the next answer does not wait for it."""
    health: list[int] = []

    def compile_slowly(*arguments: Any) -> Index:
        health.append(http.get(f"{endpoint.url}/health").status_code)
        return Index(*arguments)

    monkeypatch.setattr(_grammar, "Index", compile_slowly)
    endpoint = emulated_endpoint(model=tiny_llama)

    texts = {ask(endpoint, grammar=regex("[a-z]{5}")).text for _ in range(3)}
    assert len(texts) == 1
    assert health == [200]
    ask(endpoint, grammar=regex("[a-z]{6}"))
    assert health == [200, 200]


REFUSED = [
    ({"type": "json", "value": 5}, "grammar is not supported"),
    ({"type": "json_object", "value": [{}]}, "grammar is not supported"),
    (
        {"type": "json", "value": '{"properties": {"a": }}'},
        "grammar is not valid: expected value at line 1 column 22",
    ),
    (
        {"type": "json", "value": '{"properties": {}}}'},
        "grammar is not valid: trailing characters at line 1 column 19",
    ),
    (
        {"type": "json", "value": ""},
        "grammar is not valid: EOF while parsing a value at line 1 column 0",
    ),
    (
        {"type": "json", "value": {"properties": {}, "required": "a"}},
        'grammar is not valid: "a" is not of type "array"',
    ),
    (
        {"type": "json_schema", "value": {"schema": '{"properties": {}}'}},
        'grammar is not valid: "{\\"properties\\": {}}" is not of types "boolean", "object"',
    ),
    (
        {"type": "json_schema", "value": {"schema": {"type": "object"}}},
        "grammar is not valid: Grammar must have a 'properties' field",
    ),
    (
        {"type": "json", "value": "true"},
        "grammar is not valid: Grammar must have a 'properties' field",
    ),
]


@pytest.mark.parametrize(("grammar", "said"), REFUSED)
def test_what_is_no_schema_is_refused(
    emulated_endpoint: Start, ask: Ask, events: Events, grammar: dict[str, Any], said: str
) -> None:
    """A script refuses it as a model does, in the router's words, in a stream as an event."""
    endpoint = emulated_endpoint(answers="Hello")

    refused = ask(endpoint, grammar=grammar)
    (streamed,) = events(ask(endpoint, route="/generate_stream", grammar=grammar))

    assert refused.status_code == 422
    assert refused.json() == streamed
    assert streamed == {"error": f"Input validation error: {said}", "error_type": "validation"}


RECURSIVE = {"properties": {"next": {"$ref": "#/$defs/node"}}}

NOT_COMPILED = [
    ({"type": "string", "format": "ipv4"}, "Format ipv4 is not supported by Outlines"),
    ({"type": "string", "format": "email"}, "Format email is not supported by Outlines"),
    ({"type": "array", "items": {"type": "string", "format": "uri"}}, "Format uri is not"),
    ({"type": ["string", "null"]}, "'type' must be a string"),
    ({"title": "Anything"}, 'Unsupported JSON Schema structure {"title":"Anything"}'),
    (True, "Unsupported JSON Schema structure true"),
    ({"not": {}}, "Unsupported JSON Schema structure"),
    ({"if": {}}, "Unsupported JSON Schema structure"),
    ({"type": "object", "additionalProperties": False}, "Unsupported JSON Schema structure"),
    ({"enum": [{"x": 1}]}, "Unsupported data type in enum"),
    ({"anyOf": [{"const": [1]}]}, "Unsupported data type in const"),
    ({"$ref": "#/$defs/missing"}, "Invalid reference path"),
    ({"$ref": "https://elsewhere/schema"}, "Invalid reference"),
    ({"$ref": "#"}, "# refers to itself"),
    ({"$ref": "#/$defs/node"}, "#/$defs/node refers to itself"),
]


@pytest.mark.parametrize(("part", "said"), NOT_COMPILED)
def test_what_the_server_does_not_compile_is_refused(
    emulated_endpoint: Start, ask: Ask, part: Any, said: str
) -> None:
    """JSON schema allows more than grammars can say; a script refuses it too, and goes on."""
    endpoint = emulated_endpoint(answers="Hello")
    schema = {"properties": {"a": part}, "$defs": {"node": RECURSIVE}}

    refused = ask(endpoint, grammar={"type": "json", "value": schema})

    assert refused.status_code == 422
    assert refused.json()["error"].startswith(
        f"Input validation error: cannot compile regex from schema: {said}"
    )
    assert ask(endpoint).status_code == 200


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "format": "date", "title": "A day"}}},
        {"properties": {"a": {"type": "string", "format": "email", "maxLength": 9}}},
        {"properties": {"a": {"const": "x", "type": ["string"]}}},
        {
            "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
            "$defs": {"x": {"type": "null"}},
        },
    ],
)
def test_what_stands_beside_the_first_keyword_is_ignored(
    emulated_endpoint: Start, ask: Ask, schema: dict[str, Any]
) -> None:
    """The server reads one keyword of each part, and lengths win over formats."""
    endpoint = emulated_endpoint(answers="Hello")

    assert ask(endpoint, grammar={"type": "json", "value": schema}).status_code == 200


@pytest.mark.parametrize(
    ("grammar", "status"),
    [
        (regex("[0-9]{3000}"), 200),
        (regex("[0-9]{4000}"), 422),
        (regex("[0-9]{0,100000}"), 422),
        (regex("((ab){100}){100}"), 422),
        (regex(r"\(a\){9000}"), 422),
        (regex(r"a\{9000}[{9000}]"), 200),
        (
            {"type": "json", "value": {"properties": {"a": {"maxLength": 900, "type": "string"}}}},
            200,
        ),
        (
            {"type": "json", "value": {"properties": {"a": {"maxLength": 2000, "type": "string"}}}},
            422,
        ),
    ],
)
def test_a_grammar_that_would_block_a_server_is_refused(
    emulated_endpoint: Start, ask: Ask, grammar: dict[str, Any], status: int
) -> None:
    """A real server compiles long counted repetitions for minutes."""
    endpoint = emulated_endpoint(answers="Hello")

    assert ask(endpoint, grammar=grammar).status_code == status


@pytest.mark.parametrize(
    ("text", "matches"),
    [(r"\"", True), (r"\\", True), (r"\n", False), (r"\u0041", False), ("å", True)],
)
def test_strings_escape_quotes_and_backslashes_only(text: str, *, matches: bool) -> None:
    """The server's grammar has no other escapes, so line breaks are impossible."""
    pattern = schema_to_regex({"properties": {"a": {"type": "string"}}, "required": ["a"]})

    assert bool(re.fullmatch(pattern, f'{{"a":"{text}"}}')) is matches


def test_classes_are_of_ascii(llama: EmulatedEndpoint, ask: Ask) -> None:
    r"""`\d`, `\w` and `\s` mean what they mean in the server, not digits of every script."""
    pattern = r"[\d\s]{20}\w{20}\\d"

    texts = [
        ask(llama, grammar=regex(pattern), temperature=9.0, seed=seed).json()["generated_text"]
        for seed in range(5)
    ]

    assert all(re.fullmatch(pattern, text, re.ASCII) for text in texts)


def test_a_grammar_is_looked_at_last(emulated_endpoint: Start, ask: Ask) -> None:
    """If several parameters are wrong, the grammar is reported last."""
    endpoint = emulated_endpoint(answers="Hello", max_total_tokens=10)

    refused = ask(endpoint, grammar={"type": "json", "value": 5}, max_new_tokens=10)

    assert "`inputs` tokens + `max_new_tokens` must be <= 10" in refused.json()["error"]


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "json", "value": SCHEMA},
        {"type": "json_object", "value": SCHEMA},
        {"type": "json", "value": json.dumps(SCHEMA)},
        {"type": "json_schema", "value": {"schema": SCHEMA}},
        {"value": {"schema": SCHEMA, "name": "ok", "strict": True}, "type": "json_schema"},
    ],
)
def test_a_schema_has_many_spellings(
    llama: EmulatedEndpoint, ask: Ask, grammar: dict[str, Any]
) -> None:
    """All spellings of a JSON grammar mean the same."""
    answer = ask(llama, prompt=PROMPT, grammar=grammar).json()

    assert json.loads(answer["generated_text"]) == {"ok": True}


def test_a_script_need_not_obey(emulated_endpoint: Start, ask: Ask) -> None:
    """Scripted answers are not checked against the grammar."""
    endpoint = emulated_endpoint(answers="Hello")

    assert ask(endpoint, grammar=regex("[0-9]")).json() == {"generated_text": "Hello"}
    assert ask(endpoint, grammar={"type": "json", "value": SCHEMA}).status_code == 200
