"""From messages to a prompt.

messages ─▶ history ─▶ chat template ─▶ prompt
tools ───────────────────▲
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._chat import required
from datacrunch_tgi._integration import ChatEndpoint
from langchain_datacrunch._endpoint import LangChainEndpoint
from langchain_datacrunch._history import to_messages
from langchain_datacrunch._tools import (
    ARGUMENTS,
    Tool,
    ToolAnswer,
    bound_arguments,
    response_schema,
)


class ChatPrompts(LangChainEndpoint, ChatEndpoint, BaseChatModel):  # pyright: ignore[reportIncompatibleVariableOverride]  # LangChain's `_serialized` is a cached property
    """Fields of the chat model, its calls, and the prompts of conversations."""

    logprobs: bool = False
    """Whether `response_metadata` has the log probabilities of the answer's tokens."""
    top_logprobs: int | None = None
    """Number of likeliest tokens at each position to include; the API's `top_n_tokens`."""
    streaming: bool | None = None
    """Whether invoke, generate and batch use streaming too, so that callbacks get each token. Default: if
    there are listeners, as in `astream_events`."""
    _call_arguments: ClassVar = (
        LangChainEndpoint._call_arguments
        | ChatEndpoint._call_arguments
        | {"logprobs", "top_logprobs", "stream", *ARGUMENTS}
    )

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Tool] | None = None
    ) -> int:
        """Count the tokens of the prompt for messages: see `get_token_ids`.

        Any part of a conversation can be counted; if the chat template refuses it, the text is counted.
        """
        if not messages:
            return 0
        try:
            _, prompt, _ = self._prepared(self._find_template(), messages, {"tools": tools})
        except ArgumentError as error:
            if not error.field.startswith("messages"):
                raise
            prompt = "\n".join(str(message.text) for message in messages)
        return self.get_num_tokens(prompt)

    def _with_call(
        self, stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[Self, dict[str, Any]]:
        """Return the model with a call's arguments, and the arguments that concern tools."""
        asked, call = self._split(kwargs)
        model = self._with_overrides(call, stop)
        if model.top_logprobs is not None:
            model = model._with_overrides({"top_n_tokens": model.top_logprobs})
        return model, asked

    def _split(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split a call's arguments into those that concern tools, and the others."""
        call = self._check_kwargs(kwargs)
        call.pop("stream", None)  # LangChain has acted on it already
        asked = {name: call.pop(name) for name in ARGUMENTS if name in call}
        return asked, call

    def _prepared(
        self,
        template: ChatTemplate | None,
        messages: Sequence[BaseMessage],
        asked: dict[str, Any],
    ) -> tuple[Self, str, ToolAnswer | None]:
        """Return the model to call, the prompt, and a reader of tool calls if there are tools."""
        if template is None:
            raise required(self.model)
        history = to_messages(messages, images=self._reads_images)
        schema = response_schema(asked.get("response_format"))
        tools, choice = asked.get("tools"), asked.get("tool_choice")
        parallel = asked.get("parallel_tool_calls")
        if parallel not in (None, True, False):
            rule = "must be True, False or None"
            raise ArgumentError("parallel_tool_calls", rule, value=repr(parallel))
        if not tools and choice is None and schema is None:
            return *self._for_messages(template, history), None
        model, request = self._with_tools(
            template,
            bound_arguments(tools or (), None, None, None)["tools"],
            choice,
            parallel=parallel is None or bool(parallel),
            response_schema=schema,
        )
        model, prompt = model._for_messages(template, history, request)
        return model, prompt, ToolAnswer(request, prompt, model.stop or ())
