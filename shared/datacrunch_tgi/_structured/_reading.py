"""Find the JSON in an answer, and read it. Pure.

<think>Maybe {"name": "X"}?</think>      not searched: a draft
Filled in {name} and {capital}:          no JSON
{"name": "Helsinki", "capital": true}    the first value that the caller's check accepts
{"name": "Espoo", "capital": false}      not needed any more
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from datacrunch_tgi._errors import LONGEST_MESSAGE, StructuredOutputError, truncate

Value = TypeVar("Value")

MAX_DEPTH = 100
"""Levels of nesting. Parsers, validators and `repr` all end in a RecursionError at some depth."""

_OPEN = re.compile(r"[{\[]")
_STARTED = re.compile(r'\{\s*"(?:[^"\\]|\\.)*"\s*:')
"""The beginning of an object. What is inside one that cannot be read is not the answer."""
_BRACES = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


def read(
    text: str,
    validate: Callable[[str], Value],
    *,
    finish_reason: str | None = None,
    hint: str = "",
) -> Value:
    """Return the first JSON value in an answer that a check accepts.

    Args:
        text: The answer. Thoughts (`<think>…</think>`), fences and remarks are skipped.
        validate: From JSON to the value; raises a ValueError for one that does not match.
        finish_reason: Why the answer ended, as far as known.
        hint: What to do about an answer without such a value.

    Raises:
        StructuredOutputError: There is none; the error has the text and shows it.
    """
    rule = ""
    for candidate in _candidates(text):
        try:
            parse(candidate)
            return validate(candidate)
        except ValidationError as broken:
            rule = rule or _describe(broken)
        except ValueError as broken:
            rule = rule or str(broken)
        except RecursionError:  # of a schema that refers to itself and nothing else
            rule = rule or "the schema has no end"
    error = StructuredOutputError(
        "the answer is not the requested JSON: "
        f"{truncate(rule or 'there is no JSON in it', LONGEST_MESSAGE)}; "
        f"it is {truncate(text, LONGEST_MESSAGE)!r}"
    )
    error.text = text
    error.hint = (
        "Raise max_new_tokens: the limit ended the answer." if finish_reason == "length" else hint
    )
    raise error


def parse(text: str) -> Any:
    """Parse JSON, strictly.

    Raises:
        ValueError: It is not JSON; or has a key twice in one object, a lone surrogate, a number beyond
            double precision, or more than 100 levels.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return value
        below = list[Any]()
        for item in level:
            if isinstance(item, str) and not item.isascii():
                _check_surrogates(item)
            elif isinstance(item, dict):
                below += [*item, *item.values()]  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # JSON
            elif isinstance(item, list):
                below += item
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def partial_text(text: str) -> str:
    """Return what a stream has shown so far of its first JSON object, "" if nothing."""
    text = _after_thought(text)
    start = _STARTED.search(text)
    return text[start.start() : _closed(text, start.start()) or None] if start else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return made


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{truncate(number, 30)} is not a number of JSON")


def _check_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text has half a surrogate pair (\\ud800 to \\udfff)") from None


def _describe(broken: ValidationError) -> str:
    """Say what Pydantic refuses, without its addresses."""
    errors = broken.errors(include_url=False, include_input=False, include_context=False)
    places = (".".join(map(str, error["loc"])) for error in errors)
    return "; ".join(
        f"{place and place + ': '}{error['msg']}"
        for place, error in zip(places, errors, strict=True)
    )


def _after_thought(text: str) -> str:
    """Cut off thoughts; one that has no end is no answer. An answer that begins with JSON has none."""
    while not _OPEN.match(text.lstrip()):
        thought, ended, answer = text.partition("</think>")
        if not ended:
            return "" if thought.lstrip().startswith("<think>") else text
        text = answer
    return text


def _candidates(text: str) -> Iterator[str]:
    """The parts of an answer that may be JSON, from left to right; none is inside an object."""
    text = _after_thought(text).strip()
    if text and not _OPEN.search(text):
        yield text  # a number or a string
    decoder, place = json.JSONDecoder(), 0
    while start := _OPEN.search(text, place):
        first = place = start.start()
        try:
            _, end = decoder.raw_decode(text, first)
        except json.JSONDecodeError:
            end = _closed(text, first) if _STARTED.match(text, first) else first + 1
        except (RecursionError, ValueError):  # nested too deeply, or a number of 4301 digits
            end = _closed(text, first)
        if end > first + 1:
            yield text[first:end]
        elif not end:
            yield text[first:]
            return
        # The items of a list are candidates too, if the list is none.
        place = end if text[first] == "{" else first + 1


def _closed(text: str, start: int) -> int:
    """Return where the object ends that begins at `start`; 0 if it does not end."""
    depth = 0
    for part in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(part[0], 0)
        if not depth:
            return part.end()
    return 0
