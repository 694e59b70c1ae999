"""The JSON reader: reads JSON, and refuses the rest with serde_json's messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacrunch_tgi.testing._dialect import find_dialect
from datacrunch_tgi.testing._scanner import RejectedBodyError
from datacrunch_tgi.testing._schema import GenerateRequest, Grammar, read_request
from datacrunch_tgi.testing._serde import JsonReader

UPSTREAM = find_dialect("3.3.7")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)  # beyond these serde reads a float
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


def refusal(body: str | bytes) -> tuple[bool, str]:
    """Whether the body is JSON at all, and what is said of it."""
    with pytest.raises(RejectedBodyError) as caught:
        read_request(body.encode() if isinstance(body, str) else body, UPSTREAM)
    return caught.value.is_json, str(caught.value)


@given(text=st.text(), is_ascii=st.booleans(), unknown=JSON, rest=st.text())
def test_strings_come_back(text: str, is_ascii: bool, unknown: Any, rest: str) -> None:  # noqa: FBT001
    """Every string is read, escaped or not, whatever stands around it; what follows is ignored."""
    body = json.dumps({"unknown": unknown, "inputs": text}, ensure_ascii=is_ascii, indent=1) + rest

    assert read_request(body.encode(), UPSTREAM).inputs == text


@given(seed=st.integers(0, 2**64 - 1), top_p=st.floats(width=32, allow_nan=False))
def test_numbers_come_back(seed: int, top_p: float) -> None:
    """Whole numbers keep every digit, others are of single precision already."""
    number = 0.0 if abs(top_p) == float("inf") else top_p
    body = json.dumps({"inputs": "Hi", "parameters": {"seed": seed, "top_p": number}})

    parameters = read_request(body.encode(), UPSTREAM).parameters

    assert (parameters.seed, parameters.top_p) == (seed, number)


@given(value=JSON, is_ascii=st.booleans(), type_first=st.booleans())
def test_any_value_comes_back(value: Any, is_ascii: bool, type_first: bool) -> None:  # noqa: FBT001
    """A schema is read completely, whether it or its type comes first."""
    grammar = {"type": "json", "value": value}
    if not type_first:
        grammar = dict(reversed(grammar.items()))
    body = {"inputs": "Hi", "parameters": {"grammar": grammar, "details": True}}

    text = json.dumps(body, ensure_ascii=is_ascii, indent=1)
    parameters = read_request(text.encode(), UPSTREAM).parameters

    assert parameters.grammar == Grammar("json", value)
    assert parameters.details


@given(body=st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Any request body is either parsed or refused with an error."""
    try:
        request: object = read_request(body, UPSTREAM)
    except RejectedBodyError as rejected:
        request = rejected

    assert isinstance(request, GenerateRequest | RejectedBodyError)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"inputs": "a"', "EOF while parsing an object at line 1 column 14"),
        ('{"inputs" "a"}', "expected `:` at line 1 column 11"),
        ('{"inputs": "a" "b"}', "expected `,` or `}` at line 1 column 16"),
        ("{inputs}", "key must be a string at line 1 column 2"),
        ('{"inputs": "a', "inputs: EOF while parsing a string at line 1 column 13"),
        ('{"inputs": "\\x"}', "inputs: invalid escape at line 1 column 14"),
        ('{\n"inputs": tru}', "inputs: expected ident at line 2 column 11"),
        (b'{"inputs": "\xff"}', "inputs: invalid unicode code point at line 1 column 14"),
        (
            '{"inputs": "\n"}',
            "inputs: control character (\\u0000-\\u001F) found while parsing a string at line 2",
        ),
        (
            '{"inputs": "\\udc00"}',
            "inputs: lone leading surrogate in hex escape at line 1 column 18",
        ),
        ('{"parameters": {"seed": -}}', "parameters.seed: invalid number at line 1 column 25"),
        ('{"x": [1, 2,]}', "x: expected value at line 1 column 13"),
        ('{"x": {"a": 1,}}', "x: key must be a string at line 1 column 15"),
        ('{"x": {"a": [1}}', "x: expected `,` or `]` at line 1 column 15"),
        ('{"x": [1', "x: EOF while parsing a list at line 1 column 8"),
        ('{"x": {"a" 1}}', "x: expected `:` at line 1 column 12"),
        ('{"x": "\\u12"}', "x: invalid escape at line 1 column"),
        ('{"parameters": {"top_p": 1e999}}', "parameters.top_p: number out of range at line 1"),
    ],
)
def test_what_is_no_json_is_reported_where(body: str | bytes, said: str) -> None:
    """The error names line, column and field of the first wrong byte."""
    is_json, message = refusal(body)

    assert not is_json
    assert message.startswith(said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[]", "invalid type: sequence, expected struct GenerateRequest"),
        ('"Hi"', 'invalid type: string "Hi", expected struct GenerateRequest'),
        ('{"inputs": 5}', "inputs: invalid type: integer `5`, expected a string"),
        ('{"inputs": true}', "inputs: invalid type: boolean `true`, expected a string"),
        ('{"inputs": {}}', "inputs: invalid type: map, expected a string"),
        ('{"parameters": {"stop": ["a", 1]}}', "parameters.stop[1]: invalid type: integer `1`"),
        (
            '{"parameters": {"top_k": 1e20}}',
            "parameters.top_k: invalid type: floating point `1e20`",
        ),
        ('{"parameters": {"best_of": -1}}', "parameters.best_of: invalid value: integer `-1`"),
        (
            '{"parameters": {"top_p": "1"}}',
            'parameters.top_p: invalid type: string "1", expected f32',
        ),
        ('{"parameters": {"seed": 1, "seed": 2}}', "parameters: duplicate field `seed`"),
        (
            '{"parameters": {"grammar": {"type": "regex"}}}',
            "parameters.grammar: missing field `value`",
        ),
        (
            '{"parameters": {"grammar": {"value": {}, "type": "regex"}}}',
            "parameters.grammar.value: invalid type: map, expected a string",
        ),
        (
            '{"parameters": {"grammar": {"type": "json_schema", "value": "{}"}}}',
            'parameters.grammar.value: invalid type: string "{}", expected struct JsonSchemaConfig',
        ),
        (
            '{"parameters": {"grammar": {"type": "json_schema", "value": {"name": null}}}}',
            "parameters.grammar.value: missing field `schema`",
        ),
    ],
)
def test_json_of_another_shape_is_reported_where(body: str, said: str) -> None:
    """An error names the field, its value, and what was expected."""
    is_json, message = refusal(body)

    assert is_json
    assert message.startswith(said)


