"""Limits and capabilities of a model, which LlamaIndex uses for prompts, agents and programs."""

from contextlib import suppress
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage, LLMMetadata
from pydantic import PrivateAttr

from datacrunch_tgi import ArgumentError, ChatTemplate, Info
from datacrunch_tgi._chat import reads_images
from datacrunch_tgi._tools import ToolFormat
from llamaindex_datacrunch._prompts import Prompts
from llamaindex_datacrunch._tools import Tools
from llamaindex_datacrunch._window import Window

_SHORT = "a"
"""Shortest text of a message. It is counted too, which errs on the safe side."""

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
"""Fields on which `metadata` depends, which renders a template and counts its tokens."""


class Metadata(Window, Prompts, Tools):
    """An LLM with metadata about its limits and capabilities."""

    _derived: tuple[list[Any], bool, bool, int] | None = PrivateAttr(None)
    """Cache of `metadata`, which every call reads: the fields it depends on, and the results."""

    def _within(self, info: Info) -> Self:
        """Use the chat template and capabilities of the server's model if this one's name has none."""
        model = super()._within(info)
        self._served_models.keep(self.base_url, info)
        named = info.model_id or ""
        if self.template or self._has_own_functions or not ChatTemplate.for_model(named):
            return model
        known = {"chat_template": named, "supports_images": reads_images(named)}
        own = {name: value for name, value in known.items() if getattr(self, name) is None}
        return model.model_copy(update=own)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out caches, so that a pickle does not depend on use."""
        state = super().__getstate__()
        fields = state["__dict__"]
        if not self.callback_manager.handlers:  # then all it has is a trace of the last call
            fields = {name: value for name, value in fields.items() if name != "callback_manager"}
        derived = {"_derived": None, "_template_cache": None}
        private = state["__pydantic_private__"] | derived
        return {**state, "__dict__": fields, "__pydantic_private__": private}

    @property
    def metadata(self) -> LLMMetadata:
        """Limits and capabilities of the model. No request is sent.

        With a tokenizer, the context window is reduced by the tokens that the chat template adds to each
        prompt, because LlamaIndex does not count them.
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

    @property
    def _calls_functions(self) -> bool:
        if self.is_function_calling_model is not None:
            return self.is_function_calling_model
        template = self.template.tool_text if self.template else None
        return not ToolFormat.find(self.tool_format, template, self.model).in_words

    def _template_tokens(self) -> int:
        """Return the number of tokens that a template adds to a prompt; 0 without a tokenizer."""
        if self.tokenizer is None:
            return 0
        with suppress(ArgumentError):  # the template may refuse this message
            if self._chats:
                _, text, _ = self._for_chat([ChatMessage(content=_SHORT)], {})
            else:
                _, text = self._for_completion(_SHORT, {}, formatted=False)
            return len(self.tokenizer(text))
        return 0
