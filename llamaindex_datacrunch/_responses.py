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
    return CompletionResponse(text=text, delta=event.text, raw=_raw(event))


def chat(response: CompletionResponse) -> ChatResponse:
    """Make the assistant's message of a response."""
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, content=response.text),
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
    )


def _raw(event: StreamEvent) -> dict[str, Any]:
    told, token = vars(event), event.token
    more = event.__pydantic_extra__ or token.__pydantic_extra__
    if more or told["details"] or told["top_tokens"]:
        return event.model_dump(mode="json", exclude={"text"}, exclude_unset=True)
    # What most events have, and no more: to write it down takes a quarter of the time.
    raw = {
        "token": vars(token).copy(),
        "generated_text": told["generated_text"],
        "details": None,
    }
    return raw if told["index"] is None else {"index": told["index"], **raw}


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
