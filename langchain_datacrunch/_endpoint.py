"""What `DataCrunchLLM` and `ChatDataCrunch` have in common beside their fields.

    prompt ─▶ _answer ─▶ client.generate ─▶ Answer
    prompt ─▶ _chunks ─▶ client.stream ───▶ StreamEvents ─▶ callbacks ─▶ chunks

Each stands here twice, for threads and for event loops, because LangChain has it twice.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import BaseLanguageModel, LangSmithParams
from langchain_core.load import dumpd
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.runnables import RunnableSerializable
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import model_validator

from datacrunch_tgi import Answer, ArgumentError, NotFoundError, StreamEvent, __version__
from datacrunch_tgi._aliases import resolve_aliases
from datacrunch_tgi._integration._endpoint import Endpoint, refuse_secrets
from langchain_datacrunch._errors import map_errors
from langchain_datacrunch._retries import AsyncRetries, Retries

Chunk = TypeVar("Chunk", GenerationChunk, ChatGenerationChunk)
ToChunk = Callable[[StreamEvent, Answer | None, str], Chunk]


class LangChainEndpoint(Endpoint, BaseLanguageModel[Any]):
    """A model of LangChain's behind an endpoint."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumpd` can write it: yes, without the key."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The variable that stands for the key in a dump."""
        return {"api_key": "DATACRUNCH_API_KEY"}

    @property
    def _serialized(self) -> dict[str, Any]:
        # Made anew each time: LangChain's is kept in copies too, whose fields differ.
        written: dict[str, Any] = dumpd(self)
        return written

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What is set, secrets apart: the key of LangChain's cache, and what tracers are told."""
        fields = type(self).model_fields
        ours = {name for name in self.call_arguments if name in fields and name != "tokenizer"}
        unset = {name for name in ours if getattr(self, name) in (fields[name].default, {}, [])}
        return self.model_dump(mode="json", include=ours - unset, exclude_none=True, fallback=repr)

    @model_validator(mode="after")
    def _set_datacrunch_version(self) -> Self:
        self._add_version("datacrunch-tgi", __version__)
        return self

    def bind(self, **kwargs: Any) -> Any:
        """Bind parameters of every call; a secret is none, since what is bound is shown."""
        refuse_secrets(kwargs)
        return super().bind(**kwargs)

    def configurable_fields(self, **fields: AnyConfigurableField) -> RunnableSerializable[Any, Any]:
        """Let the fields be set in a call's config, under LangChain's names for them too."""
        return super().configurable_fields(**resolve_aliases(fields))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        if "max_new_tokens" in kwargs:
            kwargs["max_tokens"] = kwargs["max_new_tokens"]
        ends = list(dict.fromkeys([*(self.stop or ()), *(stop or ())]))
        params = super()._get_ls_params(stop=ends, **kwargs)
        params["ls_provider"] = "datacrunch"  # of subclasses with another name too
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text: by `custom_get_token_ids`, else by `tokenizer`, else by the server.

        Raises:
            ArgumentError: There is neither, and the server has no `/tokenize` (TGI before 1.4).
            datacrunch_tgi.DataCrunchError: The server did not answer; its class tells why.
        """
        if count := self.custom_get_token_ids or self.tokenizer:
            return list(count(text))
        if not text:
            return []
        with map_errors():
            try:
                return [token.id for token in self.client.tokenize(text)]
            except NotFoundError:
                pass
        raise ArgumentError(
            "tokenizer",
            "is needed to count tokens, since the server has no /tokenize: pass tokenizer=, "
            "a function from text to tokens, a tokenizers.Tokenizer or the path of a tokenizer.json",
        )

    def _answer(self, prompt: str, run_manager: CallbackManagerForLLMRun | None) -> Answer:
        retries = Retries(run_manager)
        with map_errors():
            return self._complete_prompt(prompt, retries.tell)

    async def _aanswer(
        self, prompt: str, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> Answer:
        with map_errors():
            async with AsyncRetries(run_manager) as retries:
                return await self._acomplete_prompt(prompt, retries.keep)

    def _chunks(
        self,
        prompt: str,
        run_manager: CallbackManagerForLLMRun | None,
        to_chunk: ToChunk[Chunk],
        for_callbacks: ToChunk[Chunk],
    ) -> Iterator[Chunk]:
        retries = Retries(run_manager)
        with map_errors(), self._events(prompt, retries.tell) as events:
            for event in events:
                answer = events.answer if events.finished else None
                if run_manager and run_manager.handlers:
                    told = for_callbacks(event, answer, self.model)
                    run_manager.on_llm_new_token(told.text, chunk=told)
                yield to_chunk(event, answer, self.model)

    async def _achunks(
        self,
        prompt: str,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        to_chunk: ToChunk[Chunk],
        for_callbacks: ToChunk[Chunk],
    ) -> AsyncIterator[Chunk]:
        with map_errors():
            async with (
                AsyncRetries(run_manager) as retries,
                self._aevents(prompt, retries.keep) as events,
            ):
                async for event in events:
                    await retries.tell()
                    answer = events.answer if events.finished else None
                    if run_manager and run_manager.handlers:
                        told = for_callbacks(event, answer, self.model)
                        await run_manager.on_llm_new_token(told.text, chunk=told)
                    yield to_chunk(event, answer, self.model)
