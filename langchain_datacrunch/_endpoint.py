"""Base of `DataCrunchLLM` and `ChatDataCrunch`.

    prompt ─▶ _answer ─▶ client.generate ─▶ Answer
    prompt ─▶ _chunks ─▶ client.stream ───▶ StreamEvents ─▶ chunks ─▶ callbacks

Each exists for threads and for event loops, because LangChain calls both.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Self, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import BaseLanguageModel, LangSmithParams
from langchain_core.load import dumpd
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from langchain_core.runnables import RunnableSerializable
from langchain_core.runnables.utils import AnyConfigurableField
from pydantic import model_validator

from datacrunch_tgi import (
    Answer,
    ArgumentError,
    AsyncStream,
    NotFoundError,
    Stream,
    StreamEvent,
    __version__,
)
from datacrunch_tgi._integration import (
    SETTINGS,
    Endpoint,
    accept_habits,
    as_list,
    refuse_secrets,
    resolve_aliases,
    warn_without_usage,
    with_arguments,
    with_checked_arguments,
)
from langchain_datacrunch._errors import map_errors
from langchain_datacrunch._retries import AsyncRetries, Retries

_WITHOUT_EFFECT = {*SETTINGS, "streaming"} - {"base_url", "model"}
"""Fields that do not change an answer: time limits, retries, connections, the tokenizer."""
_CALLS = (
    "invoke",
    "ainvoke",
    "generate",
    "agenerate",
    "stream",
    "astream",
    "stream_events",
    "astream_events",
    "batch",
    "abatch",
    "batch_as_completed",
    "abatch_as_completed",
)
_OF_THE_RUN = frozenset({"callbacks", "metadata", "run_id", "run_name", "tags"})
"""Arguments of a call that are LangChain's own."""

Model = TypeVar("Model", bound=type)
Chunk = TypeVar("Chunk", GenerationChunk, ChatGenerationChunk)
ToChunk = Callable[[StreamEvent, Answer | None, str], Chunk]


def without_habits(listing: type) -> Callable[[Model], Model]:
    """Drop arguments that change nothing from the calls of a class, before tracers record them.

    Args:
        listing: TypedDict with the arguments of a call, for help() and completion.
    """
    show = with_arguments(listing, {}, closed=False)

    def check(self: Any, call: dict[str, Any]) -> dict[str, Any]:
        return accept_habits(call, self._call_arguments | _OF_THE_RUN)

    def decorate(model: Model) -> Model:
        for name in _CALLS:
            setattr(model, name, show(with_checked_arguments(getattr(model, name), check)))
        return model

    return decorate


class LangChainEndpoint(Endpoint, BaseLanguageModel[Any]):
    """Base of the LangChain models."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `dumpd` can serialize the model. It can, without the key."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that replaces the key in a dump."""
        return {"api_key": "DATACRUNCH_API_KEY"}

    @property
    def _serialized(self) -> dict[str, Any]:
        # Computed each time: LangChain caches it, and copies with other fields would share it.
        written: dict[str, Any] = dumpd(self)
        return written

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """Fields that are set and can change an answer, for LangChain's cache key and for tracers."""
        fields = type(self).model_fields
        ours = {name for name in self._call_arguments if name in fields} - _WITHOUT_EFFECT
        unset = {name for name in ours if getattr(self, name) in (fields[name].default, {}, [])}
        return self.model_dump(mode="json", include=ours - unset, exclude_none=True, fallback=repr)

    @model_validator(mode="after")
    def _set_datacrunch_version(self) -> Self:
        self._add_version("datacrunch-tgi", __version__)
        return self

    def bind(self, **kwargs: Any) -> Any:
        """Bind arguments for every call, except for secrets, which tracers would record."""
        refuse_secrets(kwargs)
        return super().bind(**kwargs)

    def configurable_fields(self, **fields: AnyConfigurableField) -> RunnableSerializable[Any, Any]:
        """Make fields configurable in a call's config, by LangChain's names too."""
        return super().configurable_fields(**resolve_aliases(fields))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        if "max_new_tokens" in kwargs:
            kwargs["max_tokens"] = kwargs["max_new_tokens"]
        ends: list[Any] = [*(self.stop or ()), *as_list(stop)]
        ends = list(dict.fromkeys(each for each in ends if isinstance(each, str)))
        params = super()._get_ls_params(stop=ends, **kwargs)
        params["ls_provider"] = "datacrunch"  # LangChain derives it from the name of the class
        return params

    def get_token_ids(self, text: str) -> list[int]:
        """Return the tokens of a text, by `custom_get_token_ids`, `tokenizer` or the server.

        Raises:
            ArgumentError: Neither is set, and the server has no `/tokenize` (TGI before 1.4).
            datacrunch_tgi.DataCrunchError: The request to the server failed.
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
            "is required to count tokens, because the server has no /tokenize. Pass "
            "a function from text to tokens, a tokenizers.Tokenizer or the path of a tokenizer.json",
        )

    def _answer(self, prompt: str, run_manager: CallbackManagerForLLMRun | None) -> Answer:
        retries = Retries(run_manager)
        with map_errors():
            answer = self._complete_prompt(prompt, retries.notify)
        warn_without_usage(answer, self.base_url)
        return answer

    async def _aanswer(
        self, prompt: str, run_manager: AsyncCallbackManagerForLLMRun | None
    ) -> Answer:
        with map_errors():
            async with AsyncRetries(run_manager) as retries:
                answer = await self._acomplete_prompt(prompt, retries.record)
        warn_without_usage(answer, self.base_url)
        return answer

    def _chunks(
        self,
        prompt: str,
        run_manager: CallbackManagerForLLMRun | None,
        to_chunk: ToChunk[Chunk],
        for_callbacks: ToChunk[Chunk] | None = None,
    ) -> Iterator[Chunk]:
        retries = Retries(run_manager)
        with map_errors(), self._events(prompt, retries.notify) as events:
            for event in events:
                answer = self._answer_of(events) if events.finished else None
                chunk = to_chunk(event, answer, self.model)
                if run_manager and run_manager.handlers:
                    shown = for_callbacks(event, answer, self.model) if for_callbacks else chunk
                    run_manager.on_llm_new_token(shown.text, chunk=shown)
                yield chunk

    async def _achunks(
        self,
        prompt: str,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        to_chunk: ToChunk[Chunk],
        for_callbacks: ToChunk[Chunk] | None = None,
    ) -> AsyncGenerator[Chunk]:
        with map_errors():
            async with (
                AsyncRetries(run_manager) as retries,
                self._aevents(prompt, retries.record) as events,
            ):
                async for event in events:
                    await retries.notify()
                    answer = self._answer_of(events) if events.finished else None
                    chunk = to_chunk(event, answer, self.model)
                    if run_manager and run_manager.handlers:
                        shown = for_callbacks(event, answer, self.model) if for_callbacks else chunk
                        await run_manager.on_llm_new_token(shown.text, chunk=shown)
                    yield chunk

    def _answer_of(self, events: Stream | AsyncStream) -> Answer:
        """Return the complete answer after the last event."""
        warn_without_usage(events.answer, self.base_url)
        return events.answer
