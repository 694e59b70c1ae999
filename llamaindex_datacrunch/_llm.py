"""The LLM: LlamaIndex's eight methods, on prompts, answers and events.

    prompt ───▶ _for_completion ─┐                      ┌─▶ CompletionResponse
                                 ├─▶ answer, or events ─┤
    messages ─▶ _for_chat ───────┘                      └─▶ ChatResponse

Each method reports one start and one end event. So the eight are decorated and do not call each other,
which would count every token twice.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from typing import Any, TypeVar, Unpack, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms import CustomLLM
from pydantic import model_validator

from datacrunch_tgi import Answer
from datacrunch_tgi._integration import (
    OnRetry,
    ParameterFields,
    SettingsFields,
    warn_without_usage,
    with_arguments,
    with_documented_fields,
)
from datacrunch_tgi._tools import ToolRequest
from llamaindex_datacrunch._arguments import ChatCall, CompletionCall, DataCrunchArguments
from llamaindex_datacrunch._events import chat_events, completion_events
from llamaindex_datacrunch._metadata import Metadata
from llamaindex_datacrunch._responses import Chat, Completion, Responses
from llamaindex_datacrunch._structured import Structured
from llamaindex_datacrunch._tool_responses import ToolResponses

Response = TypeVar("Response", CompletionResponse, ChatResponse)
_DEFAULTS = {
    name: None if field.is_required() or field.default_factory else field.default
    for name, field in Metadata.model_fields.items()
} | {"pydantic_program_mode": "default"}


@with_documented_fields(DataCrunchArguments, SettingsFields, ParameterFields, Metadata, Structured)
class DataCrunch(Metadata, Structured, CustomLLM):
    """LlamaIndex LLM for DataCrunch (Verda) endpoints and any Text Generation Inference (TGI) server.

    Examples:
        >>> llm = DataCrunch(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> llm.complete("My name is Olivier and I").text

    Args:
        **arguments: Settings, parameters and options.

    Raises:
        pydantic.ValidationError: An argument is unknown or invalid. The error names it and the rule.

    Creating a model opens no connection. Calls accept parameters too, and settings that are not secret;
    they take precedence over the model's, except that stop strings and `extra_parameters` are added.

    LlamaIndex packs documents into prompts by a context window and a tokenizer that may not be the model's.
    To make every prompt fit, before you create an index or engine:

        llm = DataCrunch(model="llama-2-13b-chat", tokenizer="tokenizer.json").fetch_server_limits()
        llm.set_global_tokenizer()
        Settings.llm = llm

    `raw["usage"]` and `raw["finish_reason"]` are in every response that was not streamed, and in the last
    one of a stream, which has the complete answer and an empty `delta`; the `raw` of earlier ones is the
    server's event. Leaving a stream stops the generation. Query engines replace the model's callback
    manager by `Settings.callback_manager`, so set that one.

    Threads and event loops can share a model. Copies and pickles contain the key; `to_dict` and `to_json`
    omit key, headers, proxy and functions: pass them again, or set the environment variables.
    """

    @with_arguments(DataCrunchArguments, _DEFAULTS)
    def __init__(self, **arguments: Unpack[DataCrunchArguments]) -> None:
        super().__init__(**cast("dict[str, Any]", arguments))

    @model_validator(mode="before")
    @classmethod
    def _without_class_name(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        named = dict(cast("Mapping[str, Any]", given))
        if named.get("class_name") == cls.class_name():  # in every dump, but not a field
            del named["class_name"]
        return named

    @classmethod
    def class_name(cls) -> str:
        """Return the class name for dumps and events."""
        return "DataCrunch"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the fields that are neither secrets nor functions, as JSON types."""
        return super().to_dict(**({"mode": "json"} | kwargs))

    def to_payload(self) -> dict[str, Any]:
        """Return the model's description in events; instrumentors look for `model` and `temperature`."""
        sampled = {"model": self.model, "temperature": self.temperature}
        return {"class_name": self.class_name(), **self.metadata.model_dump(), **sampled}

    @completion_events
    def complete(  # type: ignore[override]  # its arguments are typed, unlike LlamaIndex's
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Unpack[CompletionCall],
    ) -> CompletionResponse:
        """Generate the answer to a prompt.

        Args:
            prompt: The prompt.
            formatted: Whether the prompt is the result of `completion_to_prompt`.
            **kwargs: Parameters and settings of this call.

        Raises:
            datacrunch_tgi.DataCrunchError: The call failed.
        """
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return Completion().answer(model._complete_prompt(text))

    @completion_events
    def stream_complete(  # type: ignore[override]  # likewise
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Unpack[CompletionCall],
    ) -> CompletionResponseGen:
        """Generate the answer to a prompt token by token: see `complete`.

        An error after some tokens is raised after their responses.
        """
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return model._stream(text, Completion())

    @completion_events
    async def acomplete(  # type: ignore[override]  # likewise
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Unpack[CompletionCall],
    ) -> CompletionResponse:
        """Generate the answer to a prompt: see `complete`."""
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return Completion().answer(await model._acomplete_prompt(text))

    @completion_events
    async def astream_complete(  # type: ignore[override]  # likewise
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Unpack[CompletionCall],
    ) -> CompletionResponseAsyncGen:
        """Generate the answer to a prompt token by token: see `stream_complete`."""
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return model._astream(text, Completion())

    @chat_events
    def chat(  # type: ignore[override]  # likewise
        self, messages: Sequence[ChatMessage], **kwargs: Unpack[ChatCall]
    ) -> ChatResponse:
        """Generate the next message.

        Args:
            messages: The conversation. Its prompt comes from the chat template or `messages_to_prompt`.
            **kwargs: Parameters and settings of this call; `tools` and `tool_choice` as in
                `chat_with_tools`.

        Raises:
            datacrunch_tgi.ArgumentError: A message has unsupported content; the error names it.
            datacrunch_tgi.DataCrunchError: The call failed.
        """
        model, text, request = self._for_chat(messages, kwargs)
        responses = model._responses(request, text, kwargs)
        return responses.answer(model._complete_prompt(text))

    @chat_events
    def stream_chat(  # type: ignore[override]  # likewise
        self, messages: Sequence[ChatMessage], **kwargs: Unpack[ChatCall]
    ) -> ChatResponseGen:
        """Generate the next message token by token: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        return model._stream(text, model._responses(request, text, kwargs))

    @chat_events
    async def achat(  # type: ignore[override]  # likewise
        self, messages: Sequence[ChatMessage], **kwargs: Unpack[ChatCall]
    ) -> ChatResponse:
        """Generate the next message: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        responses = model._responses(request, text, kwargs)
        return responses.answer(await model._acomplete_prompt(text))

    @chat_events
    async def astream_chat(  # type: ignore[override]  # likewise
        self, messages: Sequence[ChatMessage], **kwargs: Unpack[ChatCall]
    ) -> ChatResponseAsyncGen:
        """Generate the next message token by token: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        return model._astream(text, model._responses(request, text, kwargs))

    def close(self) -> None:
        """Close the client for threads; later calls raise ClientClosedError."""
        self.client.close()

    async def aclose(self) -> None:
        """Close the client for event loops; later calls raise ClientClosedError."""
        await self.async_client.aclose()

    def _complete_prompt(self, prompt: str, on_retry: OnRetry | None = None) -> Answer:
        answer = super()._complete_prompt(prompt, on_retry)
        warn_without_usage(answer, self.base_url)
        return answer

    async def _acomplete_prompt(self, prompt: str, on_retry: OnRetry | None = None) -> Answer:
        answer = await super()._acomplete_prompt(prompt, on_retry)
        warn_without_usage(answer, self.base_url)
        return answer

    def _responses(
        self, request: ToolRequest | None, prompt: str, call: Mapping[str, Any]
    ) -> Chat | ToolResponses:
        """Return what converts events, and the answer, to responses."""
        if request is None:
            return Chat()
        return ToolResponses(request, prompt, self.stop or (), call.get("tool_names"))

    def _stream(
        self,
        prompt: str,
        responses: Responses[Response],
    ) -> Generator[Response, None, None]:
        text = ""
        with self._events(prompt) as events:
            for event in events:
                text += event.text
                yield responses.chunk(event, text)
            warn_without_usage(events.answer, self.base_url)
            yield responses.answer(events.answer, "")

    async def _astream(
        self,
        prompt: str,
        responses: Responses[Response],
    ) -> AsyncGenerator[Response, None]:
        text = ""
        async with self._aevents(prompt) as events:
            async for event in events:
                text += event.text
                yield responses.chunk(event, text)
            warn_without_usage(events.answer, self.base_url)
            yield responses.answer(events.answer, "")
