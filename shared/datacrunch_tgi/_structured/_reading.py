"""Finds the JSON in an answer and parses it. Pure.

<think>Maybe {"name": "X"}?</think>      skipped
Filled in {name} and {capital}:          not JSON
{"name": "Helsinki", "capital": true}    the first valid value
{"name": "Espoo", "capital": false}      ignored
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from datacrunch_tgi._errors import LONGEST_MESSAGE, StructuredOutputError, truncate
from datacrunch_tgi._protocol._reasoning import REASONING

Value = TypeVar("Value")

MAX_DEPTH = 100
"""Levels of nesting. Parsers, validators and `repr` all raise RecursionError at some depth."""

_THOUGHT = tuple(REASONING)
_THOUGHT_END = re.compile("|".join(map(re.escape, REASONING.values())))
_OPEN = re.compile(r"[{\[]")
_STARTED = re.compile(r'\{\s*"(?:[^"\\]|\\.)*"\s*:')
"""Start of an object. The content of an invalid object is never the answer."""
_BRACES = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)


def read(
    text: str,
    validate: Callable[[str], Value],
    *,
    finish_reason: str | None = None,
    hint: str = "",
) -> Value:
    """Return the first valid JSON value in an answer.

    Args:
        text: The answer. Reasoning (`<think>…</think>`), fences and other text are skipped.
        validate: Converts JSON to the value; raises ValueError if it does not match.
        finish_reason: Finish reason of the answer, if known.
        hint: What to do if there is no valid value.

    Raises:
        StructuredOutputError: There is no valid value; `text` is the answer.
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
        except RecursionError:  # a schema that only refers to itself
            rule = rule or "the schema refers only to itself"
    error = StructuredOutputError(
        "the answer is not the requested JSON: "
        f"{truncate(rule or 'it contains no JSON', LONGEST_MESSAGE)}; "
        f"it is {truncate(text, LONGEST_MESSAGE)!r}"
    )
    error.text = text
    error.hint = (
        "Raise max_new_tokens: the limit ended the answer." if finish_reason == "length" else hint
    )
    raise error


def parse(text: str) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: It is not JSON, or has a duplicate key, a lone surrogate, a number beyond double
            precision, or more than 100 levels.
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
    """Return the part of the first JSON object that has arrived in a stream; "" if none."""
    text = _after_thought(text)
    start = _STARTED.search(text)
    return text[start.start() : _closed(text, start.start()) or None] if start else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise ValueError(f"duplicate key {twice!r}")
    return made


def _number(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{truncate(number, 30)} is not a JSON number")


def _check_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a string has a lone surrogate (\\ud800 to \\udfff)") from None


def _describe(broken: ValidationError) -> str:
    """Return Pydantic's message without its URLs."""
    errors = broken.errors(include_url=False, include_input=False, include_context=False)
    places = (".".join(map(str, error["loc"])) for error in errors)
    return "; ".join(
        f"{place and place + ': '}{error['msg']}"
        for place, error in zip(places, errors, strict=True)
    )


def _after_thought(text: str) -> str:
    """Remove reasoning; text after an unclosed `<think>` is dropped. JSON first means no reasoning."""
    while (thinks := text.lstrip().startswith(_THOUGHT)) or not _OPEN.match(text.lstrip()):
        end = _THOUGHT_END.search(text)
        if not end:
            return "" if thinks else text
        text = text[end.end() :]
    return text


def _candidates(text: str) -> Iterator[str]:
    """Yield the parts of an answer that may be JSON, from left to right; none is inside an object."""
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
        # The items of a list are candidates too, if the list is not valid.
        place = end if text[first] == "{" else first + 1


def _closed(text: str, start: int) -> int:
    """Return the end of the object that starts at `start`; 0 if it does not end."""
    depth = 0
    for part in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(part[0], 0)
        if not depth:
            return part.end()
    return 0
