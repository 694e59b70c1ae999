"""Control tokens in the texts of a conversation, and placeholders for those texts. Pure.

A prompt is one text. A user who writes `[INST]` or `<|im_start|>` would speak in another's name: neither
tokenizer nor model can tell such a control token from the template's own. So a space is put after its
first character, which a reader looks past.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

Message = Mapping[str, Any]

_KNOWN = (
    r"</?s>|<(?:unk|pad|bos|eos)>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<\|(?:im_start|im_end|system|user|assistant|end|endoftext|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|eot_id)\|>"
)
"""Control tokens of the families that have a name here: they count for every template."""
_BARRED = r"<[|\uff5c][^<>|\uff5c\s]+[|\uff5c]>"
"""The form of most other models' tokens, with DeepSeek's wide bars, and hardly of anything else."""
_OWN = re.compile(rf"{_BARRED}|<</?\w+>>|</?(?!think>)\w+>|\[\|\w+\|\]|\[/?[A-Z][A-Z_]+\]")
"""The forms of a token in a template's own text, but for those around a model's reasoning."""
_LABEL = re.compile(r"(?:#+ *[^\n#:]+|\b[A-Z]\w*):\s*$")
"""What a template without control tokens writes before a message, such as `USER: `."""


def control_tokens(template: str, around: Iterable[str], more: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of control tokens: those of all families, of a template, and `more`.

    Args:
        template: The Jinja text.
        around: What it writes around the texts of a conversation.
        more: Other control tokens of the model's tokenizer.
    """
    tokens = {*_OWN.findall(template), *more}
    for text in around:
        tokens.update(_OWN.findall(text), _LABEL.findall(text))
    longest_first = sorted({token.strip() for token in tokens}, key=len, reverse=True)
    literal = [re.escape(token) for token in longest_first if len(token) > 1]
    return re.compile(f"{'|'.join([*literal, _KNOWN])}|(?P<other>{_BARRED})")


def defuse(value: Any, tokens: re.Pattern[str], names: set[str]) -> Any:
    """Put a space into each control token in every text; add the tokens to `names`."""

    def apart(token: re.Match[str]) -> str:
        names.add("<|…|>" if token["other"] else token[0])
        return f"{token[0][0]} {token[0][1:]}"

    def change(text: str, *_: str) -> str:
        while tokens.search(text):  # a defused token may hold another
            text = tokens.sub(apart, text)
        return text

    return _changed(value, change)


def has_injected_tokens(text: str, harmless: str, tokens: re.Pattern[str]) -> bool:
    """Whether a prompt has control tokens that it has not with placeholders for texts."""
    ours, theirs = (Counter(token[0] for token in tokens.finditer(one)) for one in (harmless, text))
    return bool(theirs - ours)


class Placeholders:
    """Numbers instead of texts, to see what a template does with each.

    The same text has the same number, since templates compare. Blank texts stay, and those that
    templates decide by.
    """

    _KEPT = frozenset(("role", "type", "id", "tool_call_id"))
    _NEEDED = (("content",), ("content", "text"), ("arguments",), ("function", "name"))
    _MARK = re.compile(r"7310592864\d{6}")  # no template has this number of its own
    _SHOWN = re.compile(rf"(?<!'text': ')(?<!\"text\": \")(?<!\"text\":\"){_MARK.pattern}")
    """A placeholder by itself, not in a list of blocks that a template printed as a text."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._needed: Counter[str] = Counter()

    def put(self, value: Any, *path: str) -> Any:
        """Replace the texts of messages, or of what is found under such names."""
        return _changed(value, self._number, *path)

    def _number(self, text: str, *path: str) -> str:
        if not text.strip() or path[-1] in self._KEPT:
            return text
        number = self._numbers.setdefault(text, f"7310592864{len(self._numbers):06}")
        argument = "arguments" in path[:-1] and path[-1] != "text"
        if argument or any(path[-len(end) :] == end for end in self._NEEDED):
            self._needed[number] += 1
        return number

    def lost(self, text: str) -> Counter[str]:
        """Return the placeholders that a template has not written, of what the model has to read."""
        return self._needed - Counter(self._SHOWN.findall(text))

    def around(self, text: str) -> list[str]:
        """Return what is before, between and after the placeholders."""
        return self._MARK.split(text)


def _changed(value: Any, change: Callable[..., str], *path: str) -> Any:
    """Copy a value with every text changed by a function of the text and the names that lead to it."""
    if isinstance(value, str):
        return change(value, *path)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _changed(item, change, *path, name) for name, item in items}
    if isinstance(value, list | tuple):
        return [_changed(item, change, *path) for item in cast("list[Any]", value)]
    return value