def test_stream_is_a_field_of_the_root_route() -> None:
    """`stream` is checked on the root route only."""
    body = b'{"inputs": "Hi", "stream": "yes"}'

    assert not read_request(body, UPSTREAM).stream
    with pytest.raises(RejectedBodyError, match="stream: invalid type"):
        read_request(body, UPSTREAM, root=True)


def test_a_value_can_be_read_over() -> None:
    """Unknown fields are skipped with all that is in them."""
    reader = JsonReader(b'{"a": {"b": [1, {"c": null}], "d": "e"}, "f": true}', debug_floats=True)

    assert reader.struct("a map", {"f": reader.boolean}) == {"f": True}


@given(value=JSON, is_ascii=st.booleans())
def test_what_nobody_reads_is_skipped_whole(value: Any, is_ascii: bool) -> None:  # noqa: FBT001
    """After an unknown field of any kind the next field is found."""
    body = json.dumps({"x": value, "inputs": "Hi"}, ensure_ascii=is_ascii, indent=1)

    assert read_request(body.encode(), UPSTREAM).inputs == "Hi"


@pytest.mark.parametrize(
    "unread",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "9" * 100_000,
        "-1e999",
        r'"\udc00"',
        b'"\xff"',
    ],
    ids=["lists", "objects", "digits", "exponent", "surrogate", "no UTF-8"],
)
def test_what_nobody_reads_has_no_limit(unread: str | bytes) -> None:
    """Depth, size and characters of an unknown field are not checked, as serde_json skips it."""
    value = unread.encode() if isinstance(unread, str) else unread

    assert read_request(b'{"x": %b, "inputs": "Hi"}' % value, UPSTREAM).inputs == "Hi"


@pytest.mark.parametrize("digits", [309, 310, 5_000])
def test_a_number_of_any_length_is_refused(digits: int) -> None:
    """Digits beyond a floating point number's range are an error of JSON, however many."""
    is_json, message = refusal(f'{{"parameters": {{"seed": {"9" * digits}}}}}')

    assert not is_json
    assert message == f"parameters.seed: number out of range at line 1 column {24 + digits}"


@pytest.mark.parametrize(("depth", "is_read"), [(123, True), (124, False), (5_000, False)])
def test_a_schema_may_be_nested_as_deep_as_serde_reads(depth: int, *, is_read: bool) -> None:
    """The limit counts all containers around a value, the request's own too."""
    deep = "[" * depth + "]" * depth
    body = f'{{"inputs": "", "parameters": {{"grammar": {{"type": "json", "value": {{"x": {deep}}}}}}}}}'

    if is_read:
        assert read_request(body.encode(), UPSTREAM).parameters.grammar is not None
    else:
        is_json, message = refusal(body)
        assert not is_json
        assert "[0]: recursion limit exceeded at line 1" in message
