"""Chat templates: from a conversation to the prompt of a model. Pure, except for reading a named file.

`ChatTemplate.render` returns what transformers' `apply_chat_template` returns. `ChatTemplate.prompt`
returns the prompt to send, without losing messages and without control tokens from their texts.
"""

import logging
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from datacrunch_tgi._chat import _files
from datacrunch_tgi._chat._fallbacks import fallbacks
from datacrunch_tgi._chat._images import MARKDOWN, Inserts
from datacrunch_tgi._chat._messages import check, is_continued, to_chat, with_instructions
from datacrunch_tgi._chat._texts import (
    ControlTokenWarning,
    Message,
    Placeholders,
    control_tokens,
    render_safely,
)
from datacrunch_tgi._chat._tool_messages import (
    in_call_order,
    own_calls,
    place_for_tools,
    with_system_tools,
)
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._tools import WORDS, ToolFormat, ToolRequest

LOGGER = logging.getLogger("datacrunch_tgi")

_BEGIN = r"<s>|<bos>|<\|begin_of_text\|>"
"""First token of a prompt, for templates that write it out instead of using `bos_token`."""


@dataclass(frozen=True, repr=False)
class ChatTemplate:
    """A model's chat template.

    Attributes:
        template: Jinja text.
        bos_token: Text of the first token of a prompt; None if the model has none.
        eos_token: Text of the token that ends an answer; None if the model has none.
        tool_template: Jinja text for conversations with tools; None if it is the same.
        control_tokens: Other control tokens of the model's tokenizer.
        variables: Other variables of the template, such as `unk_token` or `enable_thinking`.
    """

    template: str
    _: KW_ONLY
    bos_token: str | None = None
    eos_token: str | None = None
    tool_template: str | None = None
    control_tokens: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __repr__(self) -> str:
        # Short, but different for each: LangChain's cache key contains it.
        values = repr([getattr(self, item.name) for item in fields(self)])
        return f"ChatTemplate({self.template[:40]!r}, sha256={sha256(values.encode()).hexdigest()[:16]})"

    def __getstate__(self) -> dict[str, Any]:
        # Without cached properties, so that a pickle does not depend on use.
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def of(cls, given: "ChatTemplate | str | os.PathLike[str]") -> "ChatTemplate":
        """Return the chat template for an argument.

        Args:
            given: A chat template, its name, a model's name, a file or folder, or Jinja text.

        Raises:
            ArgumentError: The argument is none of these.
        """
        return given if isinstance(given, ChatTemplate) else cls(**_files.find(given))

    @classmethod
    def named(cls, name: str) -> "ChatTemplate":
        """Return the chat template of a family of models.

        Args:
            name: One of `names()`; case, spaces, dots and dashes are ignored.

        Raises:
            ArgumentError: There is no such template.
        """
        return cls(**_files.named(name))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all bundled chat templates."""
        return _files.names()

    @classmethod
    def for_model(cls, model: str) -> "ChatTemplate | None":
        """Return the chat template for a model's name; None if there is none, as for base models."""
        name = _files.name_for(model)
        return cls.named(name) if name else None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "ChatTemplate":
        """Read a model's own chat template.

        Args:
            path: The model's folder, or in it chat_template.jinja, chat_template.json or
                tokenizer_config.json; in a folder, the first that exists. Special tokens come from the
                tokenizer_config.json in the same folder.

        Raises:
            ArgumentError: The file cannot be read, or has no chat template.
        """
        return cls(**_files.read(Path(path)))

    @property
    def tool_text(self) -> str:
        """The Jinja text for conversations with tools."""
        return self.tool_template or self.template

    @cached_property
    def _for_calls(self) -> "ChatTemplate":
        """The template for conversations with tool calls, also where no tools are offered."""
        return replace(self, template=self.tool_text, tool_template=None)

    @property
    def takes_tools(self) -> bool:
        """Whether the template has a place for tools; if not, the prompt describes them as text."""
        return self._place_for_tools is not None

    @cached_property
    def _place_for_tools(self) -> str | None:
        return place_for_tools(self.render)

    @cached_property
    def stop(self) -> tuple[str, ...]:
        """Stop strings that end the assistant's turn, apart from `eos_token`."""
        around = self._around("user", "assistant")
        end = self._tokens(None, around).match(around[-1].lstrip()) if around else None
        form = ToolFormat.for_template(self.tool_text)
        ends = [*([end[0]] if end else []), *(form.stop if form else ())]
        return tuple(one for one in ends if one != self.eos_token)

    @cached_property
    def puts_space(self) -> bool:
        """Whether the template puts a space before the assistant's text.

        The model then starts its answers with a space, which is not part of the text.
        """
        asked, answered = {"role": "user", "content": "user"}, {"role": "assistant", "content": "x"}
        with suppress(ArgumentError):
            turn = self.render([asked])
            both = self.render([asked, answered], add_generation_prompt=False)
            return both.removeprefix(turn).startswith(" x")
        return False

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        continue_final_message: bool = False,
        **variables: Any,
    ) -> str:
        """Render a conversation exactly as transformers' `apply_chat_template` does (5.24).

        Args:
            messages: Dictionaries with `role` and `content`.
            add_generation_prompt: Start the assistant's next turn, unless the last one is continued.
            tools: JSON schemas of tools.
            continue_final_message: Leave the last message open, for the model to continue.
            variables: Other variables of the template, such as `documents` or `unk_token`.

        Raises:
            ArgumentError: The template refuses the messages, or is faulty; with the template's message.
        """
        check("messages", messages)
        check("tools", tools or ())
        from datacrunch_tgi._chat import _rendering  # noqa: PLC0415 -- jinja2 takes 50 ms

        tokens = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        return _rendering.rendered(
            self.template if tools is None else self.tool_text,
            messages,
            tools,
            {
                "add_generation_prompt": add_generation_prompt and not continue_final_message,
                **{name: token for name, token in tokens.items() if token is not None},
                **self.variables,
                **variables,
            },
            continued=continue_final_message,
        )

    def prompt(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        instructions: str = "",
        images: bool = False,
        allow_control_tokens: bool = False,
    ) -> str:
        """Render a conversation for a server, which adds `bos_token` itself.

        If the last message is the assistant's, it is continued, as by TGI's own chat route (3.0). A
        conversation that the template refuses, or renders only in part, is changed as little as possible,
        and the change is logged (DEBUG).

        Args:
            messages: Dictionaries with `role` and `content`: text, or a list of `text` and `image_url`
                blocks. Tool calls and results have OpenAI's form.
            tools: Tools in OpenAI's form; described as text if the template has no place for them.
            instructions: Text to append to the system message.
            images: Whether the model reads images.
            allow_control_tokens: Leave control tokens, and Markdown that would make the server fetch an
                image, in the conversation's texts. By default they are neutralised by a space
                (`[ INST]`), with one `ControlTokenWarning`.

        Raises:
            ArgumentError: The template accepts no variant of the conversation, or a block is not
                supported.
        """
        check("tools", tools or ())
        inserts = Inserts()
        chat = in_call_order(to_chat(messages, inserts, images=images))
        if tools and not self.takes_tools:
            words = ToolRequest.of(tools, tool_format=WORDS, in_words=True).instructions
            tools, instructions = None, "\n\n".join(filter(None, (words, instructions)))
        if instructions:
            chat = with_instructions(chat, instructions)
        if tools and self._place_for_tools == "system":
            chat, tools = with_system_tools(chat, tools), None
        template = self._for_calls if any(one.get("tool_calls") for one in chat) else self
        continued, refusals = is_continued(chat), list[ArgumentError]()
        for change, form in fallbacks(chat, own_calls(self.tool_text, inserts)):
            defused = set[str]()
            try:
                prompt = template._prompt(  # noqa: SLF001 -- of the same class
                    (form, tools or None),
                    None if allow_control_tokens else defused,
                    images=images,
                    continued=continued and is_continued(form),
                )
            except ArgumentError as error:
                refusals.append(error)
                continue
            if change:
                LOGGER.debug("messages changed for the chat template: %s", change)
            if defused:
                warning = (
                    f"control tokens in messages were neutralised: {', '.join(sorted(defused))}"
                )
                warnings.warn(warning, ControlTokenWarning, stacklevel=2)
            return inserts.fill(prompt)
        raise refusals[0]

    def _prompt(
        self,
        given: tuple[Sequence[Message], Any],
        defused: set[str] | None,
        *,
        images: bool,
        continued: bool,
    ) -> str:
        text, harmless = render_safely(
            partial(self.render, continue_final_message=continued),
            partial(self._tokens, given[1], more=[MARKDOWN] if images else []),
            given,
            defused,
        )
        begin = re.match(re.escape(self.bos_token) if self.bos_token else _BEGIN, harmless)
        return text.removeprefix(begin[0]) if begin else text

    def _tokens(
        self, tools: Any, around: Sequence[str], more: Sequence[str] = ()
    ) -> re.Pattern[str]:
        own = [self.bos_token, self.eos_token, *self.control_tokens, *more]
        text = self.template if tools is None else self.tool_text
        return control_tokens(text, [*around, *self._around_roles], filter(None, own))

    @cached_property
    def _around_roles(self) -> list[str]:
        return [*self._around("user", "assistant"), *self._around("system", "user")]

    def _around(self, *roles: str) -> list[str]:
        numbers = Placeholders()
        with suppress(ArgumentError):
            chat = numbers.put([{"role": role, "content": role} for role in roles])
            return numbers.around(self.render(chat, add_generation_prompt=False))
        return []
