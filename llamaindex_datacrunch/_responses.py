"""From the transport's answers and events to LlamaIndex's responses. Pure.

    Answer ───────▶ completion ─┐
                                ├─▶ CompletionResponse ─▶ chat ─▶ ChatResponse
    StreamEvent ──▶ chunk ──────┘

`additional_kwargs` stay empty: LlamaIndex prints a message's into the next prompt. What there is to
know about an answer is in `raw`, under the keys where its `TokenCountingHandler` looks.
"""

import math
from collections.abc import Sequence
from itertools import chain, repeat

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LogProb,
    MessageRole,
)

from datacrunch_tgi import Answer, StreamEvent, Token

_dumped = StreamEvent.__pydantic_serializer__.to_python  # `model_dump` takes a third longer


def completion(answer: Answer, delta: str | None = None) -> CompletionResponse:
    """Make the response of a whole answer, or the last one of a stream.

    Its `raw` is the server's body with `finish_reason` and `usage`, in plain JSON types.
    """
    raw = answer.model_dump(mode="json", exclude={"text", "usage"})
    raw["usage"] = answer.usage.model_dump(exclude_none=True)
    details = answer.details
    return CompletionResponse(
        text=answer.text,
        delta=delta,
        raw=raw,
        logprobs=_logprobs(details.tokens, details.top_tokens)
        if details and details.tokens
        else None,
    )


def chunk(event: StreamEvent, text: str) -> CompletionResponse:
    """Make the response of one event; `text` is all text up to and with it.

    Its `raw` is the event as the server sent it.
    """
    raw = _dumped(event, mode="json", exclude={"text"}, exclude_unset=True)
    return CompletionResponse(text=text, delta=event.text, raw=raw)


def chat(response: CompletionResponse) -> ChatResponse:
    """Make the assistant's message of a response."""
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, content=response.text),
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
    )


def _logprobs(
    tokens: Sequence[Token], alternatives: Sequence[Sequence[Token]]
) -> list[list[LogProb]]:
    """For each token, the token itself and then what else could have stood in its place."""
    return [
        [_logprob(token), *(_logprob(other) for other in others if other.id != token.id)]
        for token, others in zip(tokens, chain(alternatives, repeat(())), strict=False)
    ]


def _logprob(token: Token) -> LogProb:
    logprob = math.nan if token.logprob is None else token.logprob  # LlamaIndex demands a number
    return LogProb(token=token.text, logprob=logprob, bytes=list(token.text.encode()))
