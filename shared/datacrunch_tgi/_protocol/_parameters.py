"""Generation parameters, with types, units, ranges and defaults. Pure.

Ranges are those of TGI's own validation (1.1.1 and 3.3.7), where numbers are 32-bit floats. Limits that
depend on a server's configuration are left to the server.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from datacrunch_tgi._aliases import (
    ALIASES,
    SpelledAsGiven,
    float32,
    resolve_aliases,
    to_parameters,
)
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._signatures import with_documented_fields
from datacrunch_tgi._validation import Text, check_fields, rule

MAX_NEW_TOKENS = 512
"""Default of `max_new_tokens`; servers' own defaults vary from 20 tokens to the whole context window."""


_Number = Annotated[
    float,
    Field(allow_inf_nan=False),
    rule(lambda value: abs(float32(value)) < float("inf"), "must be finite as a 32-bit float"),
]
_Positive = Annotated[_Number, rule(lambda value: float32(value) > 0, "must be greater than 0")]
_Temperature = Annotated[_Number, rule(lambda value: value >= 0, "must be 0 (greedy) or greater")]
_Share = Annotated[
    _Number,
    rule(
        lambda value: float32(value) > 0 and value <= 1,
        "must be greater than 0.0 and at most 1.0",
    ),
]
_Stop = Annotated[Text, rule(bool, "must not be empty: it would end every answer after one token")]
_GRAMMAR_TYPES = ("json", "json_object", "json_schema", "regex")
_Grammar = Annotated[
    Mapping[str, Any],
    rule(
        lambda value: set(value) == {"type", "value"} and value["type"] in _GRAMMAR_TYPES,
        f"must have the keys 'type', one of {', '.join(_GRAMMAR_TYPES)}, and 'value'",
    ),
]


def _as_list(value: object) -> object:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, Sequence) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # checked next


class ParameterFields(BaseModel):
    """Every parameter, with its type, unit, range and default."""

    model_config = ConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    do_sample: bool | None = None
    """Sample tokens instead of taking the likeliest. Server default: False."""
    max_new_tokens: Annotated[int, Field(ge=1, le=2**32 - 1)] | None = None
    """Maximum number of tokens to generate. Default: 512. `max_tokens` is accepted too."""
    repetition_penalty: _Positive | None = None
    """Penalty factor for repeated tokens, greater than 0; 1.0 is no penalty. Server default: 1.0."""
    return_full_text: bool | None = None
    """Put the prompt in front of the answer. Server default: False."""
    stop: Annotated[list[_Stop] | None, BeforeValidator(_as_list)] = None
    """Strings that end the answer and are not part of it. Server default: none."""
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] | None = None
    """Seed of the random generator, 0 to 2**64 - 1. Server default: random."""
    temperature: _Temperature | None = None
    """Sampling temperature. 0 is greedy; any other value except 1.0 turns sampling on. Server
    default: 1.0."""
    top_k: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Sample from this number of likeliest tokens, at least 1. Server default: all."""
    top_p: _Share | None = None
    """Sample from the likeliest tokens with this total probability, greater than 0.0; 1.0 is all.
    Server default: all."""
    truncate: Annotated[int, Field(ge=1, le=2**64 - 1)] | None = None
    """Keep only this number of the prompt's last tokens, at least 1. Server default: all."""
    typical_p: _Share | None = None
    """Sample from the most typical tokens with this total probability, greater than 0.0; 1.0 is all.
    Server default: all."""
    best_of: Annotated[int, Field(ge=1, le=2**64 - 1)] | None = None
    """Generate this number of answers and return the likeliest; not with streaming. Server default: 1."""
    watermark: bool | None = None
    """Add a watermark that a detector can recognise. Server default: False."""
    details: bool | None = None
    """Return finish reason, seed, and each token's log probability. Server default: False."""
    decoder_input_details: bool | None = None
    """Return the prompt's tokens too; not with streaming. Server default: False."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Penalty for frequent tokens, -2.0 to 2.0 (TGI 1.4). Server default: 0.0."""
    top_n_tokens: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    """Return this number of likeliest tokens at each position (TGI 1.0.3). Server default: 0."""
    grammar: _Grammar | None = None
    """JSON schema or regular expression that the answer must match (TGI 1.4.1). Server default:
    none."""
    adapter_id: Text | None = None
    """LoRA adapter to use (TGI 2.1.0). Server default: none."""


class ParametersWithoutStop(TypedDict, total=False):
    """Parameters for methods that have `stop` as an argument of their own."""

    do_sample: bool | None
    max_new_tokens: int | None
    max_tokens: int | None
    repetition_penalty: float | None
    return_full_text: bool | None
    seed: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    truncate: int | None
    typical_p: float | None
    best_of: int | None
    watermark: bool | None
    details: bool | None
    decoder_input_details: bool | None
    frequency_penalty: float | None
    top_n_tokens: int | None
    grammar: Mapping[str, Any] | None
    adapter_id: str | None


class Parameters(ParametersWithoutStop, total=False):
    """Optional parameters of one generation, by the API's own names.

    A parameter that is not set, or None, is not sent, so the server's default applies; only
    `max_new_tokens` is always sent. The last four are TGI's and not in DataCrunch's API; DataCrunch's
    fork (1.1.1) ignores them, except for `top_n_tokens`.

    Args:
        **parameters: Each has a rule, which is checked before a request.
    """

    stop: Sequence[str] | str | None


with_documented_fields(Parameters, ParameterFields)(Parameters)
PARAMETERS = tuple(ParameterFields.model_fields)
CALL_ARGUMENTS = (*PARAMETERS, *(alias for alias, name in ALIASES.items() if name in PARAMETERS))
"""Names of parameters, including aliases."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SAMPLING = ("temperature", "top_k", "top_p", "typical_p")


def check_prompt(inputs: object) -> str:
    """Check the prompt, which no error shows.

    Raises:
        ArgumentError: It is not a string, is empty, or cannot be sent.
    """
    if not isinstance(inputs, str):
        raise ArgumentError("inputs", f"must be a string, not {type(inputs).__name__}")
    if not inputs:
        raise ArgumentError("inputs", "cannot be empty")
    if not inputs.isascii() and _SURROGATE.search(inputs):
        raise ArgumentError("inputs", "must not contain lone surrogates, which JSON cannot encode")
    return inputs


def check_parameters(given: Mapping[str, Any], *, streaming: bool) -> dict[str, Any]:
    """Validate parameters as far as a client can; return those to send.

    Args:
        given: Parameters by name or alias; None means not set.
        streaming: Whether they are for the streaming route.

    Raises:
        ArgumentError: A parameter is invalid. The error names it, its value and the rule.
    """
    with SpelledAsGiven(given):
        names = {name: value for name, value in resolve_aliases(given).items() if value is not None}
        parameters = to_parameters(check_fields(ParameterFields, names))
    best_of = parameters.get("best_of", 1)
    if streaming and best_of != 1:
        raise ArgumentError("best_of", "must be 1 when streaming", value=repr(best_of))
    if streaming and parameters.get("decoder_input_details"):
        raise ArgumentError("decoder_input_details", "must be False when streaming", value="True")
    if best_of > 1 and "seed" in parameters:
        raise ArgumentError(
            "seed", "must not be set when best_of > 1", value=repr(parameters["seed"])
        )
    if best_of > 1 and not (
        parameters.get("do_sample") or any(name in parameters for name in _SAMPLING)
    ):
        raise ArgumentError(
            "best_of", "needs sampling when > 1: set do_sample=True", value=repr(best_of)
        )
    return {"max_new_tokens": MAX_NEW_TOKENS, **parameters}
