"""The LLM.

    prompt ─▶ _generate ─┬─▶ an answer ─▶ LLMResult
                         └─▶ chunks ────▶ LLMResult (`streaming`)
    prompt ─▶ _stream ─────▶ chunks

Each prompt of a batch is a run of its own: see `_runs`. How the client is asked, and callbacks are told
of tokens, is in `_endpoint`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.outputs import GenerationChunk, LLMResult
from pydantic import Field

from langchain_datacrunch._outputs import (
    for_callbacks,
    merge_chunks,
    merge_results,
    to_chunk,
    to_generation,
    to_result,
)
from langchain_datacrunch._runs import RunPerPrompt


class DataCrunchLLM(RunPerPrompt):
    r"""A language model behind a DataCrunch (Verda) endpoint or any Text Generation Inference server.

    Where to send (`base_url`, `api_key`, `model`, timeouts in seconds, …) and what to generate
    (`max_tokens`, `temperature`, `stop`, …) are keyword arguments: see `datacrunch_tgi.Settings` and
    `datacrunch_tgi.Parameters`. Constructing a model opens no connection.

    Parameters can also be given to each call, or be bound; they stand over the model's, stop strings
    and `extra_parameters` are added to them. They are part of the key under which LangChain caches an answer, and of what a
    tracer is told.

    `generation_info` of a result, or of the sum of a stream's chunks, has `finish_reason`, `seed`,
    `token_usage`, `model_name` and `tokens` with their log probabilities; `llm_output` has the
    `token_usage` of all prompts. What the server does not tell is left out.

    Several prompts are generated at the same time, at most `max_connections`; in `batch`, at most
    `max_concurrency` of the config. Leaving a stream ends the generation.

    Errors are the transport's (`datacrunch_tgi.DataCrunchError`) and, where one fits, LangChain's
    (`langchain_core.exceptions.ModelError`) too.

    One model serves many threads and event loops. A copy or pickle works elsewhere and holds the key;
    `dumpd` and `save` hold neither key, headers, proxy nor tokenizer. What `dumpd` wrote is read by
    `load(…, allowed_objects=[DataCrunchLLM], valid_namespaces=["langchain_datacrunch"])`.

    Example:
        >>> llm = DataCrunchLLM(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> llm.invoke("My name is Olivier and I", stop=["\n"])  # doctest: +SKIP

    Raises:
        pydantic.ValidationError: An argument is unknown or breaks a rule; it names argument and rule.
    """

    streaming: bool = Field(
        default=False,
        description="Whether invoke, generate and batch stream too, so that callbacks get each token.",
    )
    call_arguments: ClassVar = RunPerPrompt.call_arguments | {"streaming"}

    if TYPE_CHECKING:  # most arguments are fields that `Endpoint` adds at run time

        def __init__(self, **arguments: Any) -> None: ...

    @property
    def _llm_type(self) -> str:
        return "datacrunch"

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        model = self.with_overrides(kwargs, stop)
        return merge_results([model._result(prompt, run_manager) for prompt in prompts])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        model = self.with_overrides(kwargs, stop)
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
        return self.with_overrides(kwargs, stop)._chunks(
            prompt, run_manager, to_chunk, for_callbacks
        )

    def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        return self.with_overrides(kwargs, stop)._achunks(
            prompt, run_manager, to_chunk, for_callbacks
        )
