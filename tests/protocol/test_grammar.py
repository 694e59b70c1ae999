"""Grammars of JSON schemas: servers take them, they are cheap to compile, and what they allow is JSON."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from outlines_core import json_schema
from pydantic import AnyUrl, BaseModel, Field, TypeAdapter

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._structured import check_schema, grammar_of
from datacrunch_tgi._structured._grammar import CHEAP
from datacrunch_tgi._structured._patterns import cheap_pattern


class Street(BaseModel):
    name: str


class Person(BaseModel):
    """Somebody."""

    age: int
    home: Street
    work: Street | None = None


class Tree(BaseModel):
    leaves: list["Tree"]


def value_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that is sent."""
    grammar = grammar_of(schema)
    assert grammar["type"] == "json"
    value: dict[str, Any] = grammar["value"]
    return value


def property_of(schema: Any, *, required: bool = True) -> Any:
    """What is sent for the only property of an object."""
    names = ["a"] if required else []
    return value_of({"properties": {"a": schema}, "required": names})["properties"].get("a")


def regex_of(value: dict[str, Any]) -> str:
    """The regular expression that TGI 3.3.7 makes of a grammar; fails where it refuses one."""
    pattern: str = json_schema.build_regex_from_schema(json.dumps(value))
    return pattern


def test_references_are_inlined_and_annotations_left_out() -> None:
    """Servers resolve references endlessly, and ignore titles, descriptions and defaults."""
    assert value_of(Person.model_json_schema()) == {
        "properties": {
            "age": {"type": "integer"},
            "home": {"properties": {"name": {"type": "string"}}, "required": ["name"]},
            "work": {
                "anyOf": [
                    {"properties": {"name": {"type": "string"}}, "required": ["name"]},
                    {"type": "null"},
                ]
            },
        },
        "required": ["age", "home"],
    }


OBJECT = r"^schema: must be an object with properties for a grammar\."
NOTHING = r"^schema: must not be a schema that nothing matches\."
TOO_LARGE = "^schema: is too large for a grammar$"


def test_properties_keep_their_order() -> None:
    """A model writes them in this order, so that a reason can come before a verdict."""
    names = ["zeta", "alpha", "mïddle"]
    schema = {"properties": {name: {"type": "string"} for name in names}, "required": names[::-1]}
    assert list(value_of(schema)["properties"]) == names


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        (TypeAdapter(list[int]).json_schema(), OBJECT),
        ({"type": "object"}, OBJECT),
        ({"anyOf": [{"properties": {}}, {"type": "null"}]}, OBJECT),
        (Tree.model_json_schema(), r"schema=#/\$defs/Tree: must not refer to itself"),
        ({"properties": {"a": {"$ref": "#"}}}, "schema=#: must not refer to itself"),
        (
            {"properties": {"a": {"items": {"$ref": "#/properties/a"}}}},
            "schema=#/properties/a: must not refer to itself",
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/A"}}},
            r"^schema=#/\$defs/A: must contain the target of each reference\.",
        ),
        ({"properties": {"a": {"$ref": "city"}}}, "^schema=city: must refer to its parts by path"),
        (
            {"properties": {"a": {"$ref": "#city"}}, "$defs": {"City": {"$anchor": "city"}}},
            r"^schema=#city: must refer to its parts by path \(#/\$defs/City\) for a grammar\.",
        ),
        (
            {"properties": {"a": {"$ref": "/a"}}, "a": {}},
            "^schema=/a: must refer to its parts by path",
        ),
        (
            {"properties": {"a": {"$ref": "#/parts/1"}}, "parts": [{}]},
            "^schema=#/parts/1: must contain the target",
        ),
        (
            {"properties": {"a": {"$ref": "http://[::1]/a"}}},
            r"^schema=http://\[::1\]/a: must refer to its parts by path",
        ),
        ({"properties": {"a": {"enum": []}}, "required": ["a"]}, NOTHING),
        ({"properties": {"a": False}, "required": ["a"]}, NOTHING),
        ({"properties": {'"': {"type": "string"}}, "required": ['"']}, NOTHING),
    ],
)
def test_a_schema_without_a_grammar_is_refused_with_what_to_do(
    schema: dict[str, Any], rule: str
) -> None:
    """A schema that no grammar can express is refused, with advice."""
    with pytest.raises(ArgumentError, match=rule) as caught:
        grammar_of(schema, hint="Ask in words.")
    assert caught.value.field == "schema"
    assert str(caught.value).endswith(". Ask in words.")


