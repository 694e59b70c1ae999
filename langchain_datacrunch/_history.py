"""From LangChain's messages to messages for chat templates. Pure.

    HumanMessage, SystemMessage  role, text and images
    AIMessage                    text and tool calls; thoughts, citations and the calls of another
                                 provider's own tools are left out
    ToolMessage                  text, and the id of its tool call

A history may come from any provider, for example after a fallback. Content that cannot be left out without
changing the meaning is an error that names the message.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    ToolMessage,
    message_chunk_to_message,
)

from datacrunch_tgi import ArgumentError

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
}
_TEXT = {"text", "input_text", "output_text", "text-plain"}
"""Blocks of text."""
_CALLS = {"tool_call", "tool_use", "function_call", "tool_call_chunk", "invalid_tool_call"}
"""Blocks that repeat `tool_calls`."""
_DROPPED = {
    "citation", "cache_point", "cachePoint", "guard_content",
    "reasoning", "reasoning_content", "reasoningContent", "thinking", "redacted_thinking",
    "server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use",
    "web_search_call", "web_search_tool_result", "web_fetch_tool_result", "file_search_call",
    "code_interpreter_call", "code_execution_tool_result", "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result", "executable_code", "code_execution_result",
    "computer_call", "mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_tool_use",
    "mcp_tool_result", "image_generation_call", "tool_search_call", "local_shell_call",
    "custom_tool_call", "compaction", "container_upload",
}  # fmt: skip
"""Blocks of an answer that have no meaning for another model."""


def to_messages(messages: Iterable[BaseMessage], *, images: bool) -> list[dict[str, Any]]:
    """Convert messages to dicts with role, content, tool calls and so on.

    Args:
        messages: LangChain messages.
        images: Whether the model reads images.

    Raises:
        ArgumentError: A message has a type or content that is not supported; the error names it.
    """
    made = list[dict[str, Any]]()
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        made.append(_to_message(message, place))
        if not images and not isinstance(made[-1]["content"], str):
            rule = (
                "has an image, but this model reads text only; set supports_images=True if it reads "
                "images"
            )
            raise ArgumentError(place, rule)
    return made


def _to_message(given: BaseMessage, place: str) -> dict[str, Any]:
    message = message_chunk_to_message(given)  # the sum of a stream
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        rule = "messages of this type are not supported"
        raise ArgumentError(place, rule, value=message.type)
    made: dict[str, Any] = {"role": role, "content": _content(message, place)}
    if message.name:
        made["name"] = message.name
    if isinstance(message, ToolMessage):
        made["tool_call_id"] = message.tool_call_id
    if isinstance(message, FunctionMessage):
        made["tool_call_id"] = message.name
    if isinstance(message, AIMessage) and (calls := _tool_calls(message)):
        made["tool_calls"] = calls
    return made


def _tool_calls(message: AIMessage) -> list[dict[str, Any]]:
    """Return the tool calls, including broken ones, to which tool messages may refer."""
    calls = [
        _call(each["name"], "" if each["args"] is None else each["args"], each["id"])
        for each in (*message.tool_calls, *message.invalid_tool_calls)
        if each["name"]
    ]
    if calls:
        return calls
    if old := message.additional_kwargs.get("function_call"):  # OpenAI's, before it had tools
        return [_call(old["name"], _parsed(old["arguments"]), old["name"])]
    for block in message.content:
        if isinstance(block, Mapping) and block.get("type") in _CALLS and block.get("name"):
            arguments = block.get("args", block.get("input", block.get("arguments")))
            calls.append(
                _call(block["name"], _parsed(arguments), block.get("call_id", block.get("id")))
            )
    return calls


def _call(name: Any, arguments: Any, call_id: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "function": function, **({"id": call_id} if call_id else {})}


def _parsed(arguments: Any) -> Any:
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except ValueError:
            return arguments
    return arguments or {}


def _content(message: BaseMessage, place: str) -> str | list[dict[str, Any]]:
    """Return the text, or blocks if there are images."""
    if isinstance(message.content, str):
        return message.content
    blocks = [
        block
        for given in cast("Sequence[Any]", message.content)
        if (block := _block(given, place, answer=isinstance(message, AIMessage)))
    ]
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _block(given: Any, place: str, *, answer: bool) -> dict[str, Any] | None:
    """Return a text or image block; None for a block that is left out."""
    if isinstance(given, str):
        return {"type": "text", "text": given}
    block = cast("Mapping[str, Any]", given)
    kind = block.get("type") or next(
        iter(block), ""
    )  # Bedrock's blocks have a key instead of a type
    if kind in _DROPPED or (answer and kind in _CALLS | {"toolUse", "non_standard"}):
        return None
    if (text := _text(kind, block)) is not None:
        return {"type": "text", "text": text}
    if url := _image_url(kind, block):
        return {"type": "image_url", "image_url": {"url": url}}
    rule = "content of this type is not supported; only text and images are"
    raise ArgumentError(place, rule, value=f"a block {kind!r}")


def _text(kind: str, block: Mapping[str, Any]) -> str | None:
    text: Any = None
    if kind in _TEXT:
        text = block.get("text")
    elif kind == "refusal":
        text = block.get("refusal")
    elif kind == "json":  # a tool's result, in Bedrock's form
        text = json.dumps(block.get("json"), ensure_ascii=False)
    elif kind == "document":  # Anthropic's
        source: Any = block.get("source")
        text = source.get("data") if source and source.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _image_url(kind: str, block: Mapping[str, Any]) -> str | None:
    """Return the URL of an image in LangChain's, OpenAI's or Anthropic's form; None for anything else."""
    if kind in ("image_url", "input_image"):
        image: Any = block.get("image_url")
        url: Any = cast("Any", image).get("url") if isinstance(image, Mapping) else image
        return url if isinstance(url, str) else None
    source: Any = block.get("source", block)
    if kind != "image" or not isinstance(source, Mapping):
        return None
    source = cast("Mapping[str, Any]", source)
    if isinstance(url := source.get("url"), str):
        return url
    data = source.get("base64") or source.get("data")
    media_type = source.get("mime_type") or source.get("media_type") or "image/png"
    return f"data:{media_type};base64,{data}" if isinstance(data, str) else None
