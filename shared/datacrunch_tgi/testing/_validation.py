"""Checks before generation: a readable request in, a `ValidRequest` or an error out.

The order of the checks and the messages are the servers' own (router/src/validation.rs of TGI 1.1.1
and 3.3.7); the first failure is the answer.
"""

import secrets
from dataclasses import dataclass
from typing import Any, cast

from datacrunch_tgi.testing._detokenizer import Tokenizer
from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._errors import InvalidRequestError
from datacrunch_tgi.testing._scanner import RejectedBodyError
from datacrunch_tgi.testing._schema import GenerateRequest, Grammar, Parameters
from datacrunch_tgi.testing._serde import JsonReader

_META_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_PENALTY_RANGE = 2.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server, by the names of its options."""

    max_best_of: int
    max_stop_sequences: int
    max_top_n_tokens: int
    max_input_tokens: int
    max_total_tokens: int


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is chosen: every parameter has a value, floats are single precision."""

    temperature: float
    repetition_penalty: float
    frequency_penalty: float
    top_k: int
    """0: no limit."""
    top_p: float
    typical_p: float
    watermark: bool
    do_sample: bool
    seed: int

    @property
    def samples(self) -> bool:
        """Whether tokens are sampled, as with any parameter that shapes probabilities."""
        return (
            self.do_sample
            or self.temperature != 1
            or self.top_k != 0
            or self.top_p < 1
            or self.typical_p < 1
        )


@dataclass(frozen=True, kw_only=True)
class ValidRequest:
    """A request that can be generated."""

    inputs: str
    prompt_ids: list[int]
    """The prompt's tokens after truncation."""
    max_new_tokens: int
    stop: tuple[str, ...]
    top_n_tokens: int
    prefill: bool
    """Whether logprobs of the prompt's tokens are requested."""
    sampling: Sampling
    pattern: str | None
    """The regular expression that the answer must match."""


def check_stream(parameters: Parameters) -> None:
    """Refuse parameters that cannot be streamed.

    Raises:
        InvalidRequestError: The request has such a parameter.
    """
    if parameters.best_of not in {None, 1}:
        raise InvalidRequestError("`best_of` != 1 is not supported when streaming tokens")
    if parameters.decoder_input_details:
        raise InvalidRequestError(
            "`decoder_input_details` == true is not supported when streaming tokens"
        )


def check_best_of(best_of: int, limits: Limits) -> None:
    """Refuse more sequences than the server generates.

    Raises:
        InvalidRequestError: `best_of` is too large.
    """
    if best_of > 1 and limits.max_best_of == 1:
        raise InvalidRequestError("`best_of` != 1 is not allowed for this endpoint")
    if best_of > limits.max_best_of:
        raise InvalidRequestError(
            f"`best_of` must be > 0 and <= {limits.max_best_of}. Given: {best_of}"
        )


def validate(
    request: GenerateRequest, limits: Limits, dialect: Dialect, tokenizer: Tokenizer
) -> ValidRequest:
    """Check a request and fill in its defaults.

    Raises:
        InvalidRequestError: The server refuses it.
    """
    parameters = request.parameters
    sampling = _check_sampling(parameters)
    if parameters.max_new_tokens == 0:
        raise InvalidRequestError("`max_new_tokens` must be strictly positive")
    if len(parameters.stop) > limits.max_stop_sequences:
        raise InvalidRequestError(
            f"`stop` supports up to {limits.max_stop_sequences} stop sequences. "
            f"Given: {len(parameters.stop)}"
        )
    if (parameters.best_of or 1) > 1 and parameters.seed is not None:
        raise InvalidRequestError("`seed` must not be set when `best_of` > 1")
    top_n_tokens = parameters.top_n_tokens or 0
    if top_n_tokens > limits.max_top_n_tokens:
        raise InvalidRequestError(
            f"`top_n_tokens` must be >= 0 and <= {limits.max_top_n_tokens}. Given: {top_n_tokens}"
        )
    if not request.inputs:
        raise InvalidRequestError("`inputs` cannot be empty")
    prompt_ids = _encode(request, limits, tokenizer)
    max_new_tokens = _check_length(len(prompt_ids), parameters.max_new_tokens, limits, dialect)
    return ValidRequest(
        inputs=request.inputs,
        prompt_ids=prompt_ids,
        max_new_tokens=max_new_tokens,
        stop=parameters.stop,
        top_n_tokens=top_n_tokens,
        prefill=parameters.decoder_input_details,
        sampling=sampling,
        pattern=_check_grammar(parameters.grammar, dialect),
    )


