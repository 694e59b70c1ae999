"""The tool-call formats of model families. Pure."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from datacrunch_tgi._errors import ArgumentError

Syntax = Literal["bare", "tagged", "mistral", "deepseek"]


@dataclass(frozen=True, kw_only=True)
class ToolFormat:
    """How a family of models writes tool calls.

    Attributes:
        name: The value of the setting `tool_format`.
        syntax: How calls are read.
        models: Pattern for model names in lower case, with a dash between words.
        marks: Pattern for text in a chat template of the family.
        open: Markers that start calls.
        close: Marker that ends calls; "" if there is none.
        special: Markers that are special tokens; as ordinary text they are text.
        drop: Markers around ordinary text, which is shown without them.
        stop: Strings that end a turn and that a server may not know.
    """

    name: str
    syntax: Syntax
    models: str = field(default=r"(?!)", repr=False)
    marks: str = field(default=r"(?!)", repr=False)
    open: tuple[str, ...] = field(default=("<tool_call>",), repr=False)
    close: str = field(default="", repr=False)
    special: tuple[str, ...] = field(default=(), repr=False)
    drop: tuple[str, ...] = field(default=(), repr=False)
    stop: tuple[str, ...] = field(default=(), repr=False)

    @property
    def plain(self) -> tuple[str, ...]:
        """Markers that are text in some tokenizers and special tokens in others."""
        return (
            *self.open,
            self.close,
            *self.drop,
            *(DEEPSEEK if self.syntax == "deepseek" else ()),
        )

    @property
    def in_words(self) -> bool:
        """Whether the family has no format, so that the prompt asks for JSON."""
        return self is WORDS

    @classmethod
    def named(cls, name: str) -> "ToolFormat":
        """Return the format of this name.

        Raises:
            ArgumentError: There is no such format.
        """
        if name in FORMATS:
            return FORMATS[name]
        near = get_close_matches(name, FORMATS, n=1)
        more = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(FORMATS)}"
        raise ArgumentError("tool_format", f"no such format; {more}", value=repr(name))

    @classmethod
    def for_template(cls, template: str) -> "ToolFormat | None":
        """Return the format whose markers a chat template contains; None if it has none."""
        return next((one for one in FORMATS.values() if re.search(one.marks, template)), None)

    @classmethod
    def for_model(cls, model: str) -> "ToolFormat":
        """Return the format for a model's name; `words` if no family is known."""
        last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
        dashed = re.sub(r"[^a-z0-9]+", "-", last.lower())
        found = (one for one in FORMATS.values() if re.match(rf"({one.models})(-|$)", dashed))
        return next(found, WORDS)

    @classmethod
    def find(
        cls, name: str | None = None, template: str | None = None, model: str = ""
    ) -> "ToolFormat":
        """Return the format by a setting, else by a chat template's markers, else by a model's name.

        Raises:
            ArgumentError: No format has this name.
        """
        if name is not None:
            return cls.named(name)
        return (cls.for_template(template) if template else None) or cls.for_model(model)


DEEPSEEK = tuple(
    f"<\uff5ctool\u2581{name}\uff5c>"
    for name in ("calls\u2581begin", "call\u2581begin", "sep", "call\u2581end", "calls\u2581end")
)
"""DeepSeek's markers: start of calls, start of a call, separator, end of a call, end of calls."""
_LISTED = (
    ToolFormat(
        name="llama-4",
        syntax="bare",
        models=r"(meta-)?llama-?4-(\w+-)*instruct",
        marks=r"<\|python_start\|>|<\|header_start\|>",
        open=("<|python_start|>",),
        close="<|python_end|>",
        special=("<|python_start|>", "<|python_end|>"),
        stop=("<|eom|>",),
    ),
    ToolFormat(
        name="llama-3",
        syntax="bare",
        models=r"(meta-)?llama-?3-[123]-(\w+-)*instruct",
        marks=r"<\|python_tag\|>|Environment: ipython",
        open=("<|python_tag|>",),
        special=("<|python_tag|>",),
        stop=("<|eom_id|>",),
    ),
    ToolFormat(
        name="mistral",
        syntax="mistral",
        models=r"(mistral-7b-instruct-v0-3|mixtral-8x22b-instruct|mistral-(nemo|small|medium|large)"
        r"|ministral|magistral|devstral|codestral|pixtral)(-\w+)*",
        marks=r"\[TOOL_CALLS\]",
        open=("[TOOL_CALLS]",),
        special=("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
    ),
    ToolFormat(
        name="qwen3-coder",
        syntax="tagged",
        models=r"qwen-?3-(coder|[5-9])(-\w+)*",
        marks=r"<function=",
        open=("<tool_call>", "<function="),
        close="</tool_call>",
    ),
    ToolFormat(
        name="granite-4",
        syntax="tagged",
        models=r"granite-4(?!-0-tiny-preview)(-\w+)*",
        marks=r"(?s)<\|start_of_role\|>.*<tool_call>|<tool_call>.*<\|start_of_role\|>",
        close="</tool_call>",
    ),
    ToolFormat(
        name="granite",
        syntax="tagged",
        models=r"granite-3(-\w+)*-instruct|granite-4-0-tiny-preview",
        marks=r"available_tools|<\|start_of_role\|>",
        open=("<|tool_call|>", "<tool_call>"),
        close="</tool_call>",
        special=("<|tool_call|>",),
    ),
    ToolFormat(
        name="phi-4",
        syntax="tagged",
        models=r"phi-4-mini(-\w+)*",
        marks=r"<\|tool_call\|>|<\|/tool\|>|functools\[",
        open=("<|tool_call|>", "functools"),
        close="<|/tool_call|>",
    ),
    ToolFormat(
        name="deepseek",
        syntax="deepseek",
        models=r"deepseek-(v3|r1|chat|reasoner)(?!-distill)(-\w+)*",
        marks="<\uff5ctool\u2581call\u2581begin\uff5c>",
        open=DEEPSEEK[:2],
        close=DEEPSEEK[3],
    ),
    ToolFormat(
        name="command-r7b",
        syntax="tagged",
        models=r"(c4ai-)?command-(r7b|a)(-\w+)*",
        marks=r"<\|START_ACTION\|>",
        open=("<|START_ACTION|>",),
        close="<|END_ACTION|>",
        drop=("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ),
    ToolFormat(
        name="command-r",
        syntax="tagged",
        models=r"(c4ai-)?command-r(-\w+)*",
        marks=r"directly[-_]answer|Action:",
        open=("Action:",),
    ),
    ToolFormat(
        name="hermes",
        syntax="tagged",
        models=r"(nous-)?hermes-[234](-\w+)*",
        marks=r"<scratch_pad>|\"?FunctionCall",
        close="</tool_call>",
    ),
    ToolFormat(
        name="qwen",
        syntax="tagged",
        models=r"qwen-?(2-5|3)(-\w+)*|qwq(-\w+)*",
        marks=r"<tool_call>",
        close="</tool_call>",
    ),
)
WORDS = ToolFormat(name="words", syntax="bare", open=())
FORMATS = {one.name: one for one in (*_LISTED, WORDS)}
