"""What a server returns, by TGI's own field names (1.1.1 to 3.3.7). Pure.

Fields that a server leaves out are None or empty. Fields that are not listed here are kept and can be read
as attributes.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    SerializerFunctionWrapHandler,
    SkipValidation,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

from datacrunch_tgi._protocol._response_headers import ResponseHeaders

Item = TypeVar("Item")

_list = cast("Callable[[], Any]", list)  # list[Token] takes six times as long to call


class _Response(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class Token(_Response):
    """One token of an answer."""

    id: int
    """Number of the token in the model's vocabulary."""
    text: str
    """May be "" if a character is spread over several tokens; the last of them has the character."""
    logprob: float | None = None
    """Natural logarithm of the token's probability; None if the server does not report it."""
    special: bool = False
    """Whether it is a control token, such as the end of the answer. It is not part of a text, apart from
    marks of reasoning such as `[THINK]`."""


class PrefillToken(_Response):
    """One token of the prompt."""

    id: int
    """Number of the token in the model's vocabulary."""
    text: str
    """Text of the token, as the server reports it."""
    logprob: float | None = None
    """Natural logarithm of the token's probability; None for the first token."""


class BestOfSequence(_Response):
    """One of the answers that `best_of` generated but did not choose."""

    generated_text: str
    """Text of this answer, as the server sent it."""
    finish_reason: str
    """`length`, `eos_token` or `stop_sequence`."""
    generated_tokens: int
    """Number of tokens that the server generated, including the end token."""
    seed: int | None = None
    """Seed; None if nothing was sampled."""
    prefill: list[PrefillToken] = Field(default_factory=_list)
    """Tokens of the prompt, as in `Details`."""
    tokens: list[Token] = Field(default_factory=_list)
    """Tokens of this answer."""
    top_tokens: list[list[Token]] = Field(default_factory=_list)
    """For each token the likeliest ones at its position, as in `Details`."""


class KeptItems(Sequence[Item], Generic[Item]):
    """Items that were validated on arrival and are not kept as objects."""


