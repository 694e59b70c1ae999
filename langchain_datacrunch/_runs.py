"""LangChain's `LLM` with a run for each prompt, and a cache key for each call.

    batch, abatch ─────▶ invoke ──┐
                                  ├─▶ generate ─▶ cache ─▶ for each prompt, at the same time:
    generate([p1, p2]) ───────────┘                        run ─▶ _generate([prompt]) ─▶ LLMResult

LangChain's own `LLM` passes all prompts to one `_generate` with the run of the first, fails them together,
and makes the cache key from the model alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, as_completed
from itertools import zip_longest
from typing import Any, ClassVar, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.llms import LLM
from langchain_core.outputs import LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor

from langchain_datacrunch._endpoint import LangChainEndpoint
from langchain_datacrunch._outputs import merge_results

_OF_THE_RUN = ("tags", "metadata", "run_name", "run_id")
"""Arguments of `generate` other than a call's parameters."""


class RunPerPrompt(LangChainEndpoint, LLM):  # pyright: ignore[reportIncompatibleVariableOverride]  # LangChain's `_serialized` is a cached property
    """An `LLM` whose calls take parameters, and whose prompts are generated at the same time."""

    streaming: bool = False
    """Whether invoke, generate and batch use streaming too, so that callbacks get each token."""
    _call_arguments: ClassVar = LangChainEndpoint._call_arguments | {"streaming"}

    # LLM.batch makes one run of all prompts, which fails if one of them does.
    batch: ClassVar = Runnable[LanguageModelInput, str].batch
    abatch: ClassVar = Runnable[LanguageModelInput, str].abatch

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Generate the answers to several prompts, at the same time.

        Args:
            prompts: The prompts.
            stop: Stop strings, in addition to the model's.
            callbacks: For all prompts, or a list with those for each.
            **kwargs: `tags`, `metadata`, `run_name`, `run_id`: for all prompts, or a list of them; and
                parameters of this call, see `datacrunch_tgi.Parameters`.

        Returns:
            The answers, in the order of the prompts.

        Raises:
            datacrunch_tgi.DataCrunchError: The first error, at once; prompts that are waiting are not
                sent.
        """
        model, run = self._with_call(stop, kwargs)
        return super(RunPerPrompt, model).generate(prompts, model.stop, callbacks, **run)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Generate the answers to several prompts, at the same time: see `generate`.

        The other generations are stopped at the first error, or when this call is cancelled.
        """
        model, run = self._with_call(stop, kwargs)
        return await super(RunPerPrompt, model).agenerate(prompts, model.stop, callbacks, **run)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Generate the answer to a prompt token by token.

        Args:
            input: The prompt.
            config: Callbacks, tags and so on.
            stop: Stop strings, in addition to the model's.
            **kwargs: Parameters of this call, see `datacrunch_tgi.Parameters`.
        """
        model, run = self._with_call(stop, kwargs)
        return super(RunPerPrompt, model).stream(input, config, stop=model.stop, **run)

    def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 -- LangChain's signature
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """Generate the answer to a prompt token by token: see `stream`."""
        model, run = self._with_call(stop, kwargs)
        return super(RunPerPrompt, model).astream(input, config, stop=model.stop, **run)

    def _with_call(
        self, stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[Self, dict[str, Any]]:
        """Return the model with the call's parameters, and the remaining arguments.

        LangChain makes the cache key from the model alone, and reports both to tracers.
        """
        run = {name: kwargs.pop(name) for name in _OF_THE_RUN if name in kwargs}
        return self._with_overrides(kwargs, stop), run

    def _generate_helper(
        self,
        prompts: list[str],
        stop: list[str] | None,
        run_managers: list[CallbackManagerForLLMRun],
        **kwargs: Any,
    ) -> LLMResult:
        """Run each prompt by itself; LangChain's own method uses the first prompt's run for all."""
        one = super()._generate_helper
        if len(prompts) == 1:
            return one(prompts, stop, run_managers, **kwargs)
        results: list[Future[LLMResult]] = []
        pool = ContextThreadPoolExecutor(self.max_connections)
        try:
            for prompt, manager in zip(prompts, run_managers, strict=True):
                results.append(pool.submit(one, [prompt], stop, [manager], **kwargs))
            for result in as_completed(results):
                result.result()
        except BaseException as error:  # an interrupt too
            unsent = [
                manager
                for manager, result in zip_longest(run_managers, results)
                if result is None or result.cancel()
            ]
            for manager in unsent:
                manager.on_llm_error(error, response=LLMResult(generations=[]))
            raise
        finally:
            pool.shutdown(wait=False)  # requests that were sent end by themselves
        return merge_results([result.result() for result in results])

    async def _agenerate_helper(
        self,
        prompts: list[str],
        stop: list[str] | None,
        run_managers: list[AsyncCallbackManagerForLLMRun],
        **kwargs: Any,
    ) -> LLMResult:
        one = super()._agenerate_helper
        results = [
            asyncio.create_task(one([prompt], stop, [manager], **kwargs))
            for prompt, manager in zip(prompts, run_managers, strict=True)
        ]
        try:
            return merge_results(await asyncio.gather(*results))
        finally:
            for result in results:
                result.cancel()
            await asyncio.gather(*results, return_exceptions=True)
