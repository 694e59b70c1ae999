"""Between LangChain's messages and the transport: a conversation in, messages and chunks out. Pure.

    BaseMessage ──▶ to_dict ─▶ chat template ─▶ prompt
    Answer ───────▶ to_chat_result ─▶ ChatResult of one AIMessage
    StreamEvent ──▶ to_chat_chunk ──▶ ChatGenerationChunk of one AIMessageChunk

What is known of an answer is where LangChain's users look for it:

    usage_metadata      `input_tokens`, `output_tokens`, `total_tokens`; None where the server does not
                        tell the prompt's tokens and there is no tokenizer: numbers are never guessed
    response_metadata   what `generation_info` of the LLM has (see `_outputs`), the tokens apart;
                        `model_provider`; `logprobs`, where asked for

In a stream the last chunk has them, and each chunk its own token's `logprobs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from datacrunch_tgi import Answer, ArgumentError, StreamEvent, Token
from langchain_datacrunch._outputs import about

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_PROVIDER = {"model_provider": "datacrunch"}
_UNSAID = {"tool_call", "tool_use", "reasoning", "thinking", "redacted_thinking"}
"""Blocks of an answer that are told elsewhere, or not to be told to the model again."""


def to_dict(message: BaseMessage) -> dict[str, Any]:
    """Make the message that chat templates know: role, content and so on.

    Raises:
        ArgumentError: It holds something else than text.
    """
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type)
    if role is None:
        raise ArgumentError("messages", "must not hold a message of this type", value=message.type)
    told: dict[str, Any] = {"role": role, "content": _text(message)}
    if message.name:
        told["name"] = message.name
    if isinstance(message, ToolMessage):
        told["tool_call_id"] = message.tool_call_id
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = ({"name": each["name"], "arguments": each["args"]} for each in message.tool_calls)
        told["tool_calls"] = [{"type": "function", "function": function} for function in calls]
    return told


def to_chat_result(answer: Answer, model: str, *, logprobs: bool) -> ChatResult:
    """Make the result of an answer that was not streamed."""
    details = answer.details
    metadata = about(answer, model) | _PROVIDER
    if logprobs and details:
        metadata["logprobs"] = _logprobs(details.tokens, details.top_tokens)
    message = AIMessage(
        content=answer.text, response_metadata=metadata, usage_metadata=_usage(answer)
    )
    generation = ChatGeneration(
        message=message, generation_info={"finish_reason": answer.finish_reason}
    )
    output = {name: metadata[name] for name in ("token_usage", "model_name")}
    return ChatResult(generations=[generation], llm_output=output)


def to_chat_chunk(
    event: StreamEvent, answer: Answer | None, model: str, *, logprobs: bool
) -> ChatGenerationChunk:
    """Make the chunk of one event; `answer` is the whole one, if this is its last event."""
    message = AIMessageChunk(content=event.text)
    if answer:
        message.chunk_position = "last"
        message.usage_metadata = _usage(answer)
        message.response_metadata = about(answer, model) | _PROVIDER
    if logprobs:
        message.response_metadata["logprobs"] = _logprobs([event.token], [event.top_tokens])
    return ChatGenerationChunk(message=message)


def _usage(answer: Answer) -> UsageMetadata | None:
    usage = answer.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _text(message: BaseMessage) -> str:
    blocks = message.content if isinstance(message.content, list) else []
    kinds = (block.get("type") for block in blocks if isinstance(block, Mapping))
    unsaid = _UNSAID if isinstance(message, AIMessage) else set[str]()
    for kind in kinds:
        if kind != "text" and kind not in unsaid:
            raise ArgumentError("messages", "must hold text alone", value=f"a block {kind!r}")
    return str(message.text)


def _logprobs(tokens: Sequence[Token], alternatives: Iterable[Sequence[Token]]) -> dict[str, Any]:
    """Each token with its own log probability and its alternatives', in the form of OpenAI's API."""
    return {
        "content": [
            {**_logprob(token), "top_logprobs": [_logprob(other) for other in others]}
            for token, others in zip(tokens, chain(alternatives, repeat(())), strict=False)
        ]
    }


def _logprob(token: Token) -> dict[str, Any]:
    return {"token": token.text, "bytes": [*token.text.encode()], "logprob": token.logprob}
