"""Structured output as a chain: prompt, answer, parse.

    json_schema  messages + instructions ─▶ model with `grammar` ─▶ StructuredOutputParser ─▶ value
    json_mode    messages + instructions ─▶ model ────────────────▶ StructuredOutputParser ─▶ value

In both, the result is validated against the full schema.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal, get_args

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.json import parse_partial_json
from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi._structured import grammar_of, instructions, partial_text, read, validator
from langchain_datacrunch._errors import map_errors

Method = Literal["json_schema", "function_calling", "json_mode"]

NOT_CONVERTED = (AttributeError, KeyError, TypeError, ValueError, PydanticUserError)
"""What LangChain and Pydantic raise for what has no JSON schema."""
USE_JSON_MODE = 'Use method="json_mode", which asks by prompt only.'
_HINT = "Raise max_tokens if the answer was cut off, or use a larger model."


def structured(
    model: BaseChatModel, schema: dict[str, Any] | type[Any], method: Method, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return the chain.

    Raises:
        ArgumentError: The method is unknown, the schema is invalid, or it has no grammar.
    """
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise ArgumentError("method", f"must be one of {known}", value=repr(method))
    as_json = full_schema(schema)
    parser = StructuredOutputParser(
        validate_json=validate_json(schema), streams_partials=not is_model_class(schema)
    )
    shown = {
        "ls_structured_output_format": {
            "kwargs": {"method": method},
            "schema": convert_to_json_schema(schema),
        }
    }
    grammar = {} if method == "json_mode" else {"grammar": grammar_of(as_json, hint=USE_JSON_MODE)}
    words = SystemMessage(instructions(as_json))

    def ask(given: LanguageModelInput) -> list[BaseMessage]:
        return [words, *model._convert_input(given).to_messages()]  # pyright: ignore[reportPrivateUsage]  # langchain-core has no public one

    asked: Runnable[LanguageModelInput, AIMessage] = RunnableLambda(ask) | model.bind(
        return_full_text=False, **grammar, **shown
    )
    if not include_raw:
        return asked | parser

    def parse(answer: dict[str, Any]) -> dict[str, Any]:
        try:
            parsed = parser.invoke(answer["raw"])
        except StructuredOutputError as error:
            return {**answer, "parsed": None, "parsing_error": error}
        return {**answer, "parsed": parsed, "parsing_error": None}

    # Not with LangChain's fallbacks, which let an error of a stream pass.
    return RunnableMap(raw=asked) | RunnableLambda(parse)


def full_schema(schema: dict[str, Any] | type[Any]) -> dict[str, Any]:
    """Return the JSON schema of a class, function or dict, with its references.

    Raises:
        ArgumentError: It has none.
    """
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            # LangChain's conversion returns `{}` for recursive classes.
            return schema.model_json_schema()
        return convert_to_json_schema(schema)
    except NOT_CONVERTED as error:
        value: str = getattr(schema, "__name__", "")
        raise ArgumentError("schema", f"has no JSON schema: {error}", value=value) from None


def is_model_class(schema: Any) -> bool:
    """Return whether the schema is a class of Pydantic 1 or 2, so that values are instances."""
    return isinstance(schema, type) and hasattr(schema, "parse_raw")


def validate_json(schema: dict[str, Any] | type[Any]) -> Callable[[str], Any]:
    """Return a function that parses and validates JSON; it raises ValueError.

    Raises:
        ArgumentError: The schema is invalid.
    """
    if is_model_class(schema):
        name = "model_validate_json" if hasattr(schema, "model_validate_json") else "parse_raw"
        of_class: Callable[[str], Any] = getattr(schema, name)
        return of_class
    return validator(full_schema(schema))


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Parses the JSON of an answer; streams partial dicts as they grow, and the validated one last."""

    validate_json: Callable[[str], Any]
    streams_partials: bool

    @property
    def _type(self) -> str:
        return "datacrunch-structured"

    def parse(self, text: str) -> Any:
        """Parse an answer's text."""
        return self.read(text)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse an answer."""
        del partial
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        metadata = message.response_metadata if message else {}
        return self.read(result[0].text, metadata.get("finish_reason"))

    def read(self, text: str, finish_reason: str | None = None) -> Any:
        """Parse an answer's text; the finish reason improves the error."""
        with map_errors():
            return read(text, self.validate_json, finish_reason=finish_reason, hint=_HINT)

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002 -- LangChain's name
        stream = _Reading(self)
        for chunk in input:
            yield from stream.push(chunk)
        yield from stream.finish()

    async def _atransform(self, input: AsyncIterator[str | BaseMessage]) -> AsyncIterator[Any]:  # noqa: A002 -- LangChain's name
        stream = _Reading(self)
        async for chunk in input:
            for value in stream.push(chunk):
                yield value
        for value in stream.finish():
            yield value


class _Reading:
    """One stream of an answer."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._text = ""
        self._finish_reason: str | None = None
        self._shown: Any = None

    def push(self, chunk: str | BaseMessage) -> Iterator[Any]:
        """Add the next chunk; yield the dict so far if it has grown."""
        if isinstance(chunk, BaseMessage):
            self._finish_reason = chunk.response_metadata.get("finish_reason", self._finish_reason)
            chunk = str(chunk.text)
        self._text += chunk
        if chunk and self._parser.streams_partials:
            try:
                value = parse_partial_json(partial_text(self._text))
            except (ValueError, RecursionError):
                return
            if isinstance(value, dict) and value != self._shown:
                self._shown = value
                yield value

    def finish(self) -> Iterator[Any]:
        """Yield the validated value, unless it was the last one yielded."""
        value = self._parser.read(self._text, self._finish_reason)
        if value != self._shown:
            yield value
