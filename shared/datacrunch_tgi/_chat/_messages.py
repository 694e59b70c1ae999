"""Messages as they are passed, checked and made ready for a template. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from datacrunch_tgi._chat._images import Inserts, image_markdown
from datacrunch_tgi._chat._texts import Message
from datacrunch_tgi._errors import ArgumentError

Chat = list[Message]


def check(name: str, given: object) -> None:
    """Check messages or tools.

    Raises:
        ArgumentError: It is not a list of dictionaries, or there is no message.
    """
    items = cast("Sequence[object]", given) if isinstance(given, Sequence) else [None]
    if not all(isinstance(item, Mapping) for item in items):
        raise ArgumentError(name, "must be a list of dictionaries")
    if name == "messages" and not given:
        raise ArgumentError(name, "must not be empty")


def to_chat(messages: Sequence[Message], inserts: Inserts, *, images: bool) -> Chat:
    """Return messages whose content is text or text blocks; images are among the inserts.

    Args:
        messages: The conversation.
        inserts: Takes the images.
        images: Whether the model reads images.

    Raises:
        ArgumentError: A message is malformed, or has content that cannot be sent; the field names it.
    """
    check("messages", messages)
    found = Chat()
    for number, message in enumerate(messages):
        place, content = f"messages[{number}]", message.get("content")
        if not isinstance(message.get("role"), str):
            raise ArgumentError(place, "must have a role, such as 'user'")
        if isinstance(content, list):
            given = cast("list[Any]", content)  # type: ignore[redundant-cast]  # pyright needs it
            blocks = [_block(block, place, inserts, images=images) for block in given]
            found.append(message if blocks == content else {**message, "content": blocks})
        elif content is None or isinstance(content, str):
            found.append(message)
        else:
            raise ArgumentError(place, "must have content that is text or a list of blocks")
    return found


def _block(given: Any, place: str, inserts: Inserts, *, images: bool) -> Any:
    if isinstance(given, str):
        return given
    block = cast("Message", given if isinstance(given, Mapping) else {})
    kind, text, image = (block.get(name) for name in ("type", "text", "image_url"))
    if kind == "text" and isinstance(text, str):
        return block
    url = cast("Message", image).get("url") if isinstance(image, Mapping) else image
    if kind != "image_url" or not isinstance(url, str):
        rule = "is not supported; only text and image_url are, in OpenAI's form"
        raise ArgumentError(place, f"content of type {kind!r} {rule}")
    if not images:
        rule = "has an image, but this model reads text only; set supports_images=True if it reads images"
        raise ArgumentError(place, rule)
    try:
        return {"type": "text", "text": inserts.add(image_markdown(url))}
    except ArgumentError as error:
        raise ArgumentError(place, error.rule) from None


def is_continued(chat: Sequence[Message]) -> bool:
    """Whether the answer continues the last message: an assistant's, unless it calls tools."""
    return chat[-1].get("role") == "assistant" and not chat[-1].get("tool_calls")


def with_instructions(chat: Sequence[Message], instructions: str) -> Chat:
    """Add instructions to the system message; insert one if there is none."""
    first = chat[0]
    if first.get("role") != "system":
        return [{"role": "system", "content": instructions}, *chat]
    content = first.get("content") or ""
    if isinstance(content, str):
        content = f"{content}\n\n{instructions}" if content else instructions
    else:
        content = [*content, {"type": "text", "text": f"\n\n{instructions}"}]
    return [{**first, "content": content}, *chat[1:]]
