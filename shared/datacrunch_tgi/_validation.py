"""Checks of named values against one typed listing, and pydantic fields made from it. Pure.

A listing is a class with annotations: `Parameters` (what to generate) or `Settings` (where to send).
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from datacrunch_tgi._errors import ArgumentError

Value = TypeVar("Value")

LONGEST_VALUE = 200
"""Characters of a refused value that an error shows in full."""

_ELSEWHERE = {
    "api_base": "base_url",
    "endpoint_url": "base_url",
    "huggingfacehub_api_token": "api_key",
    "inference_server_url": "base_url",
    "max_length": "max_new_tokens",
    "model_kwargs": "extra_parameters",
    "num_output": "max_new_tokens",
    "repo_id": "model",
    "request_timeout": "first_token_timeout",
    "server_kwargs": "headers",
    "stop_sequences": "stop",
    "token": "api_key",
    "url": "base_url",
}
"""What other clients call the same: text_generation, Hugging Face's and OpenAI's for both frameworks."""


def rule(holds: Callable[[Any], bool], text: str) -> AfterValidator:
    """A check for `Annotated`, with its rule in words."""

    def check(value: Value) -> Value:
        if not holds(value):
            raise ValueError(text)
        return value

    return AfterValidator(check)


def to_python(value: Any) -> Any:
    """Return a number or list of another library as Python's own, and any other value as it is.

    For numpy's and torch's numbers and arrays, `Decimal` and `Fraction`: use it as the
    `BeforeValidator` of a field wherever the value does not pass through `check_fields`, which calls it.
    """
    match value:
        case Decimal() | Fraction():
            try:
                number = float(value)
                return int(value) if number.is_integer() and int(value) == value else number
            except (OverflowError, ValueError):  # beyond a float's range, or a signalling NaN
                return value
        case _:
            tolist: Callable[[], Any] | None = getattr(value, "tolist", None)
            return tolist() if callable(tolist) else value


def refuse_unknown(
    names: Iterable[str],
    known: Iterable[str],
    *,
    kind: str = "parameter",
    call_arguments: Iterable[str] = (),
) -> None:
    """Refuse a name that is not known, and suggest the one that is meant.

    Args:
        names: What is given.
        known: What may be given.
        kind: What `known` are names of.
        call_arguments: Names that are known elsewhere: to `generate` and `stream`.

    Raises:
        ArgumentError: Names the first unknown name.
    """
    known, call_arguments = list(known), list(call_arguments)
    for name in names:
        if name in known:
            continue
        suggestion = ""
        for nearest in _nearest(name, known + call_arguments):
            suggestion = f"; did you mean {nearest!r}?"
            if nearest in call_arguments:
                suggestion = f"; {nearest!r} belongs to generate and stream"
        raise ArgumentError(name, f"no such {kind}{suggestion}")


def _nearest(name: str, known: list[str]) -> list[str]:
    same = _ELSEWHERE.get(name)
    return [same] if same in known else get_close_matches(name, known, n=1)


def check_fields(
    checker: type[BaseModel], values: Mapping[str, Any], secret: Iterable[str] = ()
) -> dict[str, Any]:
    """Check the values; return those that were given, as the listing's types.

    Raises:
        ArgumentError: Names the first field that breaks its rule, its value unless secret, the rule.
    """
    refuse_unknown(values, checker.model_fields)
    try:
        python_values = {name: to_python(value) for name, value in values.items()}
        model = checker.model_validate(python_values, strict=True)
    except ValidationError as error:
        first = error.errors(include_context=False, include_url=False)[0]
    else:
        return {name: getattr(model, name) for name in values}
    field, *inside = map(str, first["loc"])
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if first["type"] in {"sequence_str", "is_instance_of"} and field == "stop":
        message = "must be a list of strings"
    where = f"{field}[{inside[0]}]" if inside and inside[0].isdigit() else field
    raise ArgumentError(where, message, value="" if field in secret else shown(first["input"]))


def shown(value: object) -> str:
    """Return a refused value as an error shows it: its repr, the middle of a long one left out."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python converts
        return f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE // 2]}…{text[-8:]}"


Text = Annotated[
    str,
    Field(strict=True),
    rule(
        lambda text: not any("\ud800" <= character <= "\udfff" for character in text),
        "must not hold lone surrogates, which no JSON text can",
    ),
]
"""Text that can be sent: surrogates that stand alone are refused."""
