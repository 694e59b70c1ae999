"""The LLM.

    prompt ─▶ _generate ─┬─▶ an answer ─▶ LLMResult
                         └─▶ chunks ────▶ LLMResult (`streaming`)
    prompt ─▶ _stream ─────▶ chunks

Each prompt of a batch is its own run: see `_runs`. Client calls and callbacks are in `_endpoint`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Unpack, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import GenerationChunk, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue

from datacrunch_tgi._integration import (
    ParameterFields,
    SettingsFields,
    warn_once,
    with_arguments,
    with_documented_fields,
)
from langchain_datacrunch._arguments import CompletionCall, DataCrunchLLMArguments
from langchain_datacrunch._calls import CompletionCalls
from langchain_datacrunch._endpoint import without_habits
from langchain_datacrunch._outputs import (
    Chunks,
    merge_chunks,
    merge_results,
    to_generation,
    to_result,
)
from langchain_datacrunch._runs import RunPerPrompt

_DEFAULTS = {
    name: None if field.is_required() or field.default_factory else field.default
    for name, field in RunPerPrompt.model_fields.items()
}


@without_habits(CompletionCall)
@with_documented_fields(DataCrunchLLMArguments, SettingsFields, ParameterFields, RunPerPrompt)
class DataCrunchLLM(CompletionCalls):
    r"""LangChain LLM for DataCrunch (Verda) endpoints and any Text Generation Inference (TGI) server.

    Examples:
        >>> llm = DataCrunchLLM(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> llm.invoke("My name is Olivier and I", stop=["\n"])

    Args:
        **arguments: Settings, parameters and options.

    Raises:
        pydantic.ValidationError: An argument is unknown or invalid. The error names it and the rule.

    Creating a model opens no connection. Calls accept parameters too, and settings that are not secret;
    they take precedence over the model's, except that stop strings and `extra_parameters` are added.
    Everything that changes an answer is part of LangChain's cache key.

    `generation_info` of a result, or of the sum of a stream's chunks, has `finish_reason`, `seed`,
    `token_usage`, `model_name` and `tokens` with their log probabilities; `llm_output` has the
    `token_usage` of all prompts. Values that the server does not report are left out.

    Several prompts are generated at the same time, up to `max_connections`; in `batch`, up to the config's
    `max_concurrency`. Leaving a stream stops the generation.

    Errors are `datacrunch_tgi.DataCrunchError`s and, where one fits, LangChain's
    (`langchain_core.exceptions.ModelError`) too.

    Threads and event loops can share a model. Copies and pickles contain the key; `dumpd` and `save` omit
    key, headers, proxy and tokenizer. To load the output of `dumpd`, call
    `load(…, allowed_objects=[DataCrunchLLM], valid_namespaces=["langchain_datacrunch"])`.
    """

    @with_arguments(DataCrunchLLMArguments, _DEFAULTS)
    def __init__(self, **arguments: Unpack[DataCrunchLLMArguments]) -> None:
        super().__init__(**cast("dict[str, Any]", arguments))

    @property
    def _llm_type(self) -> str:
        return "datacrunch"

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        value = super()._convert_input(model_input)
        if isinstance(value, ChatPromptValue):
            warn_once(
                f"DataCrunchLLM sends messages to {self.model!r} as plain text (`Human: …`), without a "
                "chat template: use ChatDataCrunch for chat models"
            )
        return value

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        model = self._with_overrides(kwargs, stop)
        return merge_results([model._result(prompt, run_manager) for prompt in prompts])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        model = self._with_overrides(kwargs, stop)
        return merge_results([await model._aresult(prompt, run_manager) for prompt in prompts])

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return self._generate([prompt], stop, run_manager, **kwargs).generations[0][0].text

    async def _acall(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        result = await self._agenerate([prompt], stop, run_manager, **kwargs)
        return result.generations[0][0].text

    def _result(self, prompt: str, run_manager: CallbackManagerForLLMRun | None) -> LLMResult:
        if self.streaming:
            return to_result(merge_chunks(list(self._stream(prompt, None, run_manager))))
        return to_result(to_generation(self._answer(prompt, run_manager), self.model))

    async def _aresult(
        self, prompt: str, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> LLMResult:
        if self.streaming:
            chunks = self._astream(prompt, None, run_manager)
            return to_result(merge_chunks([chunk async for chunk in chunks]))
        return to_result(to_generation(await self._aanswer(prompt, run_manager), self.model))

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        model, chunks = self._with_overrides(kwargs, stop), Chunks()
        return model._chunks(prompt, run_manager, chunks.to_chunk, chunks.for_callbacks)

    def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        model, chunks = self._with_overrides(kwargs, stop), Chunks()
        return model._achunks(prompt, run_manager, chunks.to_chunk, chunks.for_callbacks)
