"""Requests: a body's bytes in, a typed `GenerateRequest` or `RejectedBodyError` out.

Field names, types, defaults and nullability are the servers'. Values are checked in the next layer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._serde import JsonReader

_STRUCT = "struct GenerateParameters"
_GRAMMARS = ("json", "json_object", "regex", "json_schema")


@dataclass(frozen=True)
class Grammar:
    """The grammar of an answer."""

    kind: Literal["json", "json_schema", "regex"]
    value: Any
    """A regular expression, or a JSON schema; of the kind "json" it may be written in a string."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """`parameters` of a request, under the API's names; floats are of single precision."""

    best_of: int | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    typical_p: float | None = None
    do_sample: bool = False
    max_new_tokens: int | None = None
    return_full_text: bool | None = None
    stop: tuple[str, ...] = ()
    truncate: int | None = None
    watermark: bool = False
    details: bool = False
    decoder_input_details: bool = False
    seed: int | None = None
    top_n_tokens: int | None = None
    grammar: Grammar | None = None
    adapter_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """The body of `/generate`, `/generate_stream`, `/tokenize` and the root route."""

    inputs: str
    parameters: Parameters = field(default_factory=Parameters)
    stream: bool = False
    """The field `stream`, which only the root route has."""


def read_request(body: bytes, dialect: Dialect, *, root: bool = False) -> GenerateRequest:
    """Read a request's body as the server does.

    Args:
        body: The bytes received.
        dialect: The server that reads them.
        root: Whether it came to the root route, the only one with the field `stream`.

    Raises:
        RejectedBodyError: It is not JSON, or does not match the schema.
    """
    reader = JsonReader(body, debug_floats=dialect.debug_floats)
    readers: dict[str, Callable[[], Any]] = {
        "inputs": reader.string,
        "parameters": lambda: _read_parameters(reader, dialect),
    }
    if root:
        readers["stream"] = reader.boolean
    values = reader.struct("struct GenerateRequest", readers)
    _require(reader, values, "inputs")
    values.setdefault("parameters", Parameters(do_sample=dialect.samples_without_parameters))
    return GenerateRequest(**values)


def _read_parameters(reader: JsonReader, dialect: Dialect) -> Parameters:
    def optional(read: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: reader.optional(read)

    def integer(kind: str) -> Callable[[], Any]:
        return optional(lambda: reader.integer(kind))

    number = optional(reader.f32)
    readers: dict[str, Callable[[], Any]] = {
        "best_of": integer("usize"),
        "temperature": number,
        "repetition_penalty": number,
        "top_k": integer("i32"),
        "top_p": number,
        "typical_p": number,
        "do_sample": reader.boolean,
        "max_new_tokens": integer("u32"),
        "return_full_text": optional(reader.boolean),
        "stop": lambda: tuple(reader.string() for _ in reader.items()),
        "truncate": integer("usize"),
        "watermark": reader.boolean,
        "details": reader.boolean,
        "decoder_input_details": reader.boolean,
        "seed": integer("u64"),
        "top_n_tokens": integer("u32"),
    }
    if dialect.newer_parameters:
        readers |= {
            "frequency_penalty": number,
            "grammar": optional(lambda: _read_grammar(reader)),
            "adapter_id": optional(reader.string),
        }
    return Parameters(**reader.struct(_STRUCT, readers))


def _read_grammar(reader: JsonReader) -> Grammar:
    def kind() -> str:
        name = reader.string()
        if name not in _GRAMMARS:
            known = ", ".join(f"`{known}`" for known in _GRAMMARS)
            reader.refuse(f"unknown variant `{name}`, expected one of {known}")
        return name

    values = reader.struct(
        "adjacently tagged enum GrammarType",
        {"type": kind, "value": reader.postpone},
    )
    _require(reader, values, "type", "value")
    read = values["value"]
    match values["type"]:
        case "regex":
            return Grammar("regex", read(reader.string))
        case "json_schema":
            return Grammar("json_schema", read(lambda: _read_json_schema(reader)))
        case _:
            return Grammar("json", read(reader.value))


def _read_json_schema(reader: JsonReader) -> Any:
    values = reader.struct(
        "struct JsonSchemaConfig",
        {"name": lambda: reader.optional(reader.string), "schema": reader.value},
    )
    _require(reader, values, "schema")
    return values["schema"]


def _require(reader: JsonReader, values: dict[str, Any], *names: str) -> None:
    for name in names:
        if name not in values:
            reader.refuse(f"missing field `{name}`")
