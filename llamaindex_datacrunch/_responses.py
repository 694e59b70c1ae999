"""From the transport's answers and events to LlamaIndex's responses. Pure.

    Answer ──────┬─▶ completion ─▶ CompletionResponse
                 └─▶ chat       ─▶ ChatResponse
    StreamEvent ─┬─▶ chunk      ─▶ CompletionResponse
                 └─▶ chat_chunk ─▶ ChatResponse

`additional_kwargs` stay empty: LlamaIndex prints a message's into the next prompt. What there is to
know about an answer is in `raw`, under the keys where its `TokenCountingHandler` looks.
"""

import math
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LogProb,
    MessageRole,
)

from datacrunch_tgi import Answer, StreamEvent, Token

_UNSAID: dict[str, Any] = {"text": True, "usage": True}
_UNSAID_IN_STREAMS: dict[str, Any] = {**_UNSAID, "details": {"tokens", "top_tokens"}}


def completion(answer: Answer, delta: str | None = None) -> CompletionResponse:
    """Make the response of a whole answer, or with a `delta` the last one of a stream.

    Its `raw` is the server's body with `finish_reason` and `usage`, in plain JSON types; in a stream
    without the tokens, which the responses before it have in theirs.
    """
    raw = answer.model_dump(mode="json", exclude=_UNSAID if delta is None else _UNSAID_IN_STREAMS)
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
    token = event.token
    if event.details or event.top_tokens or event.__pydantic_extra__ or token.__pydantic_extra__:
        raw = event.model_dump(mode="json", exclude={"text"}, exclude_unset=True)
    else:  # What most events have, and no more: to write it down takes a fifth of the time.
        raw = {
            "index": event.index,
            "token": vars(token).copy(),
            "generated_text": event.generated_text,
            "details": None,
        }
        if event.index is None:
            del raw["index"]
    return CompletionResponse(text=text, delta=event.text, raw=raw)


def chat(answer: Answer, delta: str | None = None) -> ChatResponse:
    """Make the assistant's message of what `completion` makes."""
    return _message(completion(answer, delta))


def chat_chunk(event: StreamEvent, text: str) -> ChatResponse:
    """Make the assistant's message of what `chunk` makes."""
    return _message(chunk(event, text))


def _message(response: CompletionResponse) -> ChatResponse:
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
    if not alternatives:
        return [[_logprob(token)] for token in tokens]
    return [
        [_logprob(token), *(_logprob(other) for other in others if other.id != token.id)]
        for token, others in zip(tokens, chain(alternatives, repeat(())), strict=False)
    ]


def _logprob(token: Token) -> LogProb:
    logprob = math.nan if token.logprob is None else token.logprob  # LlamaIndex demands a number
    return LogProb(token=token.text, logprob=logprob, bytes=list(token.text.encode()))
