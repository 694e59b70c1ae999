"""The texts of a conversation: what they may be mistaken for, and the forms they can be told in. Pure.

A prompt is one text. A user who writes `[INST]` or `<|im_start|>` would speak in another's name: neither
tokenizer nor model can tell such a control token from the template's own. So it is broken up, by a space
after its first character, which a reader looks past.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from datacrunch_tgi._errors import ArgumentError

Message = Mapping[str, Any]

_KNOWN = (
    r"</?s>|<(?:unk|pad|bos|eos)>|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<\|(?:im_start|im_end|system|user|assistant|end|endoftext|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|eot_id)\|>"
)
"""The control tokens of the families that have a name here: they count for every template."""
_BARRED = r"<[|\uff5c][^<>|\uff5c\s]+[|\uff5c]>"
"""The form of most other models' tokens, DeepSeek's wide bars among it, and hardly of anything else."""
_OWN = re.compile(rf"{_BARRED}|<</?\w+>>|</?(?!think>)\w+>|\[\|\w+\|\]|\[/?[A-Z][A-Z_]+\]")
"""The forms of a token in a template's own text. What a model thinks is no matter of control."""
_LABEL = re.compile(r"(?:#+ *[^\n#:]+|\b[A-Z]\w*):\s*$")
"""What a template without tokens puts before a message, such as `USER: `."""


def control_tokens(template: str, around: Iterable[str], more: Iterable[str]) -> re.Pattern[str]:
    """Make a pattern of control tokens: `more`, those of the template, and those of all families.

    Args:
        template: The text of the template.
        around: What it puts around the texts of a conversation.
        more: What the model's tokenizer takes for a control token.
    """
    tokens = {*_OWN.findall(template), *more}
    for text in around:
        tokens.update(_OWN.findall(text), _LABEL.findall(text))
    longest_first = sorted({token.strip() for token in tokens}, key=len, reverse=True)
    literal = [re.escape(token) for token in longest_first if len(token) > 1]
    return re.compile(f"{'|'.join([*literal, _KNOWN])}|(?P<other>{_BARRED})")


def broken_up(value: Any, tokens: re.Pattern[str], names: set[str]) -> Any:
    """Break up the control tokens in every text; add to `names` what they are called."""

    def apart(token: re.Match[str]) -> str:
        names.add("<|…|>" if token["other"] else token[0])
        return f"{token[0][0]} {token[0][1:]}"

    def change(text: str, *_: str) -> str:
        while tokens.search(text):  # what was broken up may hold another
            text = tokens.sub(apart, text)
        return text

    return _changed(value, change)


def forged(text: str, harmless: str, tokens: re.Pattern[str]) -> bool:
    """Whether a prompt has a control token more than with harmless texts."""
    ours, theirs = (Counter(token[0] for token in tokens.finditer(one)) for one in (harmless, text))
    return bool(theirs - ours)


class Marks:
    """Numbers in the place of texts, to see what a template makes of each.

    The same text has the same number, since templates compare. Blank texts stay, and those that
    templates go by.
    """

    _STAY = frozenset(("role", "type", "id", "tool_call_id"))
    _TOLD = (("content",), ("content", "text"), ("arguments",), ("function", "name"))
    _MARK = re.compile(r"7310592864\d{6}")  # no template has this number of its own
    _SHOWN = re.compile(rf"(?<!'text': ')(?<!\"text\": \")(?<!\"text\":\"){_MARK.pattern}")
    """A mark that stands by itself, not in a list of blocks that a template took for a text."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}
        self._needed: Counter[str] = Counter()

    def put(self, value: Any, *path: str) -> Any:
        """Put marks into messages, or into what such names lead to."""
        return _changed(value, self._mark, *path)

    def _mark(self, text: str, *path: str) -> str:
        if not text.strip() or path[-1] in self._STAY:
            return text
        mark = self._marks.setdefault(text, f"7310592864{len(self._marks):06}")
        if any(path[-len(end) :] == end for end in self._TOLD):
            self._needed[mark] += 1
        return mark

    def lost(self, text: str) -> Counter[str]:
        """Return the marks, of what the model is to read, that a template has not shown."""
        return self._needed - Counter(self._SHOWN.findall(text))

    def around(self, text: str) -> list[str]:
        """Return what stands before, between and after the marks."""
        return self._MARK.split(text)


def _changed(value: Any, change: Callable[..., str], *path: str) -> Any:
    """Copy a value with every text in it changed, by a function of the text and the names that lead to it."""
    if isinstance(value, str):
        return change(value, *path)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _changed(item, change, *path, name) for name, item in items}
    if isinstance(value, list | tuple):
        return [_changed(item, change, *path) for item in cast("list[Any]", value)]
    return value


def check(name: str, given: object) -> None:
    """Check messages or tools.

    Raises:
        ArgumentError: They are no list of dictionaries, or there is no message.
    """
    items = cast("Sequence[object]", given) if isinstance(given, Sequence) else [None]
    if not all(isinstance(item, Mapping) for item in items):
        raise ArgumentError(name, "must be a list of dictionaries")
    if name == "messages" and not given:
        raise ArgumentError(name, "must not be empty")


def with_instructions(chat: Sequence[Message], instructions: str) -> list[Message]:
    """Add instructions to the system message, or begin with one that has them."""
    first = chat[0]
    if first.get("role") != "system":
        return [{"role": "system", "content": instructions}, *chat]
    content = first.get("content") or ""
    if isinstance(content, str):
        content = f"{content}\n\n{instructions}" if content else instructions
    else:
        content = [*content, {"type": "text", "text": f"\n\n{instructions}"}]
    return [{**first, "content": content}, *chat[1:]]


def forms(chat: Sequence[Message]) -> list[list[Message]]:
    """Return a conversation as it is, and in the forms in which more templates take it.

    Raises:
        ArgumentError: A block of it is no text.
    """
    joined = [_joined(message) for message in chat]
    merged = _merged(joined)
    found = [list(chat), joined, merged]
    found += [_merged([*merged[:n], *map(_told_by_user, merged[n:])]) for n in (1, 0)]
    return [form for n, form in enumerate(found) if form not in found[:n]]


def _joined(message: Message) -> Message:
    """Make one text of text blocks."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    blocks = [
        {"type": "text", "text": block} if isinstance(block, str) else cast("Message", block)
        for block in cast("Sequence[Any]", content)
    ]
    for block in blocks:
        if block.get("type") != "text":
            rule = f"a prompt holds text alone, no block of type {block.get('type')!r}"
            raise ArgumentError("messages", rule)
    return {**message, "content": "".join(block["text"] for block in blocks)}


def _told_by_user(message: Message) -> Message:
    return {**message, "role": "user"} if message.get("role") == "system" else message


def _merged(chat: Sequence[Message]) -> list[Message]:
    """Merge neighbours that differ in their texts alone; they may have names, which then are left off."""
    merged = list[Message]()
    for message in chat:
        last = merged[-1] if merged else {}
        texts = [last.get("content"), message.get("content")]
        unnamed = [{**one, "name": None, "content": None} for one in (last, message)]
        if unnamed[0] == unnamed[1] and all(isinstance(text, str) for text in texts):
            joined = {**message, "content": "\n\n".join(filter(None, texts))}
            merged[-1] = {name: value for name, value in joined.items() if name != "name"}
        else:
            merged.append(message)
    return merged
