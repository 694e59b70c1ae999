"""From answers and events of the transport to LangChain's messages and chunks. Pure.

    Answer ───────▶ to_chat_result ─▶ ChatResult of one AIMessage
    StreamEvent ──▶ to_chat_chunk ──▶ ChatGenerationChunk of one AIMessageChunk

Where to find what:

    usage_metadata      `input_tokens`, `output_tokens`, `total_tokens`; None where the server does not
                        report the prompt's tokens and there is no tokenizer: numbers are never guessed
    response_metadata   what `generation_info` of the LLM has (see `_outputs`), except for the tokens;
                        `model_provider`; `logprobs` if they were asked for
    tool_calls, invalid_tool_calls, tool_call_chunks

In a stream the last chunk has the metadata, and each chunk its own token's `logprobs`.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from datacrunch_tgi import Answer, StreamEvent, Token
from datacrunch_tgi._integration import finish_reasons
from langchain_datacrunch._outputs import llm_output, response_metadata
from langchain_datacrunch._tools import ToolAnswer

_PROVIDER = {"model_provider": "datacrunch"}


def to_chat_result(
    answer: Answer, model: str, *, logprobs: bool, tool_answer: ToolAnswer | None = None
) -> ChatResult:
    """Return the result for an answer that was not streamed.

    Raises:
        datacrunch_tgi.StructuredOutputError: The answer is not the requested tool call or JSON.
    """
    message = AIMessage(content=answer.text, usage_metadata=_usage(answer))
    if tool_answer:
        text, calls, invalid_calls = tool_answer.read(answer)
        message = AIMessage(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=invalid_calls,
            usage_metadata=_usage(answer),
        )
    called = bool(tool_answer and tool_answer.called)
    metadata = response_metadata(answer, model, called=called) | _PROVIDER
    if tool_answer:
        metadata |= tool_answer.errors
    if logprobs and (details := answer.details):
        metadata["logprobs"] = _logprobs(details.tokens, details.top_tokens)
    message.response_metadata = metadata
    generation = ChatGeneration(
        message=message, generation_info=dict(finish_reasons(answer, called=called))
    )
    return ChatResult(generations=[generation], llm_output=llm_output(metadata))


def to_chat_chunk(
    event: StreamEvent,
    answer: Answer | None,
    model: str,
    *,
    logprobs: bool,
    tool_answer: ToolAnswer | None = None,
) -> ChatGenerationChunk:
    """Return the chunk for one event; `answer` is the complete answer if this is the last event.

    Raises:
        datacrunch_tgi.StructuredOutputError: The answer is not the requested tool call or JSON.
    """
    message = AIMessageChunk(content=event.text)
    if tool_answer:
        text, calls = tool_answer.push(event, answer)
        message = AIMessageChunk(content=text, tool_call_chunks=calls)
    chunk = ChatGenerationChunk(message=message)
    if answer:
        called = bool(tool_answer and tool_answer.called)
        message.chunk_position = "last"
        message.usage_metadata = _usage(answer)
        message.response_metadata = response_metadata(answer, model, called=called) | _PROVIDER
        if tool_answer:
            message.response_metadata |= tool_answer.errors
        chunk.generation_info = dict(finish_reasons(answer, called=called))
    if logprobs:
        message.response_metadata["logprobs"] = _logprobs([event.token], [event.top_tokens])
    return chunk


def _usage(answer: Answer) -> UsageMetadata | None:
    usage = answer.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _logprobs(tokens: Sequence[Token], alternatives: Iterable[Sequence[Token]]) -> dict[str, Any]:
    """Return tokens and alternatives with their log probabilities, in OpenAI's form."""
    return {
        "content": [
            {**_logprob(token), "top_logprobs": [_logprob(other) for other in others]}
            for token, others in zip(tokens, chain(alternatives, repeat(())), strict=False)
        ]
    }


def _logprob(token: Token) -> dict[str, Any]:
    return {"token": token.text, "bytes": [*token.text.encode()], "logprob": token.logprob}
