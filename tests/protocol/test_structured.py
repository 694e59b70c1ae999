"""Structured answers: what is found in an answer, what passes, and what an error shows."""

import json
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from datacrunch_tgi import StructuredOutputError
from datacrunch_tgi._structured import (
    check_schema,
    instructions,
    parse,
    partial_text,
    read,
    validator,
    violation,
)


class Street(BaseModel):
    name: str


class Person(BaseModel):
    """Somebody."""

    age: int
    home: Street


class Friend(BaseModel):
    """Somebody, and somebody whom they know: part of an answer looks like a whole one."""

    name: str
    friend: "Friend | None"


GOOD = '{"age": 40, "home": {"name": "Mannerheimintie"}}'
OTHER = '{"age": 41, "home": {"name": "Esplanadi"}}'
PERSON = Person(age=40, home=Street(name="Mannerheimintie"))


def test_the_instructions_hold_the_schema() -> None:
    """The instructions contain the schema as readable JSON."""
    assert instructions({"properties": {"ä": {"type": "string"}}}) == (
        "Answer with one JSON object and nothing else, no words before or after it. "
        'It has to match this JSON schema:\n{"properties": {"ä": {"type": "string"}}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        f" {GOOD}\n",
        f"Sure: {GOOD}",
        f"```json\n{GOOD}\n```\nFilled in {{age}} and {{home}}.",
        f"The set {{Helsinki}} gives: {GOOD}",
        f'The set {{"Helsinki"}} gives: {GOOD}',
        f"{GOOD}\nHope that helps :-}}",
        f"<think>{{maybe}} {OTHER}</think>\n{GOOD}",
        f"Maybe {OTHER}</think>{GOOD}",
        f"<think>a</think><think>{OTHER}</think>{GOOD}",
        f"[THINK]{OTHER}[/THINK]{GOOD}",
        f"<|START_THINKING|>{OTHER}<|END_THINKING|>{GOOD}",
        f"{GOOD}\n{OTHER}",
        f'{{"example": 1}}\n{GOOD}',
        f'{{"age": …, "home": {{…}}}} becomes {GOOD}',
        f"[{GOOD}]",
        f"{{{GOOD}}}",
        f"An object begins with {{, a list with [: {GOOD}",
        f'{{"age": …}} begins with {{: {GOOD}',
        f"Step [1]: {GOOD}",
        GOOD.replace("Mannerheimintie", r"Manner\u0068eimintie"),
    ],
)
def test_the_first_value_that_matches_is_found_wherever_it_is(text: str) -> None:
    """The first JSON value that matches is found anywhere in the answer."""
    assert read(text, Person.model_validate_json) == PERSON


def test_an_answer_may_hold_the_end_of_a_thought() -> None:
    """`</think>` inside a JSON string does not end the reasoning."""
    text = ' {"age": 40, "home": {"name": "</think>{"}}'
    assert read(text, Person.model_validate_json).home.name == "</think>{"


def test_a_list_or_a_scalar_is_read_where_it_is_asked_for() -> None:
    """Lists and scalars are read if the schema is one."""
    assert read("Here: [1, 2].", RootModel[list[int]].model_validate_json).root == [1, 2]
    assert read(" 7\n", RootModel[int].model_validate_json).root == 7


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "it contains no JSON; it is ''"),
        ("Sure!", "Expecting value"),
        (GOOD[:-1], "Expecting ',' delimiter"),
        (GOOD.replace("40", '"old"'), "age: Input should be a valid integer"),
        ("[1]", "Input should be an object"),
        (f"<think>Perhaps {GOOD}", "it contains no JSON"),
        (f"\n[THINK]Perhaps {GOOD}", "it contains no JSON"),
        ("A brace { and [.", "it contains no JSON; it is "),
        (f'{{"age": 1, "age": 40, {GOOD[12:]}', "duplicate key 'age'"),
        (f'{GOOD[:-1]}, "home": {{}}}}', "duplicate key 'home'"),
        (
            GOOD.replace("Manner", r"\ud800"),
            "a string has a lone surrogate (\\ud800 to \\udfff); it is ",
        ),
        (GOOD.replace("40", "1e999"), "1e999 is not a JSON number"),
        (GOOD.replace("40", "NaN"), "NaN is not a JSON number"),
        (GOOD.replace("40", "9" * 5000), "Exceeds the limit (4300"),
        (
            f'{{"age": {"[" * 5000}{"]" * 5000}, "home": {{}}}}',
            "nested more than 100 levels deep; it is",
        ),
        (f'{{"age": {"[" * 101}{"]" * 101}, "home": {{}}}}', "nested more than 100"),
        ("[" * 100_000, "nested more than 100"),
    ],
)
@pytest.mark.usefixtures("without_collection")
def test_what_was_not_asked_for_is_an_error_that_shows_it(text: str, rule: str) -> None:
    """An answer that does not match raises an error with the answer and the rule."""
    with pytest.raises(StructuredOutputError) as caught:
        read(text, Person.model_validate_json, hint="Ask otherwise.")
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.text == text
    assert str(error).startswith(f"the answer is not the requested JSON: {rule}")
    assert len(text) > 1000 or repr(text) in str(error)
    assert len(str(error)) < 3000  # also of a long answer
    assert str(error).endswith(". Ask otherwise.")
    again = pickle.loads(pickle.dumps(error))
    assert (again.text, str(again)) == (text, str(error))


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Anna", "friend": {"name": "Ben", "friend": null}',
        '{"name": 1, "friend": {"name": "Ben", "friend": null}}',
        '{"name": "Anna",, "friend": {"name": "Ben", "friend": null}}',
        '{"name": "Anna", "name": "B", "friend": {"name": "Ben", "friend": null}}',
    ],
)
def test_a_part_of_an_object_that_does_not_match_is_no_answer(text: str) -> None:
    """A part of an object that does not match is not returned instead of it."""
    with pytest.raises(StructuredOutputError):
        read(text, Friend.model_validate_json)


