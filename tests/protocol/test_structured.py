"""Answers that are JSON of a schema: the grammar that servers take, and what of an answer passes."""

import pickle
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi._structured import grammar_of, instructions, read


class Street(BaseModel):
    name: str


class Person(BaseModel):
    """Somebody."""

    age: int
    home: Street
    work: Street | None = None


class Tree(BaseModel):
    leaves: list["Tree"]


def _refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        here = [part["$ref"]] if "$ref" in part else []
        return here + [ref for item in part.values() for ref in _refs(item)]
    return [ref for item in part for ref in _refs(item)] if isinstance(part, list) else []


def test_a_grammar_holds_no_reference() -> None:
    schema = Person.model_json_schema()
    assert _refs(schema), "the schema itself has some"
    grammar = grammar_of(schema)
    value = grammar["value"]
    assert grammar["type"] == "json"
    assert _refs(value) == []
    assert "$defs" not in value
    assert value["properties"]["home"]["properties"] == {
        "name": {"title": "Name", "type": "string"}
    }
    assert value["required"] == ["age", "home"]


def test_a_recorded_schema_is_sent_as_it_is(recordings: dict[str, Any]) -> None:
    recorded = recordings["tgi-3.3.7/grammar-json"]["request"]["json"]["parameters"]["grammar"]
    assert grammar_of(recorded["value"]) == recorded


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (TypeAdapter(list[int]).json_schema(), "must be an object's with properties"),
        (Tree.model_json_schema(), r"schema=#/\$defs/Tree: must not refer to itself"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "refers to what is not in it"),
        ({"properties": {"a": {"$ref": "http://example.org"}}}, "refers to what is not in it"),
    ],
)
def test_a_schema_that_no_server_takes_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        grammar_of(schema)


def test_the_instructions_hold_the_schema() -> None:
    assert '"home"' in instructions(Person.model_json_schema())


SAID = '{"age": 40, "home": {"name": "Mannerheimintie"}}'


def test_an_answer_is_read() -> None:
    person = read(f" {SAID}\n", Person.model_validate_json)
    assert person == Person(age=40, home=Street(name="Mannerheimintie"))


@pytest.mark.parametrize(
    "text", ["", "Sure!", f"Sure: {SAID}", SAID[:-1], SAID.replace("40", '"old"'), "[1]"]
)
def test_what_was_not_asked_for_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(StructuredOutputError) as caught:
        read(text, Person.model_validate_json, advice="ask otherwise")
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.text == text
    assert repr(text) in str(error)
    assert "(ask otherwise)" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.text, str(again)) == (text, str(error))


def test_an_answer_that_was_cut_says_so() -> None:
    with pytest.raises(StructuredOutputError, match="max_new_tokens ended it"):
        read(SAID[:-1], Person.model_validate_json, finish_reason="length", advice="no")


def test_words_around_it_pass_where_it_was_asked_for_in_words() -> None:
    text = f"Sure! Here it is:\n```json\n{SAID}\n```\nAnything else?"
    assert read(text, Person.model_validate_json, anywhere=True).age == 40
    with pytest.raises(StructuredOutputError, match="Sure"):
        read("Sure!", Person.model_validate_json, anywhere=True)
