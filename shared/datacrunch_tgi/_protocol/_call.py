"""One call to a server, as a generator of steps. Pure.

A driver performs each step and sends its result into the generator, or throws its error (`_steps`). So
attempts, time limits, retries and the reading of streams are written once, and driven by a thread or an
event loop (`_transport`), or by tests in simulated time.
"""

import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

from datacrunch_tgi._errors import (
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    MalformedResponseError,
    RequestTimeoutError,
    StreamNotEndedError,
    set_limit,
)
from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext
from datacrunch_tgi._protocol._backoff import backoff_delays, is_starting
from datacrunch_tgi._protocol._redact import Redactor, prompt_excerpts
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._response_headers import NO_HEADERS, ResponseHeaders
from datacrunch_tgi._protocol._responses import Head, is_stream, not_a_stream, read_event
from datacrunch_tgi._protocol._schema import Answer, StreamEvent
from datacrunch_tgi._protocol._sse import EventDecoder
from datacrunch_tgi._protocol._steps import CallLimits, Close, Compute, Open, Read, Sleep, Steps

logger = logging.getLogger("datacrunch_tgi")

LARGEST_BODY = 256 * 1024 * 1024
"""Largest body, in bytes, so that a server cannot exhaust memory."""
MAX_BATCH = 16
"""Largest number of events that are parsed at once. A fast server sends many more in one read; as objects
in memory they would slow down the garbage collector."""
END_OF_BODY_TIMEOUT = 1.0
"""Seconds to wait for the end of the body after the last event; then the connection can be reused."""

Result = TypeVar("Result")
OnRetry = Callable[[DataCrunchError], None]


