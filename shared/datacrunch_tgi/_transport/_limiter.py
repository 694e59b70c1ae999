"""Limiters: at most so many requests at a time, the others wait for a free connection. No I/O.

A limiter counts the calls that hold a connection by their identity. So nothing can be counted twice or
released twice, and whatever ends a call, an interrupt included, only has to take it out of the set.

Waiting has no limit while other requests end: a batch of any size gets through. But where none ends for
`timeout` seconds, none may ever, such as when a request is made within the only stream.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from datacrunch_tgi._errors import RequestTimeoutError

logger = logging.getLogger("datacrunch_tgi")

_RECHECK = 0.5
"""Seconds after which a waiting thread looks again: an interrupt can take the signal that was its own."""


class _Limiter:
    """The calls that hold a connection, and what both limiters say of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._holders: set[int] = set()
        self._released: int = 0
        self._has_logged = False

    @property
    def _is_free(self) -> bool:
        return len(self._holders) < self._limit

    def _log_wait(self) -> None:
        if not self._has_logged:
            self._has_logged = True
            logger.info(
                "requests wait for a free connection: all %d are in use; raise max_connections",
                self._limit,
            )

    def _timed_out(self, timeout: float) -> RequestTimeoutError:
        error = RequestTimeoutError(
            f"timed out waiting for a free connection: all {self._limit} (max_connections) are in use"
        )
        error.set_limit("pool_timeout", timeout)
        return error


class Limiter(_Limiter):
    """Limits the calls of threads."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        # A queue and a set can be used in the midst of themselves, which the garbage collector does when
        # it finds a stream that was dropped. The lock is never taken there.
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._waiting: set[int] = set()
        self._lock = threading.Lock()

    def acquire(self, holder: int, timeout: float, is_stopped: Callable[[], bool]) -> None:
        """Wait until the call may have a connection, or until it is stopped.

        Args:
            holder: Identity of the call.
            timeout: Longest wait during which no other call ends, in seconds.
            is_stopped: Whether the call is not to go on.

        Raises:
            RequestTimeoutError: No other call has ended for so long.
        """
        if self._take(holder):
            return
        self._log_wait()
        self._waiting.add(holder)
        try:
            released, end = self._released, time.monotonic() + timeout
            while not (is_stopped() or self._take(holder)):
                if released != self._released:
                    released, end = self._released, time.monotonic() + timeout
                left = end - time.monotonic()
                if left <= 0:
                    raise self._timed_out(timeout)
                with suppress(Empty):
                    self._signals.get(timeout=min(left, _RECHECK))
        finally:
            self._waiting.discard(holder)
            if self._is_free:
                self._signal()

    def release(self, holder: int) -> None:
        """Let another call have the connection, if this one holds any."""
        if holder in self._holders:
            self._holders.discard(holder)
            self._released += 1
            self._signal()

    def wake(self) -> None:
        """Let the waiting calls see whether they are stopped."""
        for _ in list(self._waiting):
            self._signals.put(None)

    def _take(self, holder: int) -> bool:
        with self._lock:
            if is_free := self._is_free:
                self._holders.add(holder)
            return is_free

    def _signal(self) -> None:
        if self._waiting and self._signals.empty():
            self._signals.put(None)


class AsyncLimiter(_Limiter):
    """Limits the calls of one event loop's tasks."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, holder: int, timeout: float, is_stopped: Callable[[], bool]) -> None:  # noqa: ASYNC109 -- it starts again with each call that ends
        """Wait until the call may have a connection: see `Limiter.acquire`."""
        if self._is_free and not self._waiting:
            self._holders.add(holder)
            return
        self._log_wait()
        released = self._released
        try:
            while not (is_stopped() or await self._wait(timeout)):
                if released == self._released:
                    raise self._timed_out(timeout)
                released = self._released
            self._holders.add(holder)
        finally:
            self._wake_next()

    async def _wait(self, timeout: float) -> bool:  # noqa: ASYNC109 -- it is a limit of one turn
        """Wait in the line; return whether a connection is free."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(timeout):
                await turn
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(turn)
        return self._is_free

    def release(self, holder: int) -> None:
        """Let another call have the connection, if this one holds any; from any thread."""
        if holder not in self._holders:
            return
        self._holders.discard(holder)
        self._released += 1
        if not self._waiting:
            return
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 -- get_running_loop, but None where there is none
            self._wake_next()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_next)

    def wake(self) -> None:
        """Let the waiting calls see whether they are stopped."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _wake_next(self) -> None:
        if self._is_free:
            turn = next((turn for turn in self._waiting if not turn.done()), None)
            if turn:
                turn.set_result(None)
