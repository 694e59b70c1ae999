"""Requests at the pace of the server: overloads are waited for, and fail no row.

row ──▶ wait for its turn ──▶ generate ──▶ answer
               ▲                  │
               └── refused ───────┘    until the run's patience ends
"""

import asyncio
import logging
from collections import deque
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, NoReturn

from datacrunch_tgi._errors import (
    APIError,
    AuthenticationError,
    ClientClosedError,
    ConnectError,
    DataCrunchError,
    DisconnectedError,
    NotFoundError,
    TLSError,
)
from datacrunch_tgi._protocol._backoff import backoff_delays
from datacrunch_tgi._protocol._parameters import Parameters
from datacrunch_tgi._protocol._schema import Answer
from datacrunch_tgi.batch._concurrency import Window
from datacrunch_tgi.batch._rows import Generates

logger = logging.getLogger("datacrunch_tgi")

_OVERLOADED = frozenset({429, 503})
_ABSENT = frozenset({502, 504})
_OF_THE_RUN = (AuthenticationError, ClientClosedError, NotFoundError, TLSError)
"""Errors that all other rows would have too."""


class StoppedError(Exception):
    """The run was stopped, and the row has no result.

    Attributes:
        error: The reason; None if the user stopped it.
    """

    def __init__(self, error: DataCrunchError | None = None) -> None:
        super().__init__()
        self.error = error


class PacedClient:
    """Generates through a client, with as many open requests as the server accepts.

    It belongs to one event loop.

    Args:
        client: Client. Its own retries would hide overloads, so it should have none, except while the
            server is starting.
        concurrency: Maximum number of open requests.
        patience: How long to wait for a server that refuses or does not answer, in seconds.
        max_retries: Maximum number of retries after other errors.
    """

    def __init__(
        self, client: Generates, *, concurrency: int, patience: float, max_retries: int = 2
    ) -> None:
        self._client, self._patience, self._max_retries = client, patience, max_retries
        self.window = Window(concurrency)
        self._answers = 0
        self._refused_since: float | None = None
        self._resume_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stopped: StoppedError | None = None

    async def generate(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Generate an answer: see `AsyncClient.generate`.

        Raises:
            StoppedError: The run was stopped before there was a result.
        """
        delays = backoff_delays(self._max_retries)
        next(delays)
        answers, requests = self._answers, 0
        while True:
            epoch = await self._begin()
            pause = 0.0
            try:
                answer = await self._client.generate(
                    inputs,
                    parameters,
                    extra_parameters=extra_parameters,
                    on_retry=partial(self._retried, epoch),
                )
            except DataCrunchError as error:
                requests += error.requests
                error.requests = requests
                if self._is_refusal(error, answers):
                    self._refused(epoch, error)
                else:
                    self._ended()
                    pause = self._next_pause(delays, error)
                answers = self._answers
            except BaseException:
                self._ended()
                raise
            else:
                self._answered()
                return answer
            await asyncio.sleep(pause)

    def stop(self, error: DataCrunchError | None = None) -> None:
        """Start no more requests. Open ones are completed."""
        self._stopped = self._stopped or StoppedError(error)
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    async def _begin(self) -> int:
        """Wait until another request may start, and count it."""
        loop = asyncio.get_running_loop()
        while not self._is_free(loop.time()):
            turn = loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            finally:
                self._waiting.remove(turn)
                if self._is_free(loop.time()) and not turn.done():
                    self._wake()
        epoch = self.window.begin()
        self._wake()
        return epoch

    def _is_free(self, now: float) -> bool:
        if self._stopped:
            raise self._stopped
        return now >= self._resume_at and self.window.is_free

    def _wake(self) -> None:
        """Wake the first waiting request, which wakes the next one."""
        if self._waiting and not self._stopped and self.window.is_free:
            turn = next((turn for turn in self._waiting if not turn.done()), None)
            if turn:
                turn.set_result(None)

    def _retried(self, epoch: int, _: DataCrunchError) -> None:
        """Shrink the window when the client retries by itself."""
        self.window.shrink(epoch)

    def _answered(self) -> None:
        self._answers += 1
        self._refused_since = None
        self.window.answered()
        self._wake()

    def _ended(self) -> None:
        self.window.ended()
        self._wake()

    def _refused(self, epoch: int, error: DataCrunchError) -> None:
        """Wait before the next request, unless `patience` is exceeded."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        pause = self.window.refused(epoch)
        if self._refused_since is None:
            self._refused_since = now
        left = self._refused_since + self._patience - now
        if left <= 0:
            self._give_up(error)
        if isinstance(error, APIError) and error.retry_after:
            pause = max(pause, error.retry_after)
        if pause:
            logger.info("%s: waiting %.1f s", type(error).__name__, min(pause, left))
            self._resume_at = max(self._resume_at, now + min(pause, left))
            loop.call_at(self._resume_at, self._wake)
        self._wake()

    def _next_pause(
        self, delays: Generator[float, DataCrunchError, None], error: DataCrunchError
    ) -> float:
        """Return the seconds to wait before a retry.

        Raises:
            DataCrunchError: The error, if there is to be no retry.
        """
        if isinstance(error, _OF_THE_RUN):
            self._give_up(error)
        try:
            return delays.send(error)
        except DataCrunchError:
            if _is_absence(error) and not self._answers:
                self._give_up(error)
            raise

    def _is_refusal(self, error: DataCrunchError, answers: int) -> bool:
        """Return whether an error is about the state of the server, not about the row.

        A server that has answered is waited for when it is gone. But a row whose request fails while
        others are answered may be what makes it fail.
        """
        if isinstance(error, APIError) and error.status in _OVERLOADED:
            return True
        if not _is_absence(error) or not self._answers:
            return False
        return isinstance(error, ConnectError) or self._answers == answers

    def _give_up(self, error: DataCrunchError) -> NoReturn:
        self.stop(error)
        raise StoppedError(error) from None


def _is_absence(error: DataCrunchError) -> bool:
    if isinstance(error, APIError):
        return error.status in _ABSENT
    return error.retryable and isinstance(error, ConnectError | DisconnectedError)
