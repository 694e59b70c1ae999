"""The LLM.

    prompt ───▶ _for_completion ─┐                      ┌─▶ CompletionResponse
                                 ├─▶ answer, or events ─┤
    messages ─▶ _for_chat ───────┘                      └─▶ ChatResponse

LlamaIndex wants eight methods, each with one start and one end event. So the eight are decorated, and
what they share is not: methods that call each other would count every token twice.
"""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import (
    llm_chat_callback,  # pyright: ignore[reportUnknownVariableType]  # LlamaIndex leaves it untyped
    llm_completion_callback,  # pyright: ignore[reportUnknownVariableType]  # likewise
)
from pydantic import PrivateAttr, model_validator

from datacrunch_tgi import Answer, ArgumentError, StreamEvent
from datacrunch_tgi._tools import ToolFormat, ToolRequest
from llamaindex_datacrunch._kwargs import accept_habits
from llamaindex_datacrunch._prompts import Prompts
from llamaindex_datacrunch._responses import chat, chat_chunk, chunk, completion
from llamaindex_datacrunch._structured import Structured
from llamaindex_datacrunch._tool_responses import ToolResponses
from llamaindex_datacrunch._tools import TOOL_ARGUMENTS, Tools
from llamaindex_datacrunch._window import Window

_SHORT = "a"
"""As much as a message must say; it is counted too, which errs on the safe side."""

_OWN_ARGUMENTS = frozenset({"prompt", "formatted", "messages"})
_METADATA_FIELDS = (
    "chat_template",
    "completion_to_prompt",
    "is_chat_model",
    "is_function_calling_model",
    "messages_to_prompt",
    "model",
    "template_completions",
    "tokenizer",
    "tool_format",
)
"""Fields from which `metadata` is derived by rendering a template and counting its tokens."""

Method = TypeVar("Method", bound=Callable[..., Any])
Response = TypeVar("Response", CompletionResponse, ChatResponse)


def _completion_events(method: Method) -> Method:
    """Report a completion to LlamaIndex's callbacks and instrumentation; wait for its rate limiter."""
    return _checked(cast("Method", llm_completion_callback()(method)), chat=False)


def _chat_events(method: Method) -> Method:
    """Do for a chat what `_completion_events` does for a completion."""
    return _checked(cast("Method", llm_chat_callback()(method)), chat=True)


def _checked(method: Method, *, chat: bool) -> Method:
    """Drop arguments that change nothing, and refuse wrong ones, before any event is reported."""
    known = _OWN_ARGUMENTS | TOOL_ARGUMENTS if chat else _OWN_ARGUMENTS

    def checked(model: Any, call: Mapping[str, Any]) -> dict[str, Any]:
        kept = accept_habits(call, chat=chat)
        model.check_kwargs(kept.keys() - known)
        return kept

    if iscoroutinefunction(method):

        @wraps(method)
        async def awaited(self: Any, *args: Any, **call: Any) -> Any:
            return await method(self, *args, **checked(self, call))

        return cast("Method", awaited)

    @wraps(method)
    def called(self: Any, *args: Any, **call: Any) -> Any:
        return method(self, *args, **checked(self, call))

    return cast("Method", called)