class Call(ABC, Generic[Result]):
    """One call: its request, its limits, and at the end its result.

    Args:
        request: Request to send.
        limits: Time limits and number of retries.
        base_url: URL prefix, for errors.
        redactor: Removes the client's secrets from errors.
        prepare: Called before the first attempt, in a thread.
        on_retry: Called with each error that leads to a retry.
        clock: Returns seconds on a monotonic clock.
        jitter: Returns a random number from 0 to 1.
    """

    result: Result

    def __init__(
        self,
        request: Request,
        limits: CallLimits,
        *,
        base_url: str = "",
        redactor: Redactor | None = None,
        prepare: Callable[[], None] | None = None,
        on_retry: OnRetry | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._request, self._limits = request, limits
        self._base_url, self._redactor = base_url, redactor or Redactor()
        self._prepare = prepare
        self._on_retry, self._clock, self._jitter = on_retry, clock, jitter
        self._requests = 0
        self.headers = NO_HEADERS

    @abstractmethod
    def _read(self, head: Head) -> Steps:
        """Read the response and set the result."""

    @property
    def started(self) -> bool:
        """Whether a token has arrived; after that there are no retries."""
        return False

    @property
    def text(self) -> str:
        """Text of the answer so far."""
        return ""

    def steps(self) -> Steps:
        """Yield the steps of the call: attempts until one succeeds or there is to be no retry."""
        if self._prepare:
            yield Compute(self._prepare)
        self._began = self._clock()
        self._started_by = self._began + self._limits.startup_timeout
        self._deadline = self._started_by + self._limits.deadline
        delays: Generator[float, DataCrunchError] | None = None
        while True:
            try:
                return (yield from self._attempt())
            except DataCrunchError as error:
                yield Close()
                self._annotate(error)
                if self.started:
                    raise
                if delays is None:
                    delays = backoff_delays(
                        self._limits.max_retries,
                        self._jitter,
                        lambda: self._started_by - self._clock(),
                    )
                    next(delays)
                seconds = delays.send(error)
                if self._clock() + seconds >= self._deadline:
                    raise
                logger.info("%s: retrying in %.1f s", type(error).__name__, seconds)
                if self._on_retry:
                    self._on_retry(error)
                yield Sleep(seconds)

    def _attempt(self) -> Steps:
        # A gateway may hold the request while the server behind it starts.
        begin = max(self._clock(), self._started_by)
        self._first_token_by = begin + self._limits.first_token_timeout
        left = self._time_left()
        self._connecting_is_limited = self._limits.connect_timeout <= left
        self._requests += 1
        self.headers = NO_HEADERS
        head = yield Open(self._request, min(self._limits.connect_timeout, left), left)
        self.headers = ResponseHeaders(head.headers, self._redactor.redact)
        yield from self._read(Head(head.status, self.headers))

    def _time_left(self) -> float:
        """Return the seconds left for the first token."""
        left = min(self._first_token_by, self._deadline) - self._clock()
        if left <= 0:
            raise RequestTimeoutError("timed out waiting for the first token")
        return left

    def _body(self, head: Head) -> Generator[Read, bytes, bytes]:
        """Read the body; of an error as much as can be read, because its status says more."""
        body = bytearray()
        try:
            while chunk := (yield Read(self._time_left())):
                body += chunk
                if len(body) > LARGEST_BODY:
                    message = f"the body has more than {LARGEST_BODY} bytes"
                    raise MalformedResponseError(message)  # noqa: TRY301 -- as if it had ended
        except (DisconnectedError, MalformedResponseError):
            if head.status < 300:  # noqa: PLR2004 -- the class of successes
                raise
        return bytes(body)

    def _annotate(self, error: DataCrunchError) -> None:
        """Add to an error what only the call knows, and redact it."""
        error.requests, error.text = self._requests, self.text
        error.__traceback__ = error.__context__ = None  # their frames hold the body
        headers = self.headers.shortened()
        texts = error._server_texts()  # pyright: ignore[reportPrivateUsage]
        found = prompt_excerpts(self._request.prompt, [*texts, *headers.values()])
        redact = partial(self._redactor.redact, prompt=found)
        error._redact(redact, self._redactor.redact)  # pyright: ignore[reportPrivateUsage]
        error.headers = headers.with_redacted(redact)
        error.url = f"{self._base_url}{self._request.path}" if self._base_url else ""
        if isinstance(error, RequestTimeoutError):
            if isinstance(error, ConnectTimeoutError) and self._connecting_is_limited:
                setting = "connect_timeout"
            elif self.started:
                setting = "idle_timeout"
            elif self._first_token_by <= self._deadline:
                setting = "first_token_timeout"
            else:
                setting = "deadline"
            set_limit(error, setting, getattr(self._limits, setting))
        startup = self._limits.startup_timeout
        may_start = is_starting(error) or isinstance(error, RequestTimeoutError)
        if startup and may_start and not self.started:
            waited = self._clock() - self._began
            error.hint = (
                f"Waited {waited:.0f} seconds for the server to start. "
                f"Raise startup_timeout ({startup:g} seconds) to wait longer."
            )


class UnaryCall(Call[Result]):
    """A call whose response is parsed at once, by a function of its head and body."""

    def __init__(
        self,
        request: Request,
        limits: CallLimits,
        read: Callable[[Head, bytes], Result],
        **injected: Any,
    ) -> None:
        super().__init__(request, limits, **injected)
        self._reader = read

    def _read(self, head: Head) -> Steps:
        self.result = self._reader(head, (yield from self._body(head)))


class StreamCall(Call[Answer]):
    """A call whose response is a stream of events, which are yielded as soon as they are complete."""

    finished = False
    """Whether the last event has been yielded."""

    def __init__(
        self, request: Request, limits: CallLimits, context: RequestContext, **injected: Any
    ) -> None:
        super().__init__(request, limits, **injected)
        self._answer = AnswerAccumulator(context)

    @property
    def started(self) -> bool:
        return self._answer.started

    @property
    def text(self) -> str:
        return self._answer.text

    def text_of(self, events: int) -> str:
        """Return the text of this number of events."""
        return self._answer.text_of(events)

    @property
    def answer(self) -> Answer:
        """The answer, available after the last event has been yielded."""
        if not self.finished:
            raise StreamNotEndedError(
                "`answer` is available only after the stream has been fully read", self.text
            )
        return self.result

    def _read(self, head: Head) -> Steps:
        if not is_stream(head):
            raise not_a_stream(head, (yield from self._body(head)))
        answer, decoder = self._answer, EventDecoder()
        idle = Read(self._limits.idle_timeout)
        while not answer.finished:
            chunk = yield idle if answer.started else Read(self._time_left())
            if not chunk:
                raise DisconnectedError("the stream ended without its last event")
            found = decoder.feed(chunk)
            while found and not answer.finished:
                events, error = self._events(found[:MAX_BATCH])
                del found[:MAX_BATCH]
                if answer.finished:
                    events = yield from self._finish(events)
                if events:
                    yield events
                    del events  # or each waiting stream would keep its last ones in memory
                if error:
                    raise error
        if answer.received_last:
            yield from self._end_of_body()

    def _finish(self, events: list[StreamEvent]) -> Generator[Any, Any, list[StreamEvent]]:
        """Pass all but the last event to the caller, then build the answer; return the last event."""
        if not self._answer.received_last:  # the client saw a stop string: stop the server
            yield Close()
        if events[:-1]:
            yield events[:-1]
        self.result, self.finished = self._answer.finish(self.headers), True
        return events[-1:]

    def _events(self, found: list[bytes]) -> tuple[list[StreamEvent], DataCrunchError | None]:
        """Parse events up to the last one, or up to an error, which is raised after the events before it."""
        answer = self._answer
        events: list[StreamEvent] = []
        for data in found:
            try:
                event = read_event(data)
            except DataCrunchError as error:
                return events, error
            if event:
                answer.push(event, data)
                events.append(event)
                if answer.finished:
                    break
        return events, None

    def _end_of_body(self) -> Steps:
        """Read to the end of the body, so that the connection can be reused."""
        end = self._clock() + END_OF_BODY_TIMEOUT
        try:
            while (left := end - self._clock()) > 0 and (yield Read(left)):
                pass
        except DataCrunchError:
            return  # the answer is complete; only the connection is lost
