"""From answers and events of the transport to LlamaIndex's responses. Pure.

    Answer ──────┬─▶ completion ─▶ CompletionResponse
                 └─▶ chat       ─▶ ChatResponse
    StreamEvent ─┬─▶ chunk      ─▶ CompletionResponse
                 └─▶ chat_chunk ─▶ ChatResponse

`additional_kwargs` stays empty, because LlamaIndex prints it into the next prompt. `raw` has everything
known about an answer, with usage where LlamaIndex's `TokenCountingHandler` looks for it.
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
from datacrunch_tgi._integration import finish_reasons

_NOT_DUMPED: dict[str, Any] = {"text": True, "usage": True}
_NOT_IN_STREAMS: dict[str, Any] = {**_NOT_DUMPED, "details": {"tokens", "top_tokens"}}


def completion(answer: Answer, delta: str | None = None) -> CompletionResponse:
    """Return the response for an answer, or with a `delta` the last response of a stream.

    Its `raw` is the server's body in plain JSON types, with `usage`, `finish_reason` (`stop`, `length`),
    TGI's own `tgi_finish_reason`, and `request_id` where the server has sent `x-request-id`. In a stream it is without the tokens, which earlier responses hold.
    """
    raw = answer.model_dump(mode="json", exclude=_NOT_DUMPED if delta is None else _NOT_IN_STREAMS)
    raw |= {"usage": answer.usage.model_dump(exclude_none=True), **finish_reasons(answer)}
    if answer.request_id:
        raw["request_id"] = answer.request_id
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
    """Return the response for an event; `text` is the text so far, including the event's.

    Its `raw` is the event as the server sent it.
    """
    token = event.token
    if event.details or event.top_tokens or event.__pydantic_extra__ or token.__pydantic_extra__:
        raw = event.model_dump(mode="json", exclude={"text"}, exclude_unset=True)
    else:  # The fields of most events; copying them takes a fifth of the time of a dump.
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
    """Return the result of `completion` as an assistant message."""
    return _message(completion(answer, delta))


def chat_chunk(event: StreamEvent, text: str) -> ChatResponse:
    """Return the result of `chunk` as an assistant message."""
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
    """Return for each token its log probability, followed by those of the alternatives."""
    if not alternatives:
        return [[_logprob(token)] for token in tokens]
    return [
        [_logprob(token), *(_logprob(other) for other in others if other.id != token.id)]
        for token, others in zip(tokens, chain(alternatives, repeat(())), strict=False)
    ]


def _logprob(token: Token) -> LogProb:
    logprob = math.nan if token.logprob is None else token.logprob  # LlamaIndex requires a number
    return LogProb(token=token.text, logprob=logprob, bytes=list(token.text.encode()))