def test_an_error_names_each_place_and_rule() -> None:
    """An error names each place and rule in one sentence."""
    text = '{"age": "old", "home": {"name": 5}}'
    with pytest.raises(StructuredOutputError) as caught:
        read(text, Person.model_validate_json)
    assert str(caught.value) == (
        "the answer is not the requested JSON: "
        "age: Input should be a valid integer, unable to parse string as an integer; "
        f"home.name: Input should be a valid string; it is {text!r}"
    )


@pytest.mark.parametrize(
    ("number", "shown"), [("1e" + "9" * 28, "1e" + "9" * 28), ("1e" + "9" * 29, "…")]
)
def test_a_number_beyond_double_precision_is_shown_up_to_30_characters(
    number: str, shown: str
) -> None:
    """A long number in an error is shortened to 30 characters."""
    with pytest.raises(StructuredOutputError) as caught:
        read(f'{{"age": {number}}}', parse)
    rule = caught.value.message.removeprefix("the answer is not the requested JSON: ")
    assert rule.startswith(f"{shown} is not a JSON number; it is ")


def test_an_answer_that_was_cut_says_so() -> None:
    """An answer that was cut by the limit says which limit to raise."""
    with pytest.raises(StructuredOutputError) as caught:
        read(GOOD[:-1], Person.model_validate_json, finish_reason="length", hint="no")
    assert caught.value.hint == "Raise max_new_tokens: the limit ended the answer."


def test_a_value_may_have_a_hundred_levels() -> None:
    """A text or a number in a list is one too."""
    for value in ("[" * 100 + "]" * 100, f"{'[' * 99}1{']' * 99}"):
        assert parse(value) == json.loads(value)
        with pytest.raises(ValueError, match=r"^nested more than 100 levels deep$"):
            parse(f"[{value}]")


def test_the_full_schema_is_checked_without_reaching_out() -> None:
    """An answer is checked against the full schema, and nothing is fetched."""
    check = validator(
        {"properties": {"a": {"type": "integer", "multipleOf": 5}}, "required": ["a"]}
    )
    assert read('{"a": 10}', check) == {"a": 10}
    with pytest.raises(StructuredOutputError, match=r"\$\.a: 7 is not a multiple of 5"):
        read('{"a": 7}', check)


def test_a_violation_names_place_and_rule() -> None:
    """The first one, shortened; None if there is none."""
    check = check_schema({"properties": {"a": {"type": "integer"}}})
    assert violation(check, {"a": 1}) is None
    assert violation(check, {"a": "x"}) == "$.a: 'x' is not of type 'integer'"
    assert violation(check, {"a": "x " * 200}) == f"$.a: '{'x ' * 148}x…"


def test_a_schema_that_is_nothing_but_itself_is_no_recursion_error() -> None:
    """A schema that refers only to itself is refused."""
    with pytest.raises(StructuredOutputError, match="JSON: the schema refers only to itself; it"):
        read('{"a": 1}', validator({"$ref": "#"}))


def test_a_pattern_that_python_cannot_read_is_an_error_of_the_schema() -> None:
    """A key of patternProperties that is no regular expression of Python makes a typed error."""
    check = validator({"type": "object", "patternProperties": {"[": {"type": "string"}}})
    with pytest.raises(StructuredOutputError, match="the schema has a pattern that cannot be"):
        read('{"a": 1}', check)


def test_what_a_stream_has_shown_of_the_object() -> None:
    """At every point of a stream the partial object is found."""
    text = f"<think>{OTHER}</think>Sure {{x}}: {GOOD} That's it {{x}}"
    begin, named, end = text.index(GOOD), text.index(GOOD) + len('{"age":'), text.index(" That's")
    for place in range(len(text) + 1):
        expected = text[begin : min(place, end)] if place >= named else ""
        assert partial_text(text[:place]) == expected


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), VALUES), st.text(alphabet="ab `:.\n"), st.text())
def test_any_object_is_found_between_words(value: dict[str, Any], before: str, after: str) -> None:
    """Any JSON object is found between other text."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert parse(text) == value
        assert read(f"{before}{text}{after}", parse) == value


@given(st.text(alphabet='{}[]",:\\ab1<think>/ '))
def test_no_text_makes_another_error(text: str) -> None:
    """Neither a RecursionError nor anything else that is not the package's."""
    with suppress(StructuredOutputError):
        read(text, Person.model_validate_json)
