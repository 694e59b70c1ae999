"""What a server answers, under TGI's own field names (1.1.1 to 3.3.7). Pure.

Fields that a server leaves out are None or empty; fields that are not listed here are kept and can be
read as attributes.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

Item = TypeVar("Item")


class _Response(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class Token(_Response):
    """One token of an answer."""

    id: int
    text: str
    """May be "" where a character is spread over several tokens: the last of them has it whole."""
    logprob: float | None = None
    """Natural logarithm of the token's probability; None where the server has none."""
    special: bool = False
    """Whether it is a control token, such as the end of the answer, which is never shown."""


class PrefillToken(_Response):
    """One token of the prompt."""

    id: int
    text: str
    logprob: float | None = None
    """Natural logarithm of its probability; None for the first, which nothing precedes."""


class BestOfSequence(_Response):
    """One of the answers that `best_of` generated and did not choose."""

    generated_text: str
    finish_reason: str
    generated_tokens: int
    seed: int | None = None
    prefill: list[PrefillToken] = Field(default_factory=list[PrefillToken])
    tokens: list[Token] = Field(default_factory=list[Token])
    top_tokens: list[list[Token]] = Field(default_factory=list[list[Token]])


class KeptItems(Sequence[Item], Generic[Item]):
    """Items that were validated when they came, and are not kept as objects."""


def _keep(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    return cast("Any", value) if isinstance(value, KeptItems) else validate(value)


def _dump(value: Sequence[Any], serialize: SerializerFunctionWrapHandler) -> Any:
    return serialize(list(value))


def _keeping(items: Any) -> GetPydanticSchema:
    """A list's schema that lets kept items be. JSON goes past `_keep`, which takes as long as it does."""

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = handler.generate_schema(items)
        return core_schema.json_or_python_schema(
            plain,
            core_schema.no_info_wrap_validator_function(_keep, plain),
            serialization=core_schema.wrap_serializer_function_ser_schema(_dump, schema=plain),
        )

    return GetPydanticSchema(schema)


_Tokens = Annotated[Sequence[Token], _keeping(list[Token])]
_TopTokens = Annotated[Sequence[Sequence[Token]], _keeping(list[list[Token]])]


class Details(_Response):
    """How an answer was made, where `details` asked for it."""

    finish_reason: str
    """`length`, `eos_token` or `stop_sequence`."""
    generated_tokens: int
    """Tokens that the server generated, its end token included."""
    seed: int | None = None
    """The seed; None where nothing was drawn at random."""
    prefill: list[PrefillToken] = Field(default_factory=list[PrefillToken])
    """The prompt's tokens, where `decoder_input_details` asked for them and the server tells them."""
    tokens: _Tokens = Field(default_factory=list[Token])
    best_of_sequences: list[BestOfSequence] = Field(default_factory=list[BestOfSequence])
    top_tokens: _TopTokens = Field(default_factory=list[Sequence[Token]])
    """For each token the likeliest ones at its place, where `top_n_tokens` asked for them."""
    input_length: int | None = None
    """Tokens of the prompt; told in streams, since TGI 2.3."""


class GenerateResponse(_Response):
    """The body of `/generate`."""

    generated_text: str
    details: Details | None = None


class StreamDetails(_Response):
    """The details in the last event of a stream."""

    finish_reason: str
    generated_tokens: int
    seed: int | None = None
    input_length: int | None = None


class StreamEvent(_Response):
    """One event of `/generate_stream`: one token."""

    token: Token
    index: int | None = None
    """Place of the token, from 1; None before TGI 1.4."""
    top_tokens: list[Token] = Field(default_factory=list[Token])
    generated_text: str | None = None
    """The whole answer as the server has it; in the last event only."""
    details: StreamDetails | None = None
    text: str = ""
    """What this event adds to the answer that a person reads. Made by the client: the token's text,
    without control tokens, without the stop string and whatever may yet become one."""


class Usage(_Response):
    """Tokens that a call took; None where the server does not tell and no tokenizer was given."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Answer(_Response):
    """A whole answer, the same whether it was streamed or not."""

    text: str
    """What a person reads: made of the tokens where the server told them, else `generated_text`;
    without control tokens, and ending before the earliest stop string."""
    generated_text: str | None
    """What the server sent; None where the client ended a stream at a stop string."""
    finish_reason: str | None
    """`length`, `eos_token` or `stop_sequence`; None where the server does not tell (no `details`)."""
    details: Details | None
    usage: Usage


class Info(_Response):
    """What `/info` tells of a server and its model; None where it does not."""

    model_id: str
    version: str
    """Of TGI; a hint only: the server that is called 3.3.7 says 3.3.6-dev0."""
    max_input_tokens: int | None = Field(
        default=None, validation_alias=AliasChoices("max_input_tokens", "max_input_length")
    )
    """Tokens that a prompt may have; called max_input_length up to TGI 2.0."""
    max_total_tokens: int | None = None
    """Tokens that prompt and answer may have together."""
    max_concurrent_requests: int | None = None
    max_best_of: int | None = None
    max_stop_sequences: int | None = None


class PromptToken(_Response):
    """One token of a text, as `/tokenize` tells it."""

    id: int
    text: str
    start: int
    """Place in the text's UTF-8 form, in bytes; start and stop are the same for control tokens."""
    stop: int