def test_a_reference_may_be_used_many_times_but_not_multiply_endlessly() -> None:
    """References are inlined up to a limit on the size."""
    diamond = {
        "$defs": {
            "Base": {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
            "B": {"allOf": [{"$ref": "#/$defs/Base"}]},
            "C": {"allOf": [{"$ref": "#/$defs/Base"}]},
        },
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/B"}, {"$ref": "#/$defs/C"}]}},
    }
    assert value_of(diamond)["properties"]["a"]["properties"] == {"id": {"type": "integer"}}
    doubling = {
        f"D{n}": {"properties": {name: {"$ref": f"#/$defs/D{n + 1}"} for name in "ab"}}
        for n in range(40)
    }
    with pytest.raises(ArgumentError, match=TOO_LARGE):
        grammar_of({"$defs": {**doubling, "D40": {"type": "null"}}, "$ref": "#/$defs/D0"})


def test_a_part_that_refers_to_several_has_what_all_of_them_ask_for() -> None:
    """A property with several references has the constraints of all of them."""
    schema = {
        "$defs": {"A": {"type": "string"}, "B": {"maxLength": 3}, "C": {"minLength": 2}},
        "properties": {
            "a": {"allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]},
            "b": {"$ref": "#/$defs/A", "anyOf": [{"$ref": "#/$defs/B"}, {"$ref": "#/$defs/C"}]},
        },
    }
    short = {"type": "string", "maxLength": 3}
    assert value_of(schema)["properties"] == {
        "a": short,
        "b": {"anyOf": [short, {"type": "string", "minLength": 2}]},
    }


def test_a_reference_may_name_a_part_in_any_spelling() -> None:
    """As a JSON pointer: escaped, percent-encoded, or by its number in a list."""
    kinds = [{"type": kind} for kind in ("null", "boolean", "string", "number")]
    names = ("a~1b", "a~0b", "a%20b")
    references = [*(f"#/$defs/{name}" for name in names), "#/parts/1"]
    schema = {
        "$defs": dict(zip(("a/b", "a~b", "a b"), kinds, strict=False)),
        "parts": [{}, kinds[3]],
        "properties": {str(n): {"$ref": target} for n, target in enumerate(references)},
    }
    assert list(value_of(schema)["properties"].values()) == kinds


def test_what_several_parts_require_is_required() -> None:
    """And what is not a property is any value."""
    schema = {
        "properties": {"b": {"type": "null"}, "c": {"type": "null"}},
        "required": ["b"],
        "allOf": [{"required": ["c"]}, {"properties": {"d": {"type": "null"}}}],
    }
    assert value_of(schema) == {
        "properties": {name: {"type": "null"} for name in "bcd"},
        "required": ["b", "c"],
    }


def test_a_part_with_definitions_of_its_own_refers_to_these() -> None:
    """Schemas of several tools are put into one, each with its own `#/$defs/City`."""
    kinds = {"$defs": "string", "definitions": "integer"}
    tools = [
        {"properties": {"city": {"$ref": f"#/{name}/City"}}, name: {"City": {"type": kind}}}
        for name, kind in kinds.items()
    ]
    sent = value_of({"properties": {"tool": {"anyOf": tools}}})["properties"]["tool"]["anyOf"]
    assert [one["properties"]["city"] for one in sent] == [
        {"type": kind} for kind in kinds.values()
    ]


SCALARS = [{"type": kind} for kind in ("string", "number", "boolean", "null")]


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({}, {"anyOf": SCALARS}),
        ({"title": "Anything"}, {"anyOf": SCALARS}),
        (True, {"anyOf": SCALARS}),
        ({"type": "object"}, {"type": "object", "additionalProperties": {"anyOf": SCALARS}}),
        ({"type": "object", "additionalProperties": False}, {"properties": {}}),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        ({"type": "array"}, {"type": "array", "items": {"anyOf": SCALARS}}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "string", "maxLength": 100_000}, {"type": "string"}),
        ({"type": "string", "maxLength": 12}, {"type": "string", "maxLength": 12}),
        ({"type": "string", "minLength": 9, "maxLength": 3}, {"type": "string"}),
        (
            {"type": "array", "items": {"type": "null"}, "maxItems": 9},
            {"type": "array", "items": {"type": "null"}},
        ),
        ({"type": "integer", "minimum": 1, "maximum": 3}, {"enum": [1, 2, 3]}),
        ({"type": "integer", "exclusiveMinimum": 0.5, "maximum": 2}, {"enum": [1, 2]}),
        ({"type": "integer", "minimum": 0.5, "maximum": 2.5}, {"enum": [1, 2]}),
        ({"type": "integer", "minimum": -2.5, "maximum": -0.5}, {"enum": [-2, -1]}),
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 3}, {"enum": [1, 2]}),
        ({"type": "integer", "minimum": 2, "maximum": 2}, {"enum": [2]}),
        ({"type": "integer", "minimum": 1, "maximum": 200}, {"enum": [*range(1, 201)]}),
        ({"type": "integer", "minimum": 1, "maximum": 201}, {"type": "integer"}),
        ({"type": "integer", "minimum": 1}, {"type": "integer"}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer"}),
        ({"const": {"b": 1}}, {"properties": {"b": {"enum": [1]}}, "required": ["b"]}),
        ({"const": None}, {"enum": [None]}),
        (
            {"const": [1, "x"]},
            {"type": "array", "prefixItems": [{"enum": [1]}, {"enum": ["x"]}]},
        ),
        ({"const": []}, {"type": "array", "maxItems": 0, "items": {"type": "null"}}),
        (
            {"prefixItems": [{"type": "integer"}, {"type": "null"}], "items": {"type": "string"}},
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}]},
        ),
        ({"items": [{"type": "null"}]}, {"type": "array", "prefixItems": [{"type": "null"}]}),
        (
            {"items": [{"type": "null"}], "minItems": 3},
            {"type": "array", "prefixItems": [{"type": "null"}]},
        ),
        (
            {"items": {"type": "null"}, "minItems": 1, "maxItems": 1},
            {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 1},
        ),
        (
            {"items": {"type": "null"}, "minItems": 8, "maxItems": 9},
            {"type": "array", "items": {"type": "null"}, "minItems": 8},
        ),
        (
            {"items": {"type": "null"}, "maxItems": 0},
            {"type": "array", "maxItems": 0, "items": {"type": "null"}},
        ),
        ({"enum": [*range(200)]}, {"enum": [*range(200)]}),
        ({"enum": [*range(201)]}, {"type": "number"}),
        ({"enum": [None] * 201}, {"type": "null"}),
        ({"enum": [True] * 201}, {"type": "boolean"}),
        (
            {"enum": [1, {"b": "x"}]},
            {"anyOf": [{"enum": [1]}, {"properties": {"b": {"enum": ["x"]}}, "required": ["b"]}]},
        ),
        (
            {"anyOf": [{"anyOf": [{"type": "null"}, {"type": "string"}]}, {"type": "null"}]},
            {"anyOf": [{"type": "null"}, {"type": "string"}]},
        ),
        (
            {"type": "string", "minLength": 5, "maxLength": 5},
            {"type": "string", "minLength": 5, "maxLength": 5},
        ),
        (
            {"enum": [*range(300), "x", True, None]},
            {"anyOf": [{"type": kind} for kind in ("number", "string", "boolean", "null")]},
        ),
        ({"enum": ["x", 1.5, True]}, {"enum": ["x", 1.5, True]}),
        ({"enum": ["x"] * 500}, {"type": "string"}),
        ({"not": {"type": "null"}, "type": "string"}, {"type": "string"}),
        ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, {"type": "string", "maxLength": 3}),
        ({"allOf": [True, {"type": "string"}]}, {"type": "string"}),
        (
            {
                "properties": {"b": {"type": "null"}},
                "allOf": [{"properties": {"b": {"title": "B"}}}],
            },
            {"properties": {"b": {"type": "null"}}},
        ),
        (
            {
                "allOf": [
                    {"properties": {"b": {"type": "string"}}},
                    {"properties": {"b": {"maxLength": 3}}},
                ]
            },
            {"properties": {"b": {"type": "string", "maxLength": 3}}},
        ),
        ({"type": "string", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "([a-z]+)"}),
        ({"type": "string", "pattern": "^a|b$"}, {"type": "string", "pattern": "(a|b)"}),
        ({"type": "string", "pattern": "(?=a)b"}, {"type": "string"}),
        ({"properties": {}}, {"properties": {}}),
        (
            {"properties": {"b": {"type": "null"}}, "required": ["c"]},
            {"properties": {"b": {"type": "null"}, "c": {"anyOf": SCALARS}}, "required": ["c"]},
        ),
        ({"type": "any"}, {"anyOf": SCALARS}),
        (
            {"maxLength": 3, "oneOf": [{"type": "string"}, {"type": "null"}]},
            {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        ),
        (TypeAdapter(AnyUrl).json_schema(), {"type": "string", "minLength": 1}),
    ],
)
def test_what_a_grammar_does_not_take_is_replaced(schema: Any, sent: dict[str, Any]) -> None:
    """Servers answer 422 to some of these, compile others for minutes, or make broken JSON of them."""
    assert property_of(schema) == sent
    regex_of(value_of({"properties": {"a": schema}, "required": ["a"]}))


