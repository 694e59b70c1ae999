"""Base of both frameworks' chat models: the chat template and the prompt."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, PrivateAttr, model_validator

from datacrunch_tgi._chat import ChatTemplate, reads_images
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._integration._endpoint import Endpoint
from datacrunch_tgi._integration._served_model import ASK_ONCE, ServedModels
from datacrunch_tgi._protocol._answer import ChatPrompt
from datacrunch_tgi._tools import ToolFormat, ToolRequest, without_reasoning

LOGGER = logging.getLogger("datacrunch_tgi")


def chat_prompt(
    template: ChatTemplate, messages: Sequence[Mapping[str, Any]], **options: Any
) -> str:
    """Return the prompt of a conversation: see `ChatTemplate.prompt` for options and errors."""
    prompt = template.prompt(messages, **options)
    continued = bool(messages) and messages[-1].get("role") == "assistant"
    return ChatPrompt(prompt) if template.puts_space and not continued else prompt


@lru_cache(16)  # a template caches what it learns about itself
def _without_thinking(template: ChatTemplate) -> ChatTemplate:
    """Return the template for answers without reasoning, for models that read `enable_thinking` (Qwen 3)."""
    if "enable_thinking" not in template.template + template.tool_text:
        return template
    return replace(template, variables={**template.variables, "enable_thinking": False})


@lru_cache(64)  # an agent sends the same tools with every call
def _renders(template: ChatTemplate, tools: str) -> bool:
    """Return whether a template can render these tools (JSON); some read every schema, and not all of them."""
    question = [{"role": "user", "content": "user"}]
    try:
        template.prompt(question, tools=json.loads(tools), allow_control_tokens=True)
    except ArgumentError:
        return False
    return True


def _as_text(given: Any) -> Any:
    return str(given) if isinstance(given, Path) else given


class ChatEndpoint(Endpoint):
    """A chat model behind an endpoint."""

    chat_template: Annotated[ChatTemplate | str | None, BeforeValidator(_as_text)] = None
    """Chat template: a name (`llama-2`, `chatml`, …), the path of a file or of the model's folder, Jinja
    text, or a ChatTemplate. Default: by the model's name."""
    allow_control_tokens: bool = False
    """Whether control tokens in messages are sent unchanged, instead of being neutralised."""
    tool_format: str | None = None
    """Format of tool calls: a family's (`llama-3`, `mistral`, `qwen`, …), or `words`, which asks for JSON
    by prompt. Default: by the chat template or the model's name."""
    supports_images: bool | None = None
    """Whether the model reads images. Default: by its name (llava, pixtral, …-vl, …)."""
    _call_arguments: ClassVar = Endpoint._call_arguments | {
        "chat_template",
        "allow_control_tokens",
        "tool_format",
        "supports_images",
    }

    _template_cache: tuple[ChatTemplate | str | None, str, ChatTemplate | None] | None = (
        PrivateAttr(None)
    )
    """The template for `chat_template` and `model`; it caches what it learns about itself."""

    _served_models: ServedModels = PrivateAttr(default_factory=ServedModels)

    @model_validator(mode="after")
    def _check_template(self) -> Self:
        _ = self.template  # raises now, and is cached before the model is copied for each call
        return self

    @property
    def template(self) -> ChatTemplate | None:
        """The chat template in use; None if it is not set and the model's name does not imply one.

        Raises:
            ArgumentError: `chat_template` is invalid.
        """
        given, model = self.chat_template, self.model
        if self._template_cache is None or self._template_cache[:2] != (given, model):
            named = ChatTemplate.for_model(model) if given is None else ChatTemplate.of(given)
            self._template_cache = (given, model, named)
        return self._template_cache[2]

    # For a name such as "tgi", calls that need a template ask the server, once.

    def _find_template(self) -> ChatTemplate | None:
        """Return the chat template in use, if necessary by the model name that the server reports."""
        if self.template or self.chat_template is not None:
            return self.template
        ask = self.client.with_settings(**ASK_ONCE).info
        return self._named(self._served_models.find(self.base_url, ask))

    async def _afind_template(self) -> ChatTemplate | None:
        """Return the chat template in use: see `_find_template`."""
        if self.template or self.chat_template is not None:
            return self.template
        ask = self.async_client.with_settings(**ASK_ONCE).info
        return self._named(await self._served_models.afind(self.base_url, ask))

    def _named(self, model: str | None) -> ChatTemplate | None:
        return ChatTemplate.for_model(model) if model else None

    def _for_messages(
        self,
        template: ChatTemplate,
        messages: Sequence[Mapping[str, Any]],
        request: ToolRequest | None = None,
    ) -> tuple[Self, str]:
        """Return a copy that stops where turns end, and the prompt to send."""
        # A grammar leaves no room for reasoning; a regular expression may.
        bare = self.grammar is not None and self.grammar.get("type") != "regex"
        prompt = chat_prompt(
            _without_thinking(template) if bare else template,
            messages,
            tools=request.template_tools if request else None,
            instructions=request.instructions if request else "",
            images=self._reads_images,
            allow_control_tokens=self.allow_control_tokens,
        )
        return self._stopping(template, request), without_reasoning(prompt) if bare else prompt

    def _with_tools(
        self,
        template: ChatTemplate | None,
        tools: Sequence[Mapping[str, Any]],
        tool_choice: Any = None,
        *,
        parallel: bool = True,
        response_schema: Mapping[str, Any] | None = None,
    ) -> tuple[Self, ToolRequest]:
        """Return a copy of the model for a call with tools, and the tool request.

        Raises:
            ArgumentError: As for `ToolRequest.of`; or `tool_format` is unknown.
        """
        text = template.tool_text if template else None
        tool_format = ToolFormat.find(self.tool_format, text, self.model)
        request = ToolRequest.of(
            tools,
            tool_choice,
            tool_format=tool_format,
            in_words=not (template and template.takes_tools),
            parallel=parallel,
            response_schema=response_schema,
            grammars=not self._served_models.lacks_grammars(self.base_url),
        )
        offered = request.template_tools
        if template and offered and not _renders(template, json.dumps(offered, default=repr)):
            request = replace(request, in_words=True)
        if tools and request.in_words and not tool_format.in_words:
            LOGGER.info(
                "tools are described in words, because the chat template of %s has no place for them, or "
                "cannot render them; pass the model's own as chat_template",
                self.model,
            )
        update: dict[str, Any] = {"details": True, "return_full_text": False}
        if request.grammar:
            update["grammar"] = request.grammar
        return self.model_copy(update=update), request

    @property
    def _reads_images(self) -> bool:
        return reads_images(self.model) if self.supports_images is None else self.supports_images

    def _stopping(self, template: ChatTemplate, request: ToolRequest | None = None) -> Self:
        """Return a copy that stops where turns end: behind the user's strings, which a server takes first."""
        ends = request.format.stop if request and request.offered else ()
        return self.model_copy(update={"stop": [*(self.stop or ()), *template.stop, *ends]})
