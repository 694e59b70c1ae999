"""What a request may ask for: every parameter once, with its type, unit, range and default. Pure.

`Parameters` is the only list of them: the clients' keyword arguments, the adapters' fields and the
checks before a request are all made from it. The ranges are those of TGI's own validation, 1.1.1 and
3.3.7, where numbers are 32-bit floats; those that depend on a server's configuration are left to it.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

from pydantic import Field

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._validation import Text, checked, checker, rule

MAX_NEW_TOKENS = 512
"""Sent where `max_new_tokens` is not set: servers' own defaults go from 20 tokens to the whole window."""


def _float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf")


_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Positive = Annotated[
    _Number,
    rule(
        lambda value: 0 < _float32(value) < float("inf"),
        "must be strictly positive, as a 32-bit float",
    ),
]
_Share = Annotated[
    _Number,
    rule(lambda value: 0 < _float32(value) < 1, "must be > 0.0 and < 1.0, as a 32-bit float"),
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


class Parameters(TypedDict, total=False):
    """The optional settings of one generation, under the API's own names.

    Whatever is left out, or None, is not sent, and the server's default holds; `max_new_tokens` alone
    is always sent, 512 unless set. The first fifteen are the API page's; the last four are TGI's own,
    which DataCrunch's fork (1.1.1) ignores, `top_n_tokens` apart.
    """

    do_sample: Annotated[
        bool | None,
        Field(
            description="Draw tokens at random instead of taking the likeliest. Server's default: False."
        ),
    ]
    max_new_tokens: Annotated[
        Annotated[int, Field(ge=1, le=2**32 - 1)] | None,
        Field(description="Most tokens that the answer may have. Default: 512."),
    ]
    repetition_penalty: Annotated[
        _Positive | None,
        Field(
            description="Factor > 0 against repeating; 1.0 is no penalty. Server's default: 1.0."
        ),
    ]
    return_full_text: Annotated[
        bool | None,
        Field(description="Put the prompt in front of the answer. Server's default: False."),
    ]
    stop: Annotated[
        Sequence[_Stop] | None,
        Field(
            description="Texts that end the answer; they are not part of it. Server's default: none."
        ),
    ]
    seed: Annotated[
        Annotated[int, Field(ge=0, le=2**64 - 1)] | None,
        Field(
            description="Start of the random generator, 0 to 2**64 - 1. Server's default: random."
        ),
    ]
    temperature: Annotated[
        _Positive | None,
        Field(
            description="Divides the logits, > 0; other than 1.0 it samples. Server's default: 1.0."
        ),
    ]
    top_k: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1)] | None,
        Field(
            description="Sample among so many of the likeliest tokens, >= 1. Server's default: all."
        ),
    ]
    top_p: Annotated[
        _Share | None,
        Field(
            description="Sample among the likeliest tokens that make this share, > 0 and < 1. Server's default: all."
        ),
    ]
    truncate: Annotated[
        Annotated[int, Field(ge=1, le=2**64 - 1)] | None,
        Field(
            description="Keep only so many of the prompt's last tokens, >= 1. Server's default: all."
        ),
    ]
    typical_p: Annotated[
        _Share | None,
        Field(
            description="Sample among the most typical tokens that make this share, > 0 and < 1. Server's default: all."
        ),
    ]
    best_of: Annotated[
        Annotated[int, Field(ge=1, le=2**64 - 1)] | None,
        Field(
            description="Generate so many answers, return the likeliest; not in a stream. Server's default: 1."
        ),
    ]
    watermark: Annotated[
        bool | None,
        Field(
            description="Mark the text so that a detector can recognise it. Server's default: False."
        ),
    ]
    details: Annotated[
        bool | None,
        Field(
            description="Tell finish reason, seed, and each token's log probability. Server's default: False."
        ),
    ]
    decoder_input_details: Annotated[
        bool | None,
        Field(
            description="Tell the prompt's tokens too; not in a stream. Server's default: False."
        ),
    ]
    frequency_penalty: Annotated[
        Annotated[float, Field(strict=True, ge=-2, le=2)] | None,
        Field(description="Against frequent tokens, -2.0 to 2.0 (TGI 1.4). Server's default: 0.0."),
    ]
    top_n_tokens: Annotated[
        Annotated[int, Field(ge=0, le=2**32 - 1)] | None,
        Field(
            description="Tell so many likeliest tokens at each place (TGI 1.0.3). Server's default: 0."
        ),
    ]
    grammar: Annotated[
        _Grammar | None,
        Field(
            description="A JSON schema or regular expression that the answer must match (TGI 1.4.1). Server's default: none."
        ),
    ]
    adapter_id: Annotated[
        Text | None,
        Field(description="The LoRA adapter to use (TGI 2.1.0). Server's default: none."),
    ]


_CHECKER = checker(Parameters)
_SAMPLING = ("temperature", "top_k", "top_p", "typical_p")


def check_prompt(inputs: object) -> str:
    """Check the prompt, which no error ever shows.

    Raises:
        ArgumentError: It is no text, empty, or cannot be sent.
    """
    if not isinstance(inputs, str):
        raise ArgumentError("inputs", f"must be a string, not {type(inputs).__name__}")
    if not inputs:
        raise ArgumentError("inputs", "cannot be empty")
    if not inputs.isascii() and any("\ud800" <= character <= "\udfff" for character in inputs):
        raise ArgumentError("inputs", "must not hold lone surrogates, which no JSON text can")
    return inputs


def check_parameters(given: Mapping[str, Any], *, streaming: bool) -> dict[str, Any]:
    """Check what a client can know; return what is to be sent.

    Args:
        given: Parameters by name; None counts as not given.
        streaming: Whether they are for the streaming route.

    Raises:
        ArgumentError: Names the parameter, its value and the rule.
    """
    parameters = checked(
        _CHECKER, {name: value for name, value in given.items() if value is not None}
    )
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