def test_what_nothing_matches_is_left_out_where_it_is_optional() -> None:
    """An optional property that nothing can match is left out of the grammar."""
    nothing: list[Any] = [
        False,
        {"enum": []},
        {"anyOf": [False]},
        {"items": [True, False]},
        {"items": {"enum": []}, "minItems": 1},
    ]
    for schema in nothing:
        assert property_of(schema, required=False) is None
    assert property_of({"anyOf": [{"enum": []}, {"type": "null"}]}) == {"type": "null"}
    assert property_of({"items": {"enum": []}})["maxItems"] == 0


@pytest.mark.parametrize(
    ("pattern", "sent"),
    [
        (r"^\d{3}-\w+$", "([0-9]{3}-[A-Za-z0-9_]+)"),
        (r"[\w.]+@example\.org", r"([A-Za-z0-9_.]+@example\.org)"),
        (".*", r'([^"\\\x00-\x1f\x7f-\x9f]*)'),
        ("[^a]", None),
        ('say "hello"', None),
        (r"\S+", None),
        (r"(a)\1", None),
        ("((a{1}){0}){100}", "(((a{1}){0}){100})"),
        ("a{1000}", None),
        ("((a{9}){9}){9}", None),
        ("(a", None),
        ("[!-~]", None),
        (7, None),
    ],
)
def test_a_pattern_is_sent_only_where_it_is_cheap_and_matches_no_quotation_mark(
    pattern: Any, sent: str | None
) -> None:
    """TGI puts a pattern between quotation marks as it is."""
    assert cheap_pattern(pattern, 100) == sent


