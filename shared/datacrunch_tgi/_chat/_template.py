"""Chat templates: how a conversation becomes the prompt of a model. Pure, but for a file that is named.

`ChatTemplate.render` gives what transformers' `apply_chat_template` gives. `ChatTemplate.prompt` gives
what to send: nothing of the conversation is lost, and none of its texts passes for a control token.
"""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import Any

from datacrunch_tgi._chat import _files
from datacrunch_tgi._chat._texts import (
    Marks,
    Message,
    broken_up,
    check,
    control_tokens,
    forged,
    forms,
    with_instructions,
)
from datacrunch_tgi._errors import ArgumentError

_BEGIN = r"<s>|<bos>|<\|begin_of_text\|>"
"""What begins a prompt by a template that writes its `bos_token` out."""


class ControlTokenWarning(UserWarning):
    """Texts of a conversation held control tokens, which were broken up."""


@dataclass(frozen=True, repr=False)
class ChatTemplate:
    """A model's chat format.

    Attributes:
        template: The Jinja text.
        bos_token: The text of the token that begins a prompt, None where the model has none.
        eos_token: The text of the token that ends an answer, likewise.
        tool_template: The Jinja text for conversations with tools, None where it is the same.
        control_tokens: What else the model's tokenizer takes for control tokens.
        variables: What else the template asks for, such as `unk_token` or `enable_thinking`.
    """

    template: str
    _: KW_ONLY
    bos_token: str | None = None
    eos_token: str | None = None
    tool_template: str | None = None
    control_tokens: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __repr__(self) -> str:
        # Short, but another for each: LangChain's cache goes by it.
        told = repr([getattr(self, item.name) for item in fields(self)])
        begin = shorten(self.template, 40, placeholder="…")
        return f"ChatTemplate({begin!r}, sha256={sha256(told.encode()).hexdigest()[:16]})"

    @classmethod
    def of(cls, given: "ChatTemplate | str | os.PathLike[str]") -> "ChatTemplate":
        """Return the chat template that an argument means.

        Args:
            given: A chat template, the name of one or of a model, a file or folder, or a Jinja text.

        Raises:
            ArgumentError: It is none of these.
        """
        if isinstance(given, ChatTemplate):
            return given
        if not isinstance(given, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance] -- people err
            rule = "must be a ChatTemplate, a name, a path or a Jinja text"
            raise ArgumentError("chat_template", rule, value=repr(given))
        if isinstance(given, str) and ("{{" in given or "{%" in given):
            return cls(given)
        if isinstance(given, str) and _files.is_name(given):
            return cls.named(given)
        if not isinstance(given, str) or os.path.exists(given):  # noqa: PTH110 -- any text will do
            return cls.from_file(given)
        return cls.for_model(given) or cls.named(given)

    @classmethod
    def named(cls, name: str) -> "ChatTemplate":
        """Return the chat template of a family of models.

        Args:
            name: llama-2, llama-3, mistral or mixtral, mistral-v3, chatml or qwen, zephyr, gemma,
                phi-3 or vicuna, in any spelling.

        Raises:
            ArgumentError: There is none of that name.
        """
        return cls(**_files.named(name))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the families whose chat templates are known."""
        return _files.names()

    @classmethod
    def for_model(cls, model: str) -> "ChatTemplate | None":
        """Return the chat template that goes with a model's name; None where the name tells none.

        A base model has none, and a fine-tuned one of another name may have any.
        """
        name = _files.name_for(model)
        return cls.named(name) if name else None

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "ChatTemplate":
        """Read a model's own chat template.

        Args:
            path: The model's folder, or in it chat_template.jinja, chat_template.json or
                tokenizer_config.json, of which the first counts. A tokenizer_config.json beside it
                tells the special tokens.

        Raises:
            ArgumentError: It cannot be read, or holds no chat template.
        """
        return cls(**_files.read(Path(path)))

    @property
    def tool_text(self) -> str:
        """The Jinja text for conversations with tools."""
        return self.tool_template or self.template

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the template has a place for tools; if not, the prompt has to describe them in words."""
        marks = Marks()
        chat = marks.put([{"role": "user", "content": "user"}])
        function: dict[str, Any] = {
            "name": "name",
            "description": "text",
            "parameters": {"type": "object", "properties": {}},
        }
        tools = marks.put([{"type": "function", "function": function}], "function")
        with suppress(ArgumentError):
            return not marks.lost(self.render(chat, tools=tools))
        return False

    @cached_property
    def stop(self) -> tuple[str, ...]:
        """What ends the assistant's turn, unless it is `eos_token`: for the stop strings of a request."""
        around = self._around("user", "assistant")
        end = self._tokens(None, around).match(around[-1].lstrip()) if around else None
        return (end[0],) if end and end[0] != self.eos_token else ()

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
            add_generation_prompt: Begin the assistant's next turn, unless the last one is continued.
            tools: JSON schemas of tools.
            continue_final_message: Leave the last message open, for the model to continue.
            variables: What else the template asks for, such as `documents` or `unk_token`.

        Raises:
            ArgumentError: The template refuses the messages, or is faulty; in its own words.
        """
        from datacrunch_tgi._chat import _rendering  # noqa: PLC0415 -- jinja2 takes 50 ms

        check("messages", messages)
        check("tools", tools or ())
        tokens = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        return _rendering.rendered(
            self._template(tools),
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
        allow_control_tokens: bool = False,
    ) -> str:
        """Render a conversation for a server, which puts `bos_token` in front by itself.

        A last message of the assistant is continued, as TGI's own chat route does it (3.0). Messages that
        the template refuses or leaves out are told in another form: text blocks joined, neighbours of one
        role merged, system messages told by the user.

        Args:
            messages: Dictionaries with `role` and `content`, a text or a list of text blocks.
            tools: JSON schemas of tools, for a template that takes them.
            instructions: What the system message says beside its text.
            allow_control_tokens: Leave control tokens in the conversation's texts. Else a space breaks
                them up (`[ INST]`), with one `ControlTokenWarning`.

        Raises:
            ArgumentError: The template has no place for a message or a tool, in any form.
        """
        check("messages", messages)
        check("tools", tools or ())
        if instructions:
            messages = with_instructions(messages, instructions)
        *others, last = forms(messages)
        for form in others:
            with suppress(ArgumentError):
                return self._prompt(form, tools, allow=allow_control_tokens)
        return self._prompt(last, tools, allow=allow_control_tokens)

    def _prompt(self, chat: Sequence[Message], tools: Any, *, allow: bool) -> str:
        continued = chat[-1].get("role") == "assistant" and not chat[-1].get("tool_calls")
        marks = Marks()
        marked = marks.put(chat)
        marked_tools = marks.put(tools, "function")
        harmless = self.render(marked, tools=marked_tools, continue_final_message=continued)
        if lost := marks.lost(harmless):
            roles = [one.get("role") for one in marked if any(mark in repr(one) for mark in lost)]
            rule = f"leaves out what the {roles[0]} says" if roles else "has no place for tools"
            raise ArgumentError("messages" if roles else "tools", f"the chat template {rule}")
        tokens = self._tokens(tools, marks.around(harmless))
        names = set[str]()
        if not allow:
            chat, tools = broken_up((chat, tools), tokens, names)
        text = self.render(chat, tools=tools, continue_final_message=continued)
        if not allow and forged(text, harmless, tokens):
            raise ArgumentError("messages", "the chat template makes control tokens of their parts")
        if names:
            warning = f"control tokens broken up in the messages: {', '.join(sorted(names))}"
            warnings.warn(warning, ControlTokenWarning, stacklevel=3)
        begin = re.match(re.escape(self.bos_token) if self.bos_token else _BEGIN, harmless)
        return text.removeprefix(begin[0]) if begin else text

    def _template(self, tools: Any) -> str:
        return self.template if tools is None or self.tool_template is None else self.tool_template

    def _tokens(self, tools: Any, around: Sequence[str]) -> re.Pattern[str]:
        more = [self.bos_token, self.eos_token, *self.control_tokens]
        around = [*around, *self._around_roles]
        return control_tokens(self._template(tools), around, filter(None, more))

    @cached_property
    def _around_roles(self) -> list[str]:
        """What the template puts around a message of each role, as far as it knows them."""
        return [*self._around("user", "assistant"), *self._around("system", "user")]

    def _around(self, *roles: str) -> list[str]:
        marks = Marks()
        with suppress(ArgumentError):
            chat = marks.put([{"role": role, "content": role} for role in roles])
            return marks.around(self.render(chat, add_generation_prompt=False))
        return []
