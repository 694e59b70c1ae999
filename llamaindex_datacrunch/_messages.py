"""From LlamaIndex's messages to dicts for chat templates.

TextBlock, CitableBlock, text documents ─▶ text
ImageBlock ──────────────────────────────▶ image_url
ToolCallBlock ───────────────────────────▶ tool_calls
ThinkingBlock, CitationBlock, CachePoint ─▶ nothing: they are for their own provider
audio, video, other documents ───────────▶ an error that names the message

The network is not used: a server fetches the images that have a URL.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage, MessageRole

from datacrunch_tgi import ArgumentError
from datacrunch_tgi._chat import image_data_url

_ROLES = {
    MessageRole.DEVELOPER: "system",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.FUNCTION: "tool",
}
"""Chat-template roles for the roles of other providers' models."""
_DROPPED = {"thinking", "citation", "cache"}


def to_dicts(messages: Sequence[ChatMessage], *, images: bool = False) -> list[Mapping[str, Any]]:
    """Convert messages to OpenAI's form.

    Args:
        messages: The conversation.
        images: Whether the model reads images.

    Raises:
        ArgumentError: A message has unsupported content; the error names it.
    """
    found = list[Mapping[str, Any]]()
    for place, message in enumerate(messages):
        try:
            found.append(_to_dict(message, images=images))
        except ArgumentError as error:
            value = f"{error.value or 'image block'} from {message.role.value}"
            raise ArgumentError(f"messages[{place}]", error.rule, value=value) from None
    return found


def _to_dict(message: ChatMessage, *, images: bool) -> dict[str, Any]:
    parts = [part for block in message.blocks for part in _parts(block)]
    if not images and any(part["type"] == "image_url" for part in parts):
        rule = "this model reads text only; set supports_images=True if it reads images"
        raise ArgumentError("blocks", rule, value="image block")
    role = _ROLES.get(message.role, message.role.value)
    sent: dict[str, Any] = {"role": role, "content": _content(parts)}
    if role == "assistant" and (calls := _tool_calls(message)):
        sent["tool_calls"] = calls
    if role == "tool":
        for name in ("tool_call_id", "name"):
            if value := message.additional_kwargs.get(name):
                sent[name] = value
    return sent


def _content(parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Join adjacent texts with a line feed, as LlamaIndex does."""
    joined = list[dict[str, Any]]()
    for part in parts:
        if joined and joined[-1]["type"] == part["type"] == "text":
            joined[-1] = {"type": "text", "text": f"{joined[-1]['text']}\n{part['text']}"}
        else:
            joined.append(part)
    if not joined:
        return ""
    return joined[0]["text"] if len(joined) == 1 and "text" in joined[0] else joined


def _parts(block: Any) -> Iterator[dict[str, Any]]:
    kind = block.block_type
    if kind == "text":
        yield {"type": "text", "text": block.text}
    elif kind == "citable":
        for part in block.content:
            yield from _parts(part)
    elif kind == "document":
        yield {"type": "text", "text": _document_text(block)}
    elif kind == "image":
        yield {"type": "image_url", "image_url": {"url": _image_url(block)}}
    elif kind != "tool_call" and kind not in _DROPPED:
        rule = "is not supported; only text is, and images for models that read them"
        raise ArgumentError("blocks", rule, value=f"{kind} block")


def _document_text(block: Any) -> str:
    kind: str = block.document_mimetype or "text/plain"
    is_text = kind.startswith("text/") or kind in ("application/json", "application/xml")
    rule = "is not supported; pass its text in a TextBlock"
    if is_text and block.url is None:
        try:
            return cast("bytes", block.resolve_document().read()).decode()
        except (OSError, ValueError) as error:
            rule = f"cannot be read as text: {type(error).__name__}"
    raise ArgumentError("blocks", rule, value=f"document of type {kind}")


def _image_url(block: Any) -> str:
    if block.url is not None:
        return f"{block.url}"
    if block.path is None and not block.image:
        raise ArgumentError("blocks", "has no image, path or url", value="image block")
    try:
        data: bytes = block.resolve_image().read()
    except (OSError, ValueError) as error:
        rule = f"cannot be read: {type(error).__name__}"
    else:
        return image_data_url(data)
    raise ArgumentError("blocks", rule, value="image block")


def _tool_calls(message: ChatMessage) -> list[dict[str, Any]]:
    blocks: list[Any] = [block for block in message.blocks if block.block_type == "tool_call"]
    calls = [_call(block.tool_call_id, block.tool_name, block.tool_kwargs) for block in blocks]
    if not blocks:
        calls = [*map(_foreign_call, message.additional_kwargs.get("tool_calls") or ())]
    return [call for call in calls if call["function"]["name"]]


def _foreign_call(call: Any) -> dict[str, Any]:
    """Return a call from `additional_kwargs`: an OpenAI object or a dict."""
    function: Any = _get(call, "function") or call
    return _call(_get(call, "id"), _get(function, "name"), _get(function, "arguments"))


def _get(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON


def _call(call_id: str | None, name: Any, arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, str):
        with suppress(ValueError):  # broken JSON is sent as the model wrote it
            arguments = json.loads(arguments or "{}")
    call: dict[str, Any] = {
        "type": "function",
        "function": {"name": name, "arguments": arguments or {}},
    }
    return {"id": call_id, **call} if call_id else call
