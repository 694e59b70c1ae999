"""Variants of a conversation for templates that refuse it, from the smallest change to the largest. Pure.

unchanged ─▶ tool calls in other forms ─▶ neighbours merged ─▶ an empty user message first
    ─▶ system messages as user messages ─▶ tool calls as text ─▶ everything in one user message
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from datacrunch_tgi._chat._texts import Message
from datacrunch_tgi._chat._tool_messages import in_words, variants

Chat = list[Message]


def fallbacks(
    chat: Sequence[Message], own_calls: Callable[[Sequence[Any]], str] | None = None
) -> Iterator[tuple[str, Chat]]:
    """Yield a conversation unchanged, and then variants that more templates accept.

    Args:
        chat: Messages whose content is text, or text blocks.
        own_calls: Formats tool calls as the model does, for templates that render only text.

    Yields:
        A description of the change, "" for the first, and the messages.
    """
    seen = list[Chat]()
    for change, form in _all_forms(list(chat), own_calls):
        if form not in seen:
            seen.append(form)
            yield change, form


def _all_forms(
    chat: Chat, own_calls: Callable[[Sequence[Any]], str] | None
) -> Iterator[tuple[str, Chat]]:
    yield "", chat
    joined = [_joined(message) for message in chat]
    calls = dict[str, Chat](variants(joined, own_calls))
    for change, arrange in _ARRANGEMENTS.items():
        for tools, form in calls.items():
            yield " and ".join(filter(None, (tools, change))) or "text blocks joined", arrange(form)
    words = in_words(joined)
    for change, arrange in _ARRANGEMENTS.items():
        yield " and ".join(filter(None, ("tool messages in words", change))), arrange(words)
    yield "everything in one user message", [{"role": "user", "content": _transcript(words)}]


def _joined(message: Message) -> Message:
    """Join text blocks."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    blocks = cast("list[Any]", content)  # type: ignore[redundant-cast]  # pyright needs it
    texts = [block if isinstance(block, str) else block["text"] for block in blocks]
    return {**message, "content": "".join(texts)}


def merged(chat: Sequence[Message]) -> Chat:
    """Merge adjacent messages that differ only in their texts; names are dropped."""
    found = Chat()
    for message in chat:
        last = found[-1] if found else {}
        texts = [last.get("content"), message.get("content")]
        unnamed = [{**one, "name": None, "content": None} for one in (last, message)]
        if unnamed[0] == unnamed[1] and all(isinstance(text, str) for text in texts):
            joined = {**message, "content": "\n\n".join(filter(None, texts))}
            found[-1] = {name: value for name, value in joined.items() if name != "name"}
        else:
            found.append(message)
    return found


def _user_first(chat: Chat) -> Chat:
    """Insert an empty user message if the first message is the assistant's, such as a greeting."""
    place = 1 if chat[0].get("role") == "system" else 0
    role = chat[place].get("role") if place < len(chat) else "assistant"
    if role == "user":
        return chat
    return [*chat[:place], {"role": "user", "content": ""}, *chat[place:]]


def _late_system(chat: Chat) -> Chat:
    first = merged(chat)[:1]
    return merged([*first, *map(_as_user, merged(chat)[1:])])


def _no_system(chat: Chat) -> Chat:
    return merged(list(map(_as_user, chat)))


def _as_user(message: Message) -> Message:
    return {**message, "role": "user"} if message.get("role") == "system" else message


def _transcript(chat: Chat) -> str:
    if len(chat) == 1:
        return str(chat[0].get("content") or "")
    return "\n\n".join(f"{one.get('role', 'user')}: {one.get('content') or ''}" for one in chat)


_ARRANGEMENTS: dict[str, Callable[[Chat], Chat]] = {
    "": list,
    "neighbours of one role merged": merged,
    "an empty user message first": lambda chat: _user_first(merged(chat)),
    "later system messages as the user's": _late_system,
    "later system messages as the user's, an empty one first": lambda chat: _user_first(
        _late_system(chat)
    ),
    "system messages as the user's": _no_system,
    "system messages as the user's, an empty one first": lambda chat: _user_first(_no_system(chat)),
}
