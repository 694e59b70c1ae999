"""How large a schema may be for a grammar, and which of its bounds are kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._structured import grammar_of
from datacrunch_tgi._structured._size import regex_size
from tests.protocol.test_grammar import TOO_LARGE, property_of, value_of


def test_a_schema_that_is_nested_without_end_is_refused() -> None:
    """A schema that is nested too deeply is refused."""
    with pytest.raises(ArgumentError, match=TOO_LARGE):
        grammar_of(_nested(3000))


def test_a_whole_number_is_sent_as_one() -> None:
    """JSON Schema allows 3.0 for a length; servers do not."""
    sent = property_of({"type": "string", "minLength": 2.0, "maxLength": 3})
    assert json.dumps(sent) == '{"type": "string", "minLength": 2, "maxLength": 3}'


def test_bounds_are_dropped_where_they_are_too_many_together() -> None:
    """Each alone is cheap; a server would be busy with ten of them for a minute."""
    bounded = {"type": "string", "maxLength": 100}
    ten = {"properties": {f"p{n}": bounded for n in range(10)}}
    assert property_of(bounded) == bounded
    assert value_of(ten)["properties"]["p0"] != bounded
    items = {"type": "array", "maxItems": 8, "items": bounded}
    assert property_of({"type": "array", "maxItems": 8, "items": items}) != items
    with pytest.raises(ArgumentError, match=TOO_LARGE):
        grammar_of({"properties": {f"p{n}": {"type": "string"} for n in range(400)}})


@pytest.mark.parametrize(
    ("length", "kept"), [(100, 1), (40, 2), (12, 9), (100, 2), (40, 5), (12, 20)]
)
def test_the_longest_bounds_are_dropped_first(length: int, kept: int) -> None:
    """So many of a length are cheap, more are not; without bounds, a server takes ten times as much."""
    bounded = {"type": "string", "maxLength": length}
    names = [f"p{n}" for n in range(kept)]
    sent = value_of({"properties": dict.fromkeys(names, bounded), "required": names})
    is_cheap = kept * length <= 120
    assert sent["properties"]["p0"] == (bounded if is_cheap else {"type": "string"})
    names = [f"p{n}" for n in range(100)]
    assert value_of({"properties": dict.fromkeys(names, bounded), "required": names})


def _nested(levels: int) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "null"}
    for _ in range(levels - 2):
        part = {"properties": {"a": part}}
    return part


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda parts: {"anyOf": [{"type": "null"}] * (parts - 2)}, 2000),
        (lambda parts: {"allOf": [{"type": "null"}] * (parts - 2)}, 2000),
        (_nested, 50),
    ],
    ids=["unions", "parts", "levels"],
)
def test_a_schema_of_too_many_parts_or_levels_is_refused(
    make: Callable[[int], dict[str, Any]], most: int
) -> None:
    """2,000 parts, references resolved, or 50 levels."""
    assert value_of({"properties": {"a": make(most)}})
    with pytest.raises(ArgumentError, match=TOO_LARGE):
        grammar_of({"properties": {"a": make(most + 1)}})


def test_a_union_of_objects_is_sent_but_not_at_the_top() -> None:
    """TGI takes none there; a part has its siblings' properties in each member."""
    either = [{"required": ["b"]}, {"required": ["c"]}]
    part = {"properties": {"b": {"type": "null"}, "c": {"type": "null"}}, "anyOf": either}
    assert value_of(part) == {"properties": part["properties"]}
    sent = value_of({"properties": {"a": {"type": "null"}, "b": part}})["properties"]["b"]
    assert sent == {"anyOf": [{"properties": part["properties"], **one} for one in either]}


TEXT = {"type": "string"}
DATE = {"type": "string", "format": "date"}


@pytest.mark.parametrize(
    ("part", "times", "single"),
    [
        ({**TEXT, "maxLength": 1}, 1, TEXT),
        ({**TEXT, "maxLength": 7}, 7, TEXT),
        ({**TEXT, "minLength": 7}, 7, TEXT),
        ({**TEXT, "pattern": "([a-z]{40})"}, 2, {**TEXT, "pattern": "([a-z]{20})"}),
        ({"items": TEXT}, 2, {"items": TEXT, "maxItems": 1}),
        ({"items": TEXT, "maxItems": 7}, 7, {"items": TEXT, "maxItems": 1}),
        ({"items": TEXT, "minItems": 7}, 7, {"items": TEXT, "maxItems": 1}),
        ({"anyOf": [DATE, DATE, DATE]}, 3, DATE),
        ({"prefixItems": [DATE, DATE, DATE]}, 3, DATE),
        ({"enum": ["ab", "ab"]}, 2, {"enum": ["ab"]}),
        ({"properties": {"a": TEXT, "b": TEXT}, "required": ["a"]}, 2, {"properties": {"a": TEXT}}),
        ({"properties": {"a": TEXT, "b": TEXT}}, 3, {"properties": {"a": TEXT}}),
    ],
)
def test_a_part_counts_as_often_as_a_server_writes_it(
    part: dict[str, Any], times: int, single: dict[str, Any]
) -> None:
    """Where nothing is required, once for each property that may be the last."""
    assert regex_size(part) == times * regex_size(single)


@pytest.mark.parametrize("keyword", ["additionalProperties", "items"])
def test_a_longer_part_counts_more(keyword: str) -> None:
    """A date is longer than a text; of an object's values or a list's items, two are counted."""
    longer = regex_size(DATE) - regex_size(TEXT)
    assert longer > 0
    assert regex_size({keyword: DATE}) - regex_size({keyword: TEXT}) == 2 * longer
