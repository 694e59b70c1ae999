"""Control tokens in the texts of a conversation, and placeholders for those texts. Pure.

A prompt is one text. A user who writes `[INST]` or `<|im_start|>` could start another role's turn: neither
tokenizer nor model can distinguish such a control token from the template's own. So a space is inserted
after its first character.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._reasoning import REASONING_MARKS

Message = Mapping[str, Any]


class ControlTokenWarning(UserWarning):
    """Warns that control tokens in messages were neutralised."""


_KNOWN = (
    r"</?s>|<(?:unk|pad|bos|eos)>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<\|(?:im_start|im_end|system|user|assistant|end|endoftext|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|eot_id)\|>"
)
"""Control tokens of the bundled templates' families; they count for every template."""
_BARRED = r"<[|\uff5c][^<>|\uff5c\s]+[|\uff5c]>"
"""Form of most other models' control tokens, including DeepSeek's wide bars."""
_OWN = re.compile(rf"{_BARRED}|<</?\w+>>|</?\w+>|\[\|\w+\|\]|\[/?[A-Z][A-Z_]+\]")
"""Forms of control tokens in a template's own text."""
_REASONING = "|".join(map(re.escape, sorted(REASONING_MARKS)))
"""Marks of reasoning start no role's turn, and a model's own answers in a history have them."""
_LABEL = re.compile(r"(?:#+ *[^\n#:]+|\b[A-Z]\w*):\s*$")
"""What a template without control tokens puts before a message, such as `USER: `."""


def control_tokens(template: str, around: Iterable[str], more: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for control tokens: those of all families, of a template, and `more`.

    Args:
        template: The Jinja text.
        around: What it puts around the texts of a conversation.
        more: Other control tokens of the model's tokenizer.
    """
    tokens = {*_OWN.findall(template), *more}
    for text in around:
        tokens.update(_OWN.findall(text), _LABEL.findall(text))
    longest_first = sorted({token.strip() for token in tokens}, key=len, reverse=True)
    literal = [re.escape(token) for token in longest_first if len(token) > 1]
    return re.compile(f"(?!{_REASONING})(?:{'|'.join([*literal, _KNOWN])}|(?P<other>{_BARRED}))")


def defuse(value: Any, tokens: re.Pattern[str], names: set[str]) -> Any:
    """Insert a space into each control token in every text; add the tokens to `names`."""

    def apart(token: re.Match[str]) -> str:
        names.add("<|…|>" if token["other"] else token[0])
        return f"{token[0][0]} {token[0][1:]}"

    def change(text: str, *_: str) -> str:
        while tokens.search(text):  # a neutralised token may contain another
            text = tokens.sub(apart, text)
        return text

    return _changed(value, change)


class Placeholders:
    """Numbers instead of texts, to see what a template does with each text.

    The same text has the same number, because templates compare texts. Blank texts, and those that
    templates branch on, are kept.
    """

    _KEPT = frozenset(("role", "type", "id", "tool_call_id"))
    _NEEDED = (("content",), ("content", "text"), ("arguments",), ("function", "name"))
    _MARK = re.compile(r"731059286[45]\d{6}")  # no template contains this number
    _SHOWN = re.compile(
        r"(?<!'text': ')(?<!\"text\": \")(?<!\"text\":\")7310592864\d{6}|7310592865\d{6}"
    )
    """A placeholder by itself, not in a list of blocks that a template printed as text; the second form is
    for arguments, which may be called `text`."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, bool], str] = {}
        self._needed: Counter[str] = Counter()

    def put(self, value: Any, *path: str) -> Any:
        """Replace the texts of messages, or of a value that is found at this path."""
        return _changed(value, self._number, *path)

    def _number(self, text: str, *path: str) -> str:
        if not text.strip() or path[-1] in self._KEPT:
            return text
        argument = "arguments" in path[:-1]
        new = f"731059286{4 + argument}{len(self._numbers):06}"
        number = self._numbers.setdefault((text, argument), new)
        if argument or any(path[-len(end) :] == end for end in self._NEEDED):
            self._needed[number] += 1
        return number

    def lost(self, text: str) -> Counter[str]:
        """Return the required placeholders that a template has not rendered."""
        return self._needed - Counter(self._SHOWN.findall(text))

    def around(self, text: str) -> list[str]:
        """Return the text before, between and after the placeholders."""
        return self._MARK.split(text)


def render_safely(
    render: Callable[..., str],
    control_tokens_of: Callable[[Sequence[str]], re.Pattern[str]],
    given: tuple[Sequence[Message], Any],
    defused: set[str] | None,
) -> tuple[str, str]:
    """Render a conversation of which nothing is lost, and no text becomes a control token.

    Args:
        render: Called with messages and `tools`.
        control_tokens_of: Returns their pattern; called with what the template writes around texts.
        given: Messages, and tools or None.
        defused: The set to add neutralised control tokens to; None if they are allowed.

    Returns:
        The prompt, and the same prompt with placeholders for the conversation's texts.

    Raises:
        ArgumentError: The template leaves out a text, or makes a control token of several.
    """
    chat, tools = given
    numbers = Placeholders()
    numbered, numbered_tools = numbers.put(chat), numbers.put(tools, "function")
    harmless = render(numbered, tools=numbered_tools)
    if lost := numbers.lost(harmless):
        roles = [one.get("role") for one in numbered if any(n in repr(one) for n in lost)]
        rule = f"leaves out what the {roles[0]} says" if roles else "has no place for tools"
        raise ArgumentError("messages" if roles else "tools", f"the chat template {rule}")
    if defused is None:
        return render(chat, tools=tools), harmless
    tokens = control_tokens_of(numbers.around(harmless))
    chat, tools = defuse(given, tokens, defused)
    text = render(chat, tools=tools)
    ours, theirs = (Counter(token[0] for token in tokens.finditer(one)) for one in (harmless, text))
    if theirs - ours:
        raise ArgumentError("messages", "the chat template joins their parts to control tokens")
    return text, harmless


def _changed(value: Any, change: Callable[..., str], *path: str) -> Any:
    """Copy a value with every text changed by a function of the text and its path."""
    if isinstance(value, str):
        return change(value, *path)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _changed(item, change, *path, name) for name, item in items}
    if isinstance(value, list | tuple):
        return [_changed(item, change, *path) for item in cast("list[Any]", value)]
    return value
