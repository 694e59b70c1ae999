"""The LLM.

    prompt ─▶ _generate ─┬─▶ client.generate ─▶ Answer ────────────▶ LLMResult
                         └─▶ _stream ──────────▶ chunks ────────────▶ LLMResult (`streaming`)
    prompt ─▶ _stream ─▶ client.stream ─▶ StreamEvents ─▶ callbacks ─▶ chunks

Each method stands here twice, for threads and for event loops, because LangChain has it twice; what
they share is in `_outputs` and in the two clients.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LangSmithParams
from langchain_core.outputs import GenerationChunk, LLMResult
from pydantic import Field

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._adapter import PARAMETERS
from langchain_datacrunch._errors import as_langchains_errors
from langchain_datacrunch._outputs import joined, to_chunk, to_generation, to_result, whole
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

    if TYPE_CHECKING:  # most arguments are fields that `Endpoint` adds at run time

        def __init__(self, **arguments: Any) -> None: ...

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumpd` can write it: yes, without the key."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The variable that stands for the key in a dump."""
        return {"api_key": "DATACRUNCH_API_KEY"}

    @property
    def _llm_type(self) -> str:
        return "datacrunch"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What makes an answer this model's: the key of LangChain's cache, and what tracers are told."""
        names = {"model", "base_url", "extra_parameters", *PARAMETERS}
        told = self.model_dump(mode="json", include=names, exclude_none=True, fallback=repr)
        return {name: value for name, value in told.items() if value not in ({}, [])}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "datacrunch"  # of subclasses with another name too
        if self.max_new_tokens is not None:
            params["ls_max_tokens"] = self.max_new_tokens
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text, by `custom_get_token_ids`, else by `tokenizer`.

        Raises:
            ArgumentError: The model has neither: nothing else knows its tokens.
        """
        count = self.custom_get_token_ids or self.tokenizer
        if count is None:
            raise ArgumentError(
                "tokenizer",
                "is needed to count tokens: pass tokenizer=, a function from text to tokens",
            )
        return list(count(text))

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return joined([self._result(prompt, stop, run_manager, kwargs) for prompt in prompts])

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        return joined(
            [await self._aresult(prompt, stop, run_manager, kwargs) for prompt in prompts]
        )

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return self._result(prompt, stop, run_manager, kwargs).generations[0][0].text

    async def _acall(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return (await self._aresult(prompt, stop, run_manager, kwargs)).generations[0][0].text

    def _result(
        self,
        prompt: str,
        stop: list[str] | None,
        run_manager: CallbackManagerForLLMRun | None,
        call: dict[str, Any],
    ) -> LLMResult:
        if self.streaming:
            return to_result(whole(list(self._stream(prompt, stop, run_manager, **call))))
        model = self.for_call(call, stop)
        with as_langchains_errors():
            answer = model.client.generate(
                prompt, model.parameters, extra_parameters=model.extra_parameters
            )
        return to_result(to_generation(answer, self.model))

    async def _aresult(
        self,
        prompt: str,
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        call: dict[str, Any],
    ) -> LLMResult:
        if self.streaming:
            chunks = [chunk async for chunk in self._astream(prompt, stop, run_manager, **call)]
            return to_result(whole(chunks))
        model = self.for_call(call, stop)
        with as_langchains_errors():
            answer = await model.async_client.generate(
                prompt, model.parameters, extra_parameters=model.extra_parameters
            )
        return to_result(to_generation(answer, self.model))

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        model = self.for_call(kwargs, stop)
        with (
            as_langchains_errors(),
            model.client.stream(
                prompt, model.parameters, extra_parameters=model.extra_parameters
            ) as events,
        ):
            for event in events:
                chunk = to_chunk(event, events.answer if events.ended else None, self.model)
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        model = self.for_call(kwargs, stop)
        with as_langchains_errors():
            async with model.async_client.stream(
                prompt, model.parameters, extra_parameters=model.extra_parameters
            ) as events:
                async for event in events:
                    chunk = to_chunk(event, events.answer if events.ended else None, self.model)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
