"""The chat model.

    messages ─▶ chat template ─▶ prompt ─▶ _generate ─▶ an answer ─▶ ChatResult
                                        └▶ _stream ───▶ chunks

Prompts are made in `_prompts`. Requests go to the same routes as those of `DataCrunchLLM`: see `_endpoint`.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import Any, Never, Unpack, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from datacrunch_tgi import Answer, ArgumentError, ChatTemplate
from datacrunch_tgi._integration import (
    ParameterFields,
    SettingsFields,
    with_arguments,
    with_documented_fields,
)
from langchain_datacrunch._arguments import ChatCall, ChatDataCrunchArguments, ChatOptions
from langchain_datacrunch._calls import ChatCalls
from langchain_datacrunch._endpoint import without_habits
from langchain_datacrunch._errors import map_errors
from langchain_datacrunch._messages import to_chat_chunk, to_chat_result
from langchain_datacrunch._outputs import sum_usage
from langchain_datacrunch._prompts import ChatPrompts
from langchain_datacrunch._structured import Method, structured
from langchain_datacrunch._tools import (
    Tool,
    ToolAnswer,
    bound_arguments,
)

_DEFAULTS = {
    name: None if field.is_required() or field.default_factory else field.default
    for name, field in ChatPrompts.model_fields.items()
}


@without_habits(ChatCall)
@with_documented_fields(ChatDataCrunchArguments, SettingsFields, ParameterFields, ChatPrompts)
class ChatDataCrunch(ChatCalls):
    """LangChain chat model for DataCrunch (Verda) endpoints and any Text Generation Inference (TGI) server.

    Examples:
        >>> chat = ChatDataCrunch(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> chat.invoke("What is the capital of Finland?").text

    Args:
        **arguments: Settings, parameters and options.

    Raises:
        pydantic.ValidationError: An argument is unknown or invalid. The error names it and the rule.

    Messages are formatted with a chat template: `chat_template`, else the one for the model's name, else for
    the name that the server reports. If the last message is the assistant's, it is continued. Creating a
    model opens no connection. Calls accept parameters too, and settings that are not secret; they take
    precedence over the model's, except that stop strings and `extra_parameters` are added.

    A message has `usage_metadata` if the server reports prompt tokens or there is a `tokenizer`;
    `response_metadata` has `finish_reason`, `model_name`, `token_usage`, `seed`, `request_id` where the
    server sends `x-request-id`, and, with `logprobs=True`, log probabilities. In a stream the last chunk
    has them.

    Control tokens in a message's text, such as `[INST]` or `<|im_start|>`, are neutralised before they are
    sent, with a warning, so that no text can start another role's turn: see `ChatTemplate.prompt`.

    Errors, threads and event loops, copies, pickles and dumps are as with `DataCrunchLLM`.
    """

    @with_arguments(ChatDataCrunchArguments, _DEFAULTS)
    def __init__(self, **arguments: Unpack[ChatDataCrunchArguments]) -> None:
        super().__init__(**cast("dict[str, Any]", arguments))

    @property
    def _llm_type(self) -> str:
        return "datacrunch-chat"

    @with_arguments(ChatOptions, {}, closed=False)
    def bind_tools(  # type: ignore[override]  # its arguments are typed, unlike LangChain's
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: dict[str, Any] | type | None = None,
        **kwargs: Unpack[ChatOptions],
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        The tool-call format of the model's family is used if it has one; otherwise the prompt asks for JSON.

        Args:
            tools: Functions, Pydantic classes, LangChain tools, or dicts in OpenAI's form.
            tool_choice: `auto` (default), `none`; `any` or `required` for at least one call; or the name
                of the tool to call. A required call is enforced by a grammar, and checked.
            strict: As in LangChain's `convert_to_openai_tool`.
            parallel_tool_calls: Whether an answer may have several calls (default).
            response_format: JSON schema of the final answer: a class, a schema or OpenAI's dict. The
                model then calls tools or answers with JSON that matches.
            **kwargs: Other arguments of the calls, such as `temperature`.

        Returns:
            The model with the tools bound. Its messages have `tool_calls`, and `invalid_tool_calls` for
            calls that cannot be read, for example because `max_tokens` cut them off. Calls whose
            arguments violate the tool's schema are in `tool_calls` too;
            `response_metadata["tool_call_errors"]` says by id what is wrong.

        Raises:
            ArgumentError: A tool is invalid; the other arguments are checked in the call.
        """
        bound = bound_arguments(tools, tool_choice, strict, response_format)
        if parallel_tool_calls is not None:
            bound["parallel_tool_calls"] = parallel_tool_calls
        bound_model: Runnable[LanguageModelInput, AIMessage] = self.bind(**bound, **kwargs)
        return bound_model

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Never,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return answers that match a JSON schema.

        Set parameters on the model, or bind them to the result: earlier bindings are lost.

        Args:
            schema: A Pydantic class, a TypedDict class, a JSON schema or an OpenAI function.
            method: `json_schema` asks by prompt and sends a grammar, which servers with grammars
                (TGI 1.4.1) enforce and DataCrunch's fork (1.1.1) ignores. `function_calling` does the
                same. `json_mode` asks by prompt only, for schemas without a grammar.
            include_raw: Whether the result is a dict of `raw`, the message, `parsed` and
                `parsing_error`; then no error is raised.
            strict: Ignored; answers are always validated.
            **kwargs: Not supported.

        Returns:
            A runnable whose result is an instance of the Pydantic class, or else a dict. A stream yields
            partial dicts as they grow and the validated one last; an instance is yielded once.

        Raises:
            datacrunch_tgi.StructuredOutputError: In a call: the answer does not match; `text` is the
                answer. It is a LangChain `OutputParserException` too.
            ArgumentError: The schema is invalid, or has no grammar, for example because it is recursive.
        """
        del strict
        if kwargs:
            raise ArgumentError(next(iter(kwargs)), "is not supported by with_structured_output")
        return structured(self, schema, method, include_raw=include_raw)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Fields that are serialized in another form."""
        given = self.chat_template
        return {"chat_template": asdict(given)} if isinstance(given, ChatTemplate) else {}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        kept = self._check_kwargs(kwargs)  # before tracers record them
        return super()._get_invocation_params(stop, **kept)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return LangChain's cache key: everything that can change an answer, and nothing else."""
        asked, call = self._split(kwargs)
        model = self._with_overrides(call, stop)
        return json.dumps({**model.asdict(), **asked}, sort_keys=True, default=repr)

    def _resolve_model_profile(self) -> Any:
        # LangChain calls this before the validator has resolved the model's name.
        self._resolve_settings()  # type: ignore[operator]  # pyright: ignore[reportCallIssue]
        return {
            "text_inputs": True,
            "text_outputs": True,
            "image_inputs": self._reads_images,
            "image_url_inputs": self._reads_images,
            "tool_calling": True,
            "tool_choice": True,
            "tool_call_streaming": True,
            "structured_output": True,
        }

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return sum_usage(llm_outputs) or {}

    @property
    def _shows_logprobs(self) -> bool:
        return self.logprobs or bool(self.top_n_tokens)

    def _to_chunk(self, tool_answer: ToolAnswer | None) -> Callable[..., ChatGenerationChunk]:
        return partial(to_chat_chunk, logprobs=self._shows_logprobs, tool_answer=tool_answer)

    def _to_result(self, answer: Answer, tool_answer: ToolAnswer | None) -> ChatResult:
        with map_errors():
            return to_chat_result(
                answer, self.model, logprobs=self._shows_logprobs, tool_answer=tool_answer
            )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, asked = self._with_call(stop, kwargs)
        model, prompt, tool_answer = model._prepared(model._find_template(), messages, asked)
        return model._to_result(model._answer(prompt, run_manager), tool_answer)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, asked = self._with_call(stop, kwargs)
        template = await model._afind_template()
        model, prompt, tool_answer = model._prepared(template, messages, asked)
        return model._to_result(await model._aanswer(prompt, run_manager), tool_answer)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        model, asked = self._with_call(stop, kwargs)
        model, prompt, tool_answer = model._prepared(model._find_template(), messages, asked)
        return model._chunks(prompt, run_manager, model._to_chunk(tool_answer))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model, asked = self._with_call(stop, kwargs)
        template = await model._afind_template()
        model, prompt, tool_answer = model._prepared(template, messages, asked)
        to_chunk = model._to_chunk(tool_answer)
        async with aclosing(model._achunks(prompt, run_manager, to_chunk)) as chunks:
            async for chunk in chunks:
                yield chunk
