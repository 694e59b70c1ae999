"""Answers that are JSON of a schema, as a chain: ask, answer, read.

    json_schema  messages ─▶ model with `grammar` ─────────▶ read ─▶ value
    json_mode    messages ─▶ + instructions ─▶ model ──────▶ read ─▶ value

In both, what is read is checked by the schema.
"""

import json
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal, get_args

from jsonschema import ValidationError, validate
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._structured import grammar_of, instructions, read
from langchain_datacrunch._errors import map_errors

Method = Literal["json_schema", "function_calling", "json_mode"]

_ADVICE = (
    "a server without grammars, such as TGI before 1.4.1 or DataCrunch's fork, ignores them: "
    'method="json_mode" asks in words'
)


def structured(
    model: BaseChatModel, schema: dict[str, Any] | type[Any], method: Method, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Make the chain.

    Raises:
        ArgumentError: There is no such method, or no grammar can be made of the schema.
    """
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise ArgumentError("method", f"must be one of {known}", value=repr(method))
    as_json = whole = convert_to_json_schema(schema)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        # Where a schema refers to itself, LangChain's form says that anything will do.
        whole = schema.model_json_schema()
    in_words = method == "json_mode"
    told = {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": as_json}}
    asked: Runnable[LanguageModelInput, AIMessage]
    if in_words:

        def ask(given: LanguageModelInput) -> list[BaseMessage]:
            words = SystemMessage(instructions(whole))
            return [words, *model._convert_input(given).to_messages()]  # pyright: ignore[reportPrivateUsage]  # core has no other

        asked = RunnableLambda(ask) | model.bind(return_full_text=False, **told)
    else:
        asked = model.bind(grammar=grammar_of(whole), return_full_text=False, **told)

    validated = _validator(schema, as_json)

    def read_message(message: AIMessage) -> Any:
        with map_errors():
            return read(
                message.text,
                validated,
                finish_reason=message.response_metadata.get("finish_reason"),
                anywhere=in_words,
                advice="" if in_words else _ADVICE,
            )

    reading = RunnableLambda[AIMessage, Any](read_message)
    if not include_raw:
        return asked | reading
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | reading, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _validator(schema: dict[str, Any] | type[Any], as_json: dict[str, Any]) -> Callable[[str], Any]:
    if isinstance(schema, type):
        for name in ("model_validate_json", "parse_raw"):  # of pydantic's second and first version
            if hasattr(schema, name):
                of_class: Callable[[str], Any] = getattr(schema, name)
                return of_class

    def validated(text: str) -> Any:
        value = json.loads(text)
        try:
            validate(value, as_json)
        except ValidationError as broken:
            raise ValueError(f"{broken.json_path}: {broken.message}") from None
        return value

    return validated
