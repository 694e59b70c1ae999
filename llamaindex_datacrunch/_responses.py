"""From answers and events of the transport to LlamaIndex's responses. Pure.

    Answer, StreamEvent ─┬─▶ Completion ─▶ CompletionResponse
                         └─▶ Chat ───────▶ ChatResponse

`additional_kwargs` stays empty, because LlamaIndex prints it into the next prompt. `raw` has everything
known about an answer, with usage where LlamaIndex's `TokenCountingHandler` looks for it.
"""

import math
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, Protocol, TypeVar

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


Scores = Sequence[tuple[str, float | None]]
Response_co = TypeVar("Response_co", covariant=True)


class Responses(Protocol[Response_co]):
    """Converts one answer, streamed or not, to responses of LlamaIndex."""

    def answer(self, answer: Answer, delta: str | None = None) -> Response_co:
        """Return the response for an answer, or with a `delta` the last response of a stream."""
        ...

    def chunk(self, event: StreamEvent, text: str, /) -> Response_co:
        """Return the response for an event; `text` is the text so far, including the event's."""
        ...


class Completion:
    """Responses of LlamaIndex for one answer, streamed or not."""

    def __init__(self) -> None:
        self._scores: list[Scores] = []  # of the tokens: tuples cost the garbage collector little

    def answer(self, answer: Answer, delta: str | None = None) -> CompletionResponse:
        """Return the response for an answer, or with a `delta` the last response of a stream.

        Its `raw` is the server's body in plain JSON types, with `usage`, `finish_reason` (`stop`,
        `length`), TGI's own `tgi_finish_reason`, and `request_id` where the server has sent
        `x-request-id`. In a stream it is without the tokens, which earlier responses hold.
        """
        details, not_dumped = answer.details, _NOT_DUMPED if delta is None else _NOT_IN_STREAMS
        raw = answer.model_dump(mode="json", exclude=not_dumped)
        raw |= {"usage": answer.usage.model_dump(exclude_none=True), **finish_reasons(answer)}
        if answer.request_id:
            raw["request_id"] = answer.request_id
        scores = self._scores  # to read them from the answer again would take longer
        if details and delta is None:
            scores = [*map(_scores, details.tokens, chain(details.top_tokens, repeat(())))]
        return CompletionResponse(
            text=answer.text,
            delta=delta,
            raw=raw,
            logprobs=[*map(_logprobs, scores)] if details and scores else None,
        )

    def chunk(self, event: StreamEvent, text: str) -> CompletionResponse:
        """Return the response for an event; `text` is the text so far, including the event's.

        Its `raw` is the event as the server sent it.
        """
        fields = vars(event)  # a model's attributes take several times as long to look up
        token: Token = fields["token"]
        self._scores.append(_scores(token, fields["top_tokens"]))
        if (
            fields["details"]
            or fields["top_tokens"]
            or event.__pydantic_extra__
            or token.__pydantic_extra__
        ):
            raw = event.model_dump(mode="json", exclude={"text"}, exclude_unset=True)
        else:  # The fields of most events; copying them takes a fifth of the time of a dump.
            raw = {
                "index": fields["index"],
                "token": vars(token).copy(),
                "generated_text": fields["generated_text"],
                "details": None,
            }
            if raw["index"] is None:
                del raw["index"]
        return CompletionResponse(text=text, delta=fields["text"], raw=raw)


class Chat:
    """The same responses as assistant messages."""

    def __init__(self) -> None:
        self._completion = Completion()

    def answer(self, answer: Answer, delta: str | None = None) -> ChatResponse:
        """Return the response for an answer: see `Completion`."""
        return _message(self._completion.answer(answer, delta))

    def chunk(self, event: StreamEvent, text: str) -> ChatResponse:
        """Return the response for an event: see `Completion`."""
        return _message(self._completion.chunk(event, text))


def _message(response: CompletionResponse) -> ChatResponse:
    return ChatResponse(
        message=ChatMessage(role=MessageRole.ASSISTANT, content=response.text),
        delta=response.delta,
        raw=response.raw,
        logprobs=response.logprobs,
    )


def _scores(token: Token, alternatives: Sequence[Token]) -> Scores:
    """Return the text and log probability of a token, followed by those of the alternatives."""
    fields = vars(token)
    score = (fields["text"], fields["logprob"])
    if not alternatives:
        return (score,)
    return (score, *[(each.text, each.logprob) for each in alternatives if each.id != token.id])


def _logprobs(scores: Scores) -> list[LogProb]:
    return [
        LogProb(
            token=text,
            logprob=math.nan if logprob is None else logprob,  # LlamaIndex requires a number
            bytes=list(text.encode()),
        )
        for text, logprob in scores
    ]