def test_a_recorded_schema_is_sent_as_it_is_but_for_bounds_that_are_obeyed(
    recordings: dict[str, Any],
) -> None:
    """The real server ignores `minimum` and `maximum`, and obeys an `enum`."""
    recorded = recordings["tgi-3.3.7/grammar-json"]["request"]["json"]["parameters"]["grammar"]
    sent = value_of(recorded["value"])
    assert sent["properties"].pop("age") == {"enum": [*range(151)]}
    assert sent["properties"].items() <= recorded["value"]["properties"].items()
    assert sent["required"] == recorded["value"]["required"]


class Order(BaseModel):
    """What a person would ask for."""

    items: list[Street] = Field(min_length=1, max_length=3)
    note: str | None = Field(None, max_length=50)
    days: int = Field(ge=1, le=7)
    tags: dict[str, str] = {}


def test_an_ordinary_class_keeps_its_bounds() -> None:
    """Small bounds are kept in the grammar."""
    value = value_of(Order.model_json_schema())
    assert value["properties"]["items"]["maxItems"] == 3
    assert value["properties"]["note"]["anyOf"][0] == {"type": "string", "maxLength": 50}
    assert value["properties"]["days"] == {"enum": [1, 2, 3, 4, 5, 6, 7]}
    assert len(regex_of(value)) < CHEAP


TEXTS = st.text(max_size=6)
NUMBERS = st.integers(-5, 200_000) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
PATTERNS = st.sampled_from(
    ["^a+$", ".*", "a|b", r"\d{3}", '"', r"[^\"]{2,5}", r"\w{1,500}", "(?=a)", "(a{50}){50}", r"\\"]
)
TYPES = ["string", "integer", "number", "boolean", "null", "object", "array"]


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "c", 'q"', "ä b"])
    counts = st.integers(0, 300)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
        "properties": st.dictionaries(names, inner, max_size=3),
        "required": st.lists(names, unique=True, max_size=2),
        "additionalProperties": inner,
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=3),
        "anyOf": st.lists(inner, min_size=1, max_size=3),
        "oneOf": st.lists(inner, min_size=1, max_size=2),
        "allOf": st.lists(inner, min_size=1, max_size=3),
        "enum": st.lists(VALUES, max_size=4),
        "const": VALUES,
        "pattern": PATTERNS,
        "format": st.sampled_from(["date", "email", "uuid", "byte"]),
        "minLength": counts,
        "maxLength": counts,
        "minItems": counts,
        "maxItems": counts,
        "minimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "not": inner,
        "title": TEXTS,
        "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B", "#"]),
    }
    return st.fixed_dictionaries({}, optional=keywords).map(
        lambda schema: dict(list(schema.items())[:5])
    )


SCHEMAS = st.recursive(st.booleans() | _schemas(st.booleans()), _schemas, max_leaves=6)