def _keep(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    return cast("Any", value) if isinstance(value, KeptItems) else validate(value)


def _dump(value: Sequence[Any], serialize: SerializerFunctionWrapHandler) -> Any:
    return serialize(list(value))


def _keeping(items: Any) -> GetPydanticSchema:
    """A list's schema that accepts `KeptItems` too. JSON bypasses the slower `_keep`."""

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
    """Details of an answer, if `details` requested them."""

    finish_reason: str
    """`length`, `eos_token` or `stop_sequence`."""
    generated_tokens: int
    """Number of tokens that the server generated, including the end token."""
    seed: int | None = None
    """Seed; None if nothing was sampled."""
    prefill: list[PrefillToken] = Field(default_factory=_list)
    """Tokens of the prompt, if `decoder_input_details` requested them and the server reports them."""
    tokens: _Tokens = Field(default_factory=_list)
    """Tokens of the answer, including control tokens."""
    best_of_sequences: list[BestOfSequence] = Field(default_factory=_list)
    """The other answers, if `best_of` is greater than 1."""
    top_tokens: _TopTokens = Field(default_factory=_list)
    """For each token the likeliest ones at its position, if `top_n_tokens` requested them."""
    input_length: int | None = None
    """Number of prompt tokens; reported in streams, since TGI 2.3."""


class GenerateResponse(_Response):
    """The body of `/generate`."""

    generated_text: str
    details: Details | None = None


class StreamDetails(_Response):
    """Details in the last event of a stream."""

    finish_reason: str
    """`length`, `eos_token` or `stop_sequence`."""
    generated_tokens: int
    """Number of tokens that the server generated, including the end token."""
    seed: int | None = None
    """Seed; None if nothing was sampled."""
    input_length: int | None = None
    """Number of prompt tokens; reported since TGI 2.3."""


class StreamEvent(_Response):
    """One event of `/generate_stream`: one token."""

    token: Token
    """The token, as the server sent it."""
    index: int | None = None
    """Position of the token, from 1; None before TGI 1.4."""
    top_tokens: list[Token] = Field(default_factory=_list)
    """The likeliest tokens at this position, if `top_n_tokens` requested them."""
    generated_text: str | None = None
    """The complete answer as the server sent it; in the last event only."""
    details: StreamDetails | None = None
    """Finish reason, seed and counts; in the last event only, if `details` requested them."""
    text: str = ""
    """Text that this event adds to the answer, made by the client: the token's text, without control
    tokens, the stop string, and text that may still become one."""


class Usage(_Response):
    """Number of tokens used by a call; None if the server does not report it and there is no tokenizer."""

    prompt_tokens: int | None = None
    """Number of tokens of the prompt."""
    completion_tokens: int | None = None
    """Number of tokens that were generated, including the end token."""
    total_tokens: int | None = None
    """Sum of both."""


class Answer(_Response):
    """A complete answer, the same whether it was streamed or not."""

    text: str
    """Text of the answer: joined from the tokens if the server reported them, else `generated_text`;
    without control tokens, and ending before the first stop string."""
    generated_text: str | None
    """Text as the server sent it; None if the client ended a stream at a stop string."""
    finish_reason: str | None
    """`length`, `eos_token` or `stop_sequence`; None if the server does not report it (no `details`)."""
    details: Details | None
    """Tokens, seed and counts; None if the server does not report them (no `details`)."""
    usage: Usage
    """Number of tokens of prompt and answer."""
    headers: Annotated[Mapping[str, str], SkipValidation] = Field(
        default_factory=ResponseHeaders, exclude=True, frozen=True, repr=False
    )
    """Headers of the response: read-only, names in any case, without cookies and other secrets. Neither
    dumped nor compared."""

    @property
    def request_id(self) -> str | None:
        """The server's id of the request (`x-request-id`); None if it sent none."""
        return self.headers.get("x-request-id")

    def __eq__(self, other: object) -> bool:
        """Compare all but the headers, which differ in every response."""
        if not isinstance(other, Answer):
            return NotImplemented
        return self._compared == other._compared

    __hash__ = None  # type: ignore[assignment]  # as in other models

    def _repr_html_(self) -> str | None:
        """Return the answer as notebooks show it, shaded by its probabilities; None without tokens."""
        if not (self.details and self.details.tokens):
            return None
        html: str = import_module("datacrunch_tgi._protocol._html").to_html(self, self.details)
        return html

    @property
    def _compared(self) -> dict[str, Any]:
        return {**vars(self), **(self.__pydantic_extra__ or {}), "headers": None}


class Info(_Response):
    """Server and model as reported by `/info`; None for what it does not report."""

    model_id: str
    """Name of the model, or the path that it was loaded from."""
    version: str
    """Version of TGI; only a hint: the release 3.3.7 reports 3.3.6-dev0."""
    max_input_tokens: int | None = Field(
        default=None, validation_alias=AliasChoices("max_input_tokens", "max_input_length")
    )
    """Largest number of prompt tokens; called max_input_length up to TGI 2.0."""
    max_total_tokens: int | None = None
    """Largest number of tokens of prompt and answer together."""
    max_concurrent_requests: int | None = None
    """Largest number of open requests; more are refused with 429."""
    max_best_of: int | None = None
    """Largest `best_of`."""
    max_stop_sequences: int | None = None
    """Largest number of stop strings."""


class PromptToken(_Response):
    """One token of a text, as reported by `/tokenize`."""

    id: int
    """Number of the token in the model's vocabulary."""
    text: str
    """Text of the token, as the server reports it."""
    start: int
    """Offset of the token in the UTF-8 text, in bytes; equal to `stop` for control tokens."""
    stop: int
    """Offset of the token's end in the UTF-8 text, in bytes."""
