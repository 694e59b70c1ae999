"""From a server's response to an `Answer`, at once or event by event. Pure."""

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO

from datacrunch_tgi._protocol._reasoning import is_hidden
from datacrunch_tgi._protocol._response_headers import NO_HEADERS
from datacrunch_tgi._protocol._schema import (
    Answer,
    Details,
    GenerateResponse,
    StreamEvent,
    Token,
    Usage,
)
from datacrunch_tgi._protocol._stop import StopFilter, cut
from datacrunch_tgi._protocol._tokens import StreamTokens, StreamTopTokens

STOP_SEQUENCE = "stop_sequence"


class ChatPrompt(str):
    """A prompt whose chat template puts a space before an answer: one leading space is dropped."""

    __slots__ = ()


@dataclass(kw_only=True)
class RequestContext:
    """What is needed from a request to read its answer."""

    inputs: str = field(repr=False)
    stop: Sequence[str] = ()
    return_full_text: bool = False
    details: bool = False
    strip_leading_space: bool = False
    """Whether to drop the one space that a chat template puts before an answer."""
    truncate: int | None = None
    prompt_tokens: int | None = None
    """Tokens of the prompt, counted by the user's tokenizer; None without one."""

    @property
    def prefix(self) -> str:
        """Text in front of the answer."""
        return self.inputs if self.return_full_text else ""

    @property
    def leading(self) -> str:
        """Text to drop from the start of the answer."""
        return " " if self.strip_leading_space else ""


def build_answer(
    response: GenerateResponse, context: RequestContext, headers: Mapping[str, str]
) -> Answer:
    """Build the answer from the body and headers of `/generate` (TGI 1.4 reports usage in headers)."""
    details = response.details
    prefix = context.prefix
    at_token = False
    if details and details.tokens:
        text, at_token = _shown(details.tokens, context.stop)
    else:
        text = response.generated_text.removeprefix(prefix)
    text, at_text = cut(text.removeprefix(context.leading), context.stop)
    was_cut = at_token or at_text
    if details and was_cut:
        details = details.model_copy(update={"finish_reason": STOP_SEQUENCE})
    prompt = _count(headers.get("x-prompt-tokens"))
    if prompt is None and details:
        prompt = details.input_length or len(details.prefill) or None
    completion = details.generated_tokens if details else _count(headers.get("x-generated-tokens"))
    return Answer(
        text=prefix + text,
        generated_text=response.generated_text,
        finish_reason=STOP_SEQUENCE if was_cut else details and details.finish_reason,
        details=details,
        usage=_usage(prompt, completion, context),
        headers=headers,
    )


class AnswerAccumulator:
    """Accumulates the events of a stream, sets the text of each, and builds the answer."""

    started = False
    """Whether a token has arrived."""
    received_last = False
    """Whether the last event has arrived."""
    finished = False
    """Whether the answer is complete: the last event or a stop string has arrived."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._stop = StopFilter(context.stop)
        self._prefix = context.prefix
        self._leading = context.leading
        self._shown = StringIO()
        self._lengths = array("Q")  # of each event's text, in characters
        self._events: list[bytes] = []
        self._has_top_tokens = False
        self._last: StreamEvent | None = None

    @property
    def text(self) -> str:
        """Text so far."""
        return self._shown.getvalue()

    def text_of(self, events: int) -> str:
        """Return the text of this number of events."""
        return self.text[: sum(self._lengths[:events])]

    def push(self, event: StreamEvent, data: bytes) -> None:
        """Add the next event and the bytes that it was read from; set its `text`."""
        fields = vars(event)  # a model's attributes take several times as long to look up
        token: Token = fields["token"]
        hidden = token.special and is_hidden(token)
        text = "" if hidden else token.text
        if text and self._leading:
            text, self._leading = text.removeprefix(self._leading), ""
        if stops := self._context.stop:
            text = self._stop.push(text)
            if hidden and fields["generated_text"] is None and token.text in stops:
                text = self._stop.end()
        if fields["generated_text"] is not None:
            self._last, self.received_last = event, True
            text += self._stop.flush()
        self.started, self.finished = True, self.received_last or self._stop.found
        if self._prefix:
            text, self._prefix = self._prefix + text, ""
        fields["text"] = text  # to go through pydantic would cost as much as reading the event
        self._shown.write(text)
        self._lengths.append(len(text))
        if fields["top_tokens"]:
            self._has_top_tokens = True
        self._events.append(data)

    def finish(self, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
        """Build the answer after the stream has ended; `headers` are its response's."""
        reported = self._last.details if self._last else None
        generated = reported.generated_tokens if reported else len(self._events)
        reason = STOP_SEQUENCE if self._stop.found else reported and reported.finish_reason
        details = None
        if reason and (reported or self._context.details):
            details = Details(
                finish_reason=reason,
                generated_tokens=generated,
                seed=reported.seed if reported else None,
                tokens=StreamTokens(self._events),
                top_tokens=StreamTopTokens(self._events) if self._has_top_tokens else [],
                input_length=reported.input_length if reported else None,
            )
        return Answer(
            text=self.text,
            generated_text=self._last.generated_text if self._last else None,
            finish_reason=reason,
            details=details,
            usage=_usage(reported.input_length if reported else None, generated, self._context),
            headers=headers,
        )


def _shown(tokens: Sequence[Token], stop: Sequence[str]) -> tuple[str, bool]:
    """Return the text up to a special token that is a stop string, and whether more tokens follow."""
    if not stop:
        shown = [token.text for token in tokens if not (token.special and is_hidden(token))]
        return "".join(shown), False
    parts = list[str]()
    for left, token in zip(range(len(tokens) - 1, -1, -1), tokens, strict=True):
        if not is_hidden(token):
            parts.append(token.text)
        elif left and token.text in stop:
            return "".join(parts), True
    return "".join(parts), False


def _count(header: str | None) -> int | None:
    return int(header) if header and re.fullmatch("[0-9]{1,18}", header) else None


def _usage(prompt: int | None, completion: int | None, context: RequestContext) -> Usage:
    prompt = context.prompt_tokens if prompt is None else prompt
    total = None if prompt is None or completion is None else prompt + completion
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=total)