# Most generated schemas are refused.
@settings(suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), SCHEMAS, min_size=1, max_size=3),
    SCHEMAS,
    SCHEMAS,
    st.data(),
)
def test_whatever_the_schema_the_grammar_is_taken_cheap_and_makes_json(
    properties: dict[str, Any], first: Any, second: Any, data: st.DataObject
) -> None:
    """Any schema gives a cheap grammar of JSON, or is refused before any request."""
    schema = {"properties": properties, "required": ["a"], "$defs": {"A": first, "B": second}}
    try:
        value = value_of(schema)
    except ArgumentError:
        return
    assert "$ref" not in json.dumps(list(_keywords(value)))
    Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"}).validate(value)
    pattern = regex_of(value)
    assert len(pattern) < 60_000
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    assert isinstance(json.loads(text), dict)


def _keywords(part: Any) -> Any:
    if isinstance(part, dict):
        for name, item in part.items():
            yield name
            if name not in {"enum", "const"}:
                yield from _keywords(item)
    elif isinstance(part, list):
        for item in part:
            yield from _keywords(item)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"type": "no such type"},
            "$.type: 'no such type' is not valid under any of the given schemas",
        ),
        (
            {"properties": []},
            "$.properties: [] is not of type 'object'",
        ),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any, words: str) -> None:
    """An invalid schema is refused with the rule and the place in it that is wrong."""
    with pytest.raises(ArgumentError) as caught:
        check_schema(schema)
    assert str(caught.value) == f"schema: is not a JSON schema: {words}"
    with pytest.raises(ArgumentError) as caught:
        check_schema("City")
    assert str(caught.value) == "schema=str: must be a dict"


CITY = {"$anchor": "city", "type": "string"}
ELSEWHERE = {"$id": "http://host.invalid/b", "properties": {"b": {"$ref": "#/$defs/City"}}}


@pytest.mark.parametrize(
    ("schema", "reference"),
    [
        ({"$ref": "http://host.invalid/schema"}, "http://host.invalid/schema"),
        ({"$ref": "http://[::1/schema"}, "http://[::1/schema"),
        ({"$dynamicRef": "http://host.invalid/schema"}, "http://host.invalid/schema"),
        ({"$ref": "#town", "$defs": {"City": CITY}}, "#town"),
        ({"items": {"$ref": "#/$defs/A"}}, "#/$defs/A"),
        ({"anyOf": [{"$ref": "#/$defs/A"}, {}]}, "#/$defs/A"),
        ({"anyOf": [{}, {"$ref": "#/anyOf/2"}]}, "#/anyOf/2"),
        ({"anyOf": [{}, {"$ref": "#/anyOf/x"}]}, "#/anyOf/x"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}, "b": {}}}, "#/$defs/A"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#"}}}, "#/$defs/A"),
        ({"$ref": "#/parts/a", "parts": {"a": {"$ref": "#/parts/b"}}}, "#/parts/b"),
        ({"$defs": {"City": CITY}, "properties": {"a": ELSEWHERE}}, "#/$defs/City"),
    ],
)
def test_a_reference_to_what_is_not_there_is_refused_before_an_answer_is_checked(
    schema: dict[str, Any], reference: str
) -> None:
    """A reference without a target is refused, wherever it is."""
    with pytest.raises(ArgumentError) as caught:
        check_schema(schema)
    assert str(caught.value) == f"schema={reference}: must contain the target of each reference"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#city"}}, "$defs": {"City": CITY}},
        {"properties": {"a": {"$dynamicRef": "#city"}}, "$defs": {"City": CITY}},
        {"properties": {"a": {"$ref": "#/parts/0"}}, "parts": [CITY]},
        {
            "properties": {"a": {"$ref": "b#city"}},
            "$defs": {"B": {"$id": "b", "$defs": {"C": CITY}}},
        },
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"$ref": "#/definitions/City"}},
            "definitions": {"City": {"type": "string"}},
        },
        {"$schema": "http://host.invalid/own", "properties": {"a": CITY}, "enum": [{"a": "b"}]},
        {"properties": {"a": {"type": "string", "default": {"$ref": "#/none"}}}},
        {"properties": {"a": {"type": "string"}, "b": {"$ref": "#"}}},
    ],
)
def test_a_reference_may_be_of_any_form_that_json_schema_has(schema: dict[str, Any]) -> None:
    """Data that looks like one is none."""
    check = check_schema(schema)
    assert check.is_valid({"a": "b"})
    assert not check.is_valid({"a": 1})


def test_an_old_schema_is_read_as_such() -> None:
    """Draft 4 says with a boolean that a bound is exclusive."""
    check = check_schema({"type": "integer", "minimum": 0, "exclusiveMinimum": True})
    assert not check.is_valid(0)
    assert check.is_valid(1)
