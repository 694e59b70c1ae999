"""Validation of parameters and settings by pydantic models, with `ArgumentError`s. Pure."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from datacrunch_tgi._errors import ArgumentError

Value = TypeVar("Value")

LONGEST_VALUE = 200
"""Longest refused value that an error shows in full, in characters."""

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
"""Names that other clients use: text_generation, Hugging Face's and OpenAI's for both frameworks."""


_PLAIN = frozenset({bool, int, float, str, list, tuple, dict, type(None)})


def rule(holds: Callable[[Any], bool], text: str) -> AfterValidator:
    """Return a validator for `Annotated`, with its error message."""

    def check(value: Value) -> Value:
        if not holds(value):
            raise ValueError(text)
        return value

    return AfterValidator(check)


def to_python(value: Any) -> Any:
    """Convert numbers and arrays of numpy and torch, `Decimal` and `Fraction` to plain Python types.

    Other values are returned unchanged. `check_fields` calls it; elsewhere, use it as a field's
    `BeforeValidator`.
    """
    if type(value) in _PLAIN:
        return value
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
    """Refuse an unknown name, and suggest a similar one.

    Args:
        names: Names that were passed.
        known: Names that are allowed.
        kind: What the names are, for the message.
        call_arguments: Names that `generate` and `stream` accept.

    Raises:
        ArgumentError: Names the first unknown name.
    """
    known, call_arguments = list(known), list(call_arguments)
    for name in map(str, names):
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
    """Validate values; return them converted to the fields' types.

    Raises:
        ArgumentError: A value is invalid. The error names the first such field, its value unless secret,
            and the rule.
    """
    known = checker.__pydantic_fields__  # as `model_fields`, which is slower to look up
    if not values.keys() <= known.keys():
        refuse_unknown(values, known)
    try:
        python_values = {name: to_python(value) for name, value in values.items()}
        model: BaseModel = checker.__pydantic_validator__.validate_python(
            python_values, strict=True
        )
    except ValidationError as error:
        first = error.errors(include_context=False, include_url=False)[0]
    else:
        checked = vars(model)
        return {name: checked[name] for name in values}
    field, *inside = map(str, first["loc"])
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if first["type"] in {"sequence_str", "is_instance_of"} and field == "stop":
        message = "must be a list of strings"
    where = f"{field}[{inside[0]}]" if inside and inside[0].isdigit() else field
    raise ArgumentError(where, message, value="" if field in secret else shown(first["input"]))


def check_field(model: type[BaseModel], name: str, value: Any) -> Any:
    """Validate the value of one field of a model; return it converted to the field's type.

    Raises:
        ArgumentError: It is invalid. The error names the field, the value and the rule.
    """
    field = model.model_fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata, Field()]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    raise ArgumentError(name, first["msg"], value=shown(value))


def shown(value: object) -> str:
    """Return the repr of a refused value, shortened in the middle if it is long."""
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
        "must not contain lone surrogates, which JSON cannot encode",
    ),
]
"""Text that can be sent as JSON: without lone surrogates."""