def _check_sampling(parameters: Parameters) -> Sampling:
    shaping = (parameters.temperature, parameters.top_k, parameters.top_p, parameters.typical_p)
    asks_to_sample = parameters.do_sample or any(value is not None for value in shaping)
    if (parameters.best_of or 1) > 1 and not asks_to_sample:
        raise InvalidRequestError("you must use sampling when `best_of` is > 1")
    temperature = _default(parameters.temperature, 1.0)
    if temperature <= 0:
        raise InvalidRequestError("`temperature` must be strictly positive")
    repetition_penalty = _default(parameters.repetition_penalty, 1.0)
    if repetition_penalty <= 0:
        raise InvalidRequestError("`repetition_penalty` must be strictly positive")
    frequency_penalty = _default(parameters.frequency_penalty, 0.0)
    if not -_PENALTY_RANGE <= frequency_penalty <= _PENALTY_RANGE:
        raise InvalidRequestError("`frequency_penalty` must be >= -2.0 and <= 2.0")
    if parameters.top_p is not None and not 0 < parameters.top_p < 1:
        raise InvalidRequestError("`top_p` must be > 0.0 and < 1.0")
    if parameters.typical_p is not None and not 0 < parameters.typical_p < 1:
        raise InvalidRequestError("`typical_p` must be > 0.0 and < 1.0")
    if parameters.top_k is not None and parameters.top_k <= 0:
        raise InvalidRequestError("`top_k` must be strictly positive")
    return Sampling(
        temperature=temperature,
        repetition_penalty=repetition_penalty,
        frequency_penalty=frequency_penalty,
        top_k=parameters.top_k or 0,
        top_p=_default(parameters.top_p, 1.0),
        typical_p=_default(parameters.typical_p, 1.0),
        watermark=parameters.watermark,
        do_sample=parameters.do_sample,
        seed=secrets.randbits(64) if parameters.seed is None else parameters.seed,
    )


def _default(value: float | None, default: float) -> float:
    return default if value is None else value


def _encode(request: GenerateRequest, limits: Limits, tokenizer: Tokenizer) -> list[int]:
    """Tokenise the prompt and cut it from the left, behind the token that begins every prompt."""
    truncate = request.parameters.truncate
    if truncate is not None and not 0 < truncate <= limits.max_input_tokens:
        raise InvalidRequestError(
            f"`truncate` must be strictly positive and less than {limits.max_input_tokens}. "
            f"Given: {truncate}"
        )
    ids = tokenizer.encode(request.inputs)
    if truncate is None or len(ids) <= truncate:
        return ids
    kept = [first for first in ids[:1] if first in tokenizer.special_ids]
    return kept + ids[len(ids) - truncate + len(kept) :]


def _check_length(
    input_length: int, max_new_tokens: int | None, limits: Limits, dialect: Dialect
) -> int:
    room = max(limits.max_total_tokens - input_length, 0)
    wanted = room if max_new_tokens is None else max_new_tokens
    counted = min(wanted, dialect.counted_new_tokens or wanted)
    if input_length + counted > limits.max_total_tokens:
        raise InvalidRequestError(
            f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
            f"Given: {input_length} `inputs` tokens and {counted} `max_new_tokens`"
        )
    if input_length > limits.max_input_tokens:
        raise InvalidRequestError(
            f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {input_length}"
        )
    return min(wanted, room)


def _check_grammar(grammar: Grammar | None, dialect: Dialect) -> str | None:
    """Return the regular expression of a grammar, which may still be impossible to compile."""
    if grammar is None:
        return None
    # Slow to import, and few requests have a grammar.
    from datacrunch_tgi.testing._patterns import check_size, schema_to_regex  # noqa: PLC0415

    is_regex = grammar.kind == "regex"
    pattern = grammar.value if is_regex else schema_to_regex(_read_schema(grammar, dialect))
    check_size(pattern)
    return pattern


def _read_schema(grammar: Grammar, dialect: Dialect) -> dict[str, Any]:
    schema: Any = grammar.value
    if grammar.kind == "json" and isinstance(schema, str):
        schema = _parse_schema(schema, dialect)
    elif grammar.kind == "json" and not isinstance(schema, dict):
        raise InvalidRequestError("grammar is not supported")
    return _check_schema(schema)


def _parse_schema(text: str, dialect: Dialect) -> Any:
    reader = JsonReader(text.encode(), debug_floats=dialect.debug_floats)
    try:
        schema = reader.value()
        reader.end()
    except RejectedBodyError as rejected:
        raise InvalidRequestError(f"grammar is not valid: {rejected.reason}") from rejected
    return schema


def _check_schema(schema: Any) -> dict[str, Any]:
    # Slow to import, and few requests have a schema.
    from jsonschema_rs import Draft202012Validator, ValidationError  # noqa: PLC0415

    try:
        Draft202012Validator({"$ref": _META_SCHEMA}).validate(schema)
    except ValidationError as invalid:
        raise InvalidRequestError(f"grammar is not valid: {invalid.message}") from invalid
    if not isinstance(schema, dict) or "properties" not in schema:
        raise InvalidRequestError("grammar is not valid: Grammar must have a 'properties' field")
    return cast("dict[str, Any]", schema)
