"""Prompts: from the model's chat template, from the user's own functions, or unchanged.

    chat      messages ───▶ chat template, or else messages_to_prompt ───▶ prompt
    complete  prompt ───┬─▶ chat template, with `template_completions` ──▶ prompt
                        └─▶ else completion_to_prompt, unless formatted ─▶ prompt

A chat template also adds the strings that end its turns to `stop`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.llms import LLM
from llama_index.core.llms.llm import default_completion_to_prompt
from pydantic import model_validator

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._chat import OWN, check, in_words
from datacrunch_tgi._integration import ChatEndpoint, warn_once
from datacrunch_tgi._tools import ToolRequest
from llamaindex_datacrunch._messages import to_dicts
from llamaindex_datacrunch._tools import TOOL_ARGUMENTS


class Prompts(ChatEndpoint, LLM):
    """An LLM behind an endpoint that makes its own prompts."""

    is_chat_model: bool | None = None
    """Whether query engines and programs send messages instead of a prompt. Default: whether there is a
    chat template, set or by the model's name."""
    template_completions: bool = False
    """Whether `complete`, `stream_complete` and `predict` put the prompt into the chat template, as a
    user message."""

    @property
    def template(self) -> ChatTemplate | None:
        """The chat template in use. Your own prompt functions take precedence over one found by name."""
        if self.chat_template is None and self._has_own_functions:
            return None
        return super().template

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        if self.chat_template is not None and self._has_own_functions:
            raise ArgumentError(
                "chat_template",
                "cannot be combined with messages_to_prompt or completion_to_prompt",
            )
        if self.template_completions and self.chat_template is None and self.template is None:
            raise ArgumentError(
                "template_completions",
                f"requires chat_template: no template is known for model={self.model!r}",
                value="True",
            )
        return self

    @property
    def _has_own_functions(self) -> bool:
        given = (self.messages_to_prompt, self.completion_to_prompt)
        return any(
            one not in (None, messages_to_prompt, default_completion_to_prompt) for one in given
        )

    @property
    def _chats(self) -> bool:
        return self.template is not None if self.is_chat_model is None else self.is_chat_model

    def _for_chat(
        self, messages: Sequence[ChatMessage], call: Mapping[str, Any]
    ) -> tuple[Self, str, ToolRequest | None]:
        """Return the model with the call's parameters, the prompt, and the tools that are offered."""
        own = {name: value for name, value in call.items() if name not in TOOL_ARGUMENTS}
        model, request = self._with_overrides(own), None
        template = model.template
        if tools := call.get("tools"):
            choice = call.get("tool_choice")
            if call.get("tool_required") and choice in (None, "auto"):
                choice = "any"
            parallel = call.get("allow_parallel_tool_calls", False)
            model, request = model._with_tools(template, tools, choice, parallel=parallel)
        if template:
            sent = to_dicts(messages, images=model._reads_images)
            model, prompt = model._for_messages(template, sent, request)
            return model, prompt, request
        prompt = model._without_template(messages, request.instructions if request else "")
        return model, prompt, request

    def _without_template(self, messages: Sequence[ChatMessage], instructions: str) -> str:
        if instructions:
            messages = [ChatMessage(role=MessageRole.SYSTEM, content=instructions), *messages]
        if self._has_own_functions and self.messages_to_prompt:
            return self.messages_to_prompt(messages)
        sent = to_dicts(messages, images=self._reads_images)
        check("messages", sent)
        if any(isinstance(one["content"], list) for one in sent):
            raise ArgumentError("chat_template", "is required to send images")
        warn_once(
            f"no chat template is known for model {self.model!r}, so chats are sent as 'user: …'; set "
            f"chat_template to the model's own, {OWN}, or to a name; or set messages_to_prompt, or call "
            "fetch_server_limits to use the template of the server's model"
        )
        return messages_to_prompt(
            [ChatMessage(role=one["role"], content=one["content"]) for one in in_words(sent)]
        )

    def _for_completion(
        self, prompt: str, call: Mapping[str, Any], *, formatted: bool
    ) -> tuple[Self, str]:
        model = self._with_overrides(call)
        template = model.template if model.template_completions else None
        if template and formatted:
            return model._stopping(template), prompt
        if template:
            return model._for_messages(template, [{"role": "user", "content": prompt}])
        to_prompt = None if formatted else model.completion_to_prompt
        return model, to_prompt(prompt) if to_prompt else prompt

    def _extend_prompt(self, formatted_prompt: str) -> str:
        # `predict` calls this last, and passes the result to `complete` with formatted=True.
        extended = super()._extend_prompt(formatted_prompt)
        if not self.template_completions:
            return extended
        _, prompt = self._for_completion(extended, {}, formatted=False)
        return prompt
