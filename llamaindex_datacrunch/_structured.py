"""Structured output: instances of a Pydantic class, by `structured_predict` and `as_structured_llm`.

    prompt ─▶ + instructions ─▶ complete or chat, with a `grammar` ─▶ parse ─▶ instance

A stream yields partial objects before the instance. LlamaIndex's own program asks by prompt only, and
accepts whatever a stream ends with.
"""

from collections.abc import AsyncGenerator, Generator, Iterator
from copy import deepcopy
from typing import Any, cast

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation import (
    get_dispatcher,  # pyright: ignore[reportPrivateImportUsage]  # LlamaIndex's own code imports it from here
)
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms import LLM
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.program import LLMTextCompletionProgram
from llama_index.core.program.utils import create_flexible_model
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from datacrunch_tgi._structured import grammar_of, instructions, partial_text, read
from llamaindex_datacrunch._tools import TOOL_ARGUMENTS

_dispatcher = get_dispatcher(__name__)
_HINT = (
    "Raise max_tokens if it ended the answer. A server without grammars (TGI before 1.4.1, DataCrunch's "
    "fork) is asked by prompt only: try a larger model."
)


class _Parser(PydanticOutputParser[Any]):
    """Adds instructions to the prompt, and validates the answer."""

    def format(self, query: str) -> str:
        return f"{query}\n\n{instructions(self.output_cls.model_json_schema())}"

    def parse(self, text: str) -> Any:
        return read(text, self.output_cls.model_validate_json, hint=_HINT)


class _Partial:
    """A structured answer during streaming."""

    def __init__(self, output_cls: type[BaseModel]) -> None:
        self._parser = _Parser(output_cls=output_cls)
        self._partial_cls = create_flexible_model(output_cls)
        self._values: dict[str, Any] = {}
        self._text = ""

    def grow(self, response: CompletionResponse | ChatResponse) -> Iterator[BaseModel]:
        """Yield the object so far if the response adds to it; missing fields are None."""
        if isinstance(response, ChatResponse):
            self._text = response.message.content or ""
        else:
            self._text = response.text
        try:
            values = from_json(partial_text(self._text), allow_partial="trailing-strings")
        except ValueError:  # not yet JSON
            return
        if isinstance(values, dict) and values != self._values:
            self._values = cast("dict[str, Any]", values)
            yield self._partial_cls.model_validate(values)

    def finish(self) -> Any:
        """Return the complete object.

        Raises:
            StructuredOutputError: The answer does not match the class.
        """
        return self._parser.parse(self._text)


class Structured(LLM):
    """An LLM whose structured answers are enforced by a grammar, and validated.

    With `pydantic_program_mode="llm"` no grammar is sent; the prompt asks for JSON.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, protected_namespaces=())

    pydantic_program_mode: PydanticProgramMode = PydanticProgramMode.DEFAULT
    """How structured answers are requested: "default" by prompt and grammar, "llm" by prompt only.
    Default: "default"."""

    @_dispatcher.span
    def structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """Generate an instance of a Pydantic class.

        Args:
            output_cls: The class.
            prompt: The prompt.
            llm_kwargs: Arguments of this call, as for `complete`.
            **prompt_args: Values of the prompt's variables.

        Raises:
            datacrunch_tgi.StructuredOutputError: The answer does not match the class; its `text` is the
                answer.
            datacrunch_tgi.DataCrunchError: The call failed.
        """
        _started(output_cls, prompt, prompt_args)
        program = self._program(output_cls, prompt)
        return _ended(program(self._by_grammar(output_cls, llm_kwargs), **prompt_args))

    @_dispatcher.span
    async def astructured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:
        """Generate an instance of a Pydantic class: see `structured_predict`."""
        _started(output_cls, prompt, prompt_args)
        program = self._program(output_cls, prompt)
        return _ended(await program.acall(self._by_grammar(output_cls, llm_kwargs), **prompt_args))

    def _structured_stream_call(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        method, given = self._question(self._program(output_cls, prompt), prompt_args)
        answer = _Partial(output_cls)
        ask = getattr(self, f"stream_{method}")
        for response in ask(given, **self._by_grammar(output_cls, llm_kwargs)):
            yield from answer.grow(response)
        yield answer.finish()

    async def _structured_astream_call(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        method, given = self._question(self._program(output_cls, prompt), prompt_args)
        answer = _Partial(output_cls)
        ask = getattr(self, f"astream_{method}")
        responses = await ask(given, **self._by_grammar(output_cls, llm_kwargs))

        async def grow() -> AsyncGenerator[Any, None]:
            async for response in responses:
                for partial in answer.grow(response):
                    yield partial
            yield answer.finish()

        return grow()

    def _question(
        self, program: LLMTextCompletionProgram[Any], values: dict[str, Any]
    ) -> tuple[str, Any]:
        """Return the method that a program calls, and its input."""
        if self.metadata.is_chat_model:
            messages = program.prompt.format_messages(llm=self, **values)
            return "chat", self._extend_messages(messages)
        return "complete", program.prompt.format(llm=self, **values)

    def _program(
        self, output_cls: type[BaseModel], prompt: PromptTemplate
    ) -> LLMTextCompletionProgram[Any]:
        # A copy, because a program sets a parser on its prompt.
        parser = _Parser(output_cls=output_cls)
        return LLMTextCompletionProgram(parser, output_cls, deepcopy(prompt), self)

    def _by_grammar(
        self, output_cls: type[BaseModel], llm_kwargs: dict[str, Any] | None
    ) -> dict[str, Any]:
        given = {  # without what a program that calls tools would pass
            name: value for name, value in (llm_kwargs or {}).items() if name not in TOOL_ARGUMENTS
        }
        call = {"return_full_text": False, **given}
        if self.pydantic_program_mode == PydanticProgramMode.LLM:
            return call
        hint = 'Set pydantic_program_mode="llm", which asks by prompt only.'
        return {"grammar": grammar_of(output_cls.model_json_schema(), hint=hint), **call}


def _started(output_cls: type[BaseModel], prompt: PromptTemplate, values: dict[str, Any]) -> None:
    event = LLMStructuredPredictStartEvent(
        output_cls=output_cls, template=prompt, template_args=values
    )
    _dispatcher.event(event)


def _ended(made: BaseModel) -> BaseModel:
    _dispatcher.event(LLMStructuredPredictEndEvent(output=made))
    return made