class DataCrunch(Window, Prompts, Structured, Tools, CustomLLM):
    """A language model behind a DataCrunch (Verda) endpoint or any Text Generation Inference server.

    Where to send (`base_url`, `api_key`, `model`, timeouts in seconds, …) and what to generate
    (`max_tokens`, `temperature`, `stop`, …) are keyword arguments: see `datacrunch_tgi.Settings` and
    `datacrunch_tgi.Parameters`. Parameters, and settings that are no secret, can also be given to each
    call: they stand over the model's, stop strings and `extra_parameters` are added to them.
    Constructing a model opens no connection.

    Chats become a prompt by the model's chat template, which is found by the model's name or given as
    `chat_template`, and with `template_completions` completions do too. Where there is one, query engines
    send chats (`is_chat_model`). Your own `messages_to_prompt` and `completion_to_prompt` stand over one
    that the name tells. Structured answers are made by grammar, where the server has it, and checked.

    LlamaIndex cuts documents into prompts by a window and a tokenizer, neither of which is the model's
    unless it is told. So that every prompt fits, give it the server's window and the model's tokenizer,
    before any index or engine is made:

        llm = DataCrunch(model="llama-2-13b-chat", tokenizer="tokenizer.json").fetch_server_limits()
        llm.set_global_tokenizer()
        Settings.llm = llm

    A query engine puts `Settings.callback_manager` in the place of the model's: set that one.

    The last chunk of a stream is the whole answer, with `raw`, `logprobs` and no further `delta`; those
    before it hold the server's events in `raw`. `raw["usage"]` and `raw["finish_reason"]` are there in
    every other response. Leaving a stream ends the generation.

    One model serves many threads and event loops. A copy or pickle works elsewhere and holds the key;
    `to_dict` and `to_json` hold neither key, headers, proxy nor functions, which have to be given again
    or be in the environment.

    Example:
        >>> llm = DataCrunch(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> llm.complete("My name is Olivier and I").text  # doctest: +SKIP

    Raises:
        pydantic.ValidationError: An argument is unknown or breaks a rule; it names argument and rule.
    """

    _derived: tuple[list[Any], bool, bool, int] | None = PrivateAttr(None)
    """The fields that `metadata` depends on, and what follows from them: every call looks at it."""

    if TYPE_CHECKING:  # most arguments are fields that `Endpoint` adds at run time

        def __init__(self, **arguments: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _without_class_name(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        named = dict(cast("Mapping[str, Any]", given))
        if named.get("class_name") == cls.class_name():  # it is in every dump, and is no field
            del named["class_name"]
        return named

    @classmethod
    def class_name(cls) -> str:
        """The name in dumps and events."""
        return "DataCrunch"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Dump what is no secret and no function, in plain JSON types."""
        return super().to_dict(**({"mode": "json"} | kwargs))

    def to_payload(self) -> dict[str, Any]:
        """What events tell of the model; instrumentors look for `model` and `temperature`."""
        sampled = {"model": self.model, "temperature": self.temperature}
        return {"class_name": self.class_name(), **self.metadata.model_dump(), **sampled}

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex sizes its prompts by; the server is not asked.

        Where there is a tokenizer, the window is smaller than `context_window` by the tokens that a
        template adds to each prompt: LlamaIndex does not count those.
        """
        values = vars(self)
        used = [values[name] for name in _METADATA_FIELDS]
        if self._derived is None or self._derived[0] != used:
            self._derived = (used, self._chats, self._calls_functions, self._template_tokens())
        _, chats, calls_functions, template_tokens = self._derived
        return LLMMetadata(
            context_window=self.context_window - template_tokens,
            num_output=self._num_output,
            is_chat_model=chats,
            is_function_calling_model=calls_functions,
            model_name=self.model,
        )

    @_completion_events
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        """Generate the answer to a prompt.

        Args:
            prompt: The prompt.
            formatted: Whether it has been through `completion_to_prompt` already.
            **kwargs: Parameters of this call, see `datacrunch_tgi.Parameters`.

        Raises:
            datacrunch_tgi.DataCrunchError: No answer; its class tells why.
        """
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return completion(model._complete_prompt(text))

    @_completion_events
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Generate the answer to a prompt token by token: see `complete`.

        An error that comes after some tokens is raised after their chunks.
        """
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return model._stream(text, chunk, completion)

    @_completion_events
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponse:
        """Generate the answer to a prompt: see `complete`."""
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return completion(await model._acomplete_prompt(text))

    @_completion_events
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,  # noqa: FBT001, FBT002 -- LlamaIndex's signature
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Generate the answer to a prompt token by token: see `stream_complete`."""
        model, text = self._for_completion(prompt, kwargs, formatted=formatted)
        return model._astream(text, chunk, completion)

    @_chat_events
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Generate the next message.

        Args:
            messages: The conversation; the chat template, or `messages_to_prompt`, makes the prompt.
            **kwargs: Parameters of this call, see `datacrunch_tgi.Parameters`.

        Raises:
            datacrunch_tgi.DataCrunchError: No answer; its class tells why.
        """
        model, text, request = self._for_chat(messages, kwargs)
        _, of_answer = model._responses(request, kwargs)
        return of_answer(model._complete_prompt(text), None)

    @_chat_events
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Generate the next message token by token: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        return model._stream(text, *model._responses(request, kwargs))

    @_chat_events
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Generate the next message: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        _, of_answer = model._responses(request, kwargs)
        return of_answer(await model._acomplete_prompt(text), None)

    @_chat_events
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Generate the next message token by token: see `chat`."""
        model, text, request = self._for_chat(messages, kwargs)
        return model._astream(text, *model._responses(request, kwargs))

    def close(self) -> None:
        """Close the connections of threads that wait for their next request."""
        self.client.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop that wait for their next request."""
        await self.async_client.aclose()

    @property
    def _calls_functions(self) -> bool:
        if self.is_function_calling_model is not None:
            return self.is_function_calling_model
        template = self.template.tool_text if self.template else None
        return not ToolFormat.find(self.tool_format, template, self.model).in_words

    def _responses(
        self, request: ToolRequest | None, call: Mapping[str, Any]
    ) -> tuple[
        Callable[[StreamEvent, str], ChatResponse], Callable[[Answer, str | None], ChatResponse]
    ]:
        """Return what makes the response of an event, and of the whole answer."""
        if request is None:
            return chat_chunk, chat
        responses = ToolResponses(request, self.stop or (), call.get("tool_names"))
        return responses.chunk, responses.answer

    def _template_tokens(self) -> int:
        """Return how many tokens a template adds to a prompt; 0 without a tokenizer."""
        if self.tokenizer is None:
            return 0
        with suppress(ArgumentError):  # the template may refuse such a message
            if self._chats:
                _, text, _ = self._for_chat([ChatMessage(content=_SHORT)], {})
            else:
                _, text = self._for_completion(_SHORT, {}, formatted=False)
            return len(self.tokenizer(text))
        return 0

    def _stream(
        self,
        prompt: str,
        of_event: Callable[[StreamEvent, str], Response],
        of_answer: Callable[[Answer, str], Response],
    ) -> Generator[Response, None, None]:
        text = ""
        with self._events(prompt) as events:
            for event in events:
                text += event.text
                yield of_event(event, text)
            yield of_answer(events.answer, "")

    async def _astream(
        self,
        prompt: str,
        of_event: Callable[[StreamEvent, str], Response],
        of_answer: Callable[[Answer, str], Response],
    ) -> AsyncGenerator[Response, None]:
        text = ""
        async with self._aevents(prompt) as events:
            async for event in events:
                text += event.text
                yield of_event(event, text)
            yield of_answer(events.answer, "")
