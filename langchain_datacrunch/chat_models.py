"""The chat model.

    messages ─▶ chat template ─▶ prompt ─▶ _generate ─▶ an answer ─▶ ChatResult
                                        └▶ _stream ───▶ chunks

The server is asked on the same routes as by the LLM, whose prompt the user writes; what both share is in
`_endpoint`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._integration._chat import ChatEndpoint
from langchain_datacrunch._endpoint import LangChainEndpoint
from langchain_datacrunch._messages import to_chat_chunk, to_chat_result, to_dict
from langchain_datacrunch._outputs import summed
from langchain_datacrunch._structured import Method, structured


class ChatDataCrunch(LangChainEndpoint, ChatEndpoint, BaseChatModel):  # pyright: ignore[reportIncompatibleVariableOverride]  # LangChain's `_serialized` is a cached property
    """A chat model behind a DataCrunch (Verda) endpoint or any Text Generation Inference server.

    Messages become a prompt by the model's chat template, which is found by the model's name, or given
    as `chat_template`. Where to send (`base_url`, `api_key`, `model`, timeouts in seconds, …) and what
    to generate (`max_tokens`, `temperature`, `stop`, …) are keyword arguments: see
    `datacrunch_tgi.Settings` and `datacrunch_tgi.Parameters`. Constructing a model opens no connection.

    Parameters can also be given to each call, or be bound; they stand over the model's, stop strings
    and `extra_parameters` are added to them. A last message from the assistant is continued.

    A message has `usage_metadata` where the server tells the prompt's tokens or there is a `tokenizer`;
    `response_metadata` has `finish_reason`, `model_name`, `token_usage`, `seed` and, with
    `logprobs=True`, log probabilities. In a stream the last chunk has them.

    Control tokens in a message's text, such as `[INST]` or `<|im_start|>`, are broken up before they
    are sent, with a warning, so that no text passes for another's turn: see `ChatTemplate.prompt`.

    Errors, threads and event loops, copies, pickles and dumps are as with `DataCrunchLLM`.

    Example:
        >>> chat = ChatDataCrunch(model="llama-2-13b-chat", api_key="<your_api_key>", max_tokens=60)
        >>> chat.invoke("What is the capital of Finland?").text  # doctest: +SKIP

    Raises:
        pydantic.ValidationError: An argument is unknown or breaks a rule; it names argument and rule.
    """

    logprobs: bool = Field(
        default=False, description="Whether a message tells its tokens' log probabilities."
    )
    top_logprobs: int | None = Field(
        default=None,
        description="So many likeliest tokens at each place are told too: `top_n_tokens` of the API.",
    )
    streaming: bool | None = Field(
        default=None,
        description="Whether invoke, generate and batch stream too, so that callbacks get each token. "
        "Default: where somebody listens, as in `astream_events`.",
    )
    call_arguments: ClassVar = ChatEndpoint.call_arguments | {"logprobs", "top_logprobs"}

    if TYPE_CHECKING:  # most arguments are fields that `Endpoint` adds at run time

        def __init__(self, **arguments: Any) -> None: ...

    @property
    def _llm_type(self) -> str:
        return "datacrunch-chat"

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Count the tokens of the prompt that the messages become: see `get_token_ids`."""
        del tools  # it takes none
        _, prompt = self._prepared(messages)
        return self.get_num_tokens(prompt)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Refuse: a server's `/generate` knows no tools.

        Raises:
            NotImplementedError: Tells what there is instead.
        """
        raise NotImplementedError(
            "/generate has no tools. Use with_structured_output(...) to have one call's arguments made, "
            "by grammar where the server has it (TGI 1.4.1); or, on TGI 1.4.3 and newer, a client of "
            "its OpenAI route, /v1/chat/completions."
        )

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return answers that match a JSON schema.

        Set parameters on the model, or bind them to the result: what was bound before is lost.

        Args:
            schema: A Pydantic class, a TypedDict class, a JSON schema or an OpenAI function.
            method: `json_schema` asks in words and sends a grammar, so that a server that has them
                (TGI 1.4.1) allows nothing else; DataCrunch's fork (1.1.1) ignores it.
                `function_calling` does the same. `json_mode` asks in words alone, for schemas without a
                grammar.
            include_raw: Whether the result is a dict of `raw`, the message, `parsed` and
                `parsing_error`; then no error is raised.
            strict: Ignored; answers are always validated.
            **kwargs: Not supported.

        Returns:
            A runnable whose result is an instance of the Pydantic class, else a dict. A stream has
            partial dicts as they grow and the validated one last; an instance comes once.

        Raises:
            datacrunch_tgi.StructuredOutputError: In a call: the answer does not match. It has the
                text and shows it. LangChain's `OutputParserException` too.
            ArgumentError: The schema is none, or there is no grammar for it: it refers to itself.
        """
        del strict
        if kwargs:
            raise ArgumentError(next(iter(kwargs)), "is no argument of with_structured_output")
        return structured(self, schema, method, include_raw=include_raw)

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What a dump holds in another form than the model."""
        given = self.chat_template
        return {"chat_template": asdict(given)} if isinstance(given, ChatTemplate) else {}

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        self.check_kwargs(kwargs.keys() - {"stream"})  # before tracers are told of them
        return super()._get_invocation_params(stop, **kwargs)

    def _resolve_model_profile(self) -> Any:
        return {"text_inputs": True, "text_outputs": True, "tool_calling": False}

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return summed(llm_outputs) or {}

    def _prepared(
        self, messages: Sequence[BaseMessage], stop: list[str] | None = None, **call: Any
    ) -> tuple[Self, str]:
        """The model with the call's parameters, and the prompt."""
        call.pop("stream", None)  # LangChain has looked at it already
        model = self.with_overrides(call, stop)
        template = model.template
        if template is None:
            raise ArgumentError(
                "chat_template",
                f"is needed, since model={model.model!r} is not a name that tells it: "
                f"{', '.join(ChatTemplate.names())}, or the path of the model's tokenizer_config.json",
            )
        if model.top_logprobs is not None:
            model = model.with_overrides({"top_n_tokens": model.top_logprobs})
        return model._for_messages(template, [to_dict(message) for message in messages])

    @property
    def _tells_logprobs(self) -> bool:
        return self.logprobs or bool(self.top_n_tokens)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, prompt = self._prepared(messages, stop, **kwargs)
        answer = model._answer(prompt, run_manager)
        return to_chat_result(answer, model.model, logprobs=model._tells_logprobs)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model, prompt = self._prepared(messages, stop, **kwargs)
        answer = await model._aanswer(prompt, run_manager)
        return to_chat_result(answer, model.model, logprobs=model._tells_logprobs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        model, prompt = self._prepared(messages, stop, **kwargs)
        to_chunk = partial(to_chat_chunk, logprobs=model._tells_logprobs)
        return model._chunks(prompt, run_manager, to_chunk, to_chunk)

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model, prompt = self._prepared(messages, stop, **kwargs)
        to_chunk = partial(to_chat_chunk, logprobs=model._tells_logprobs)
        return model._achunks(prompt, run_manager, to_chunk, to_chunk)
