"""Limiters: a maximum number of open requests; others wait for a free connection. No I/O.

A limiter keeps the identities of the calls that hold a connection. So nothing is counted or released twice,
and whatever ends a call, including an interrupt, only has to remove it from the set.

Waiting has no limit while other requests end, so a batch of any size gets through. But if none ends for
`timeout` seconds, none may ever end, for example if a request is made inside the only stream.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from datacrunch_tgi._errors import RequestTimeoutError, set_limit

logger = logging.getLogger("datacrunch_tgi")

_RECHECK = 0.5
"""Seconds after which a waiting thread checks again, because an interrupt can consume its signal."""


class _Limiter:
    """What both limiters share: the calls that hold a connection."""

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
                "requests are waiting for a free connection: all %d are in use; raise max_connections",
                self._limit,
            )

    def _timed_out(self, timeout: float) -> RequestTimeoutError:
        error = RequestTimeoutError(
            f"timed out waiting for a free connection: all {self._limit} (max_connections) are in use"
        )
        set_limit(error, "pool_timeout", timeout)
        return error


class Limiter(_Limiter):
    """Limits the calls of threads."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        # The queue and the set are reentrant: the garbage collector may release a dropped stream at any
        # point. The lock is not taken there.
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._waiting: set[int] = set()
        self._lock = threading.Lock()

    def acquire(self, holder: int, timeout: float, is_stopped: Callable[[], bool]) -> None:
        """Wait until the call may have a connection, or until it is stopped.

        Args:
            holder: Identity of the call.
            timeout: Longest wait during which no other call ends, in seconds.
            is_stopped: Returns whether the call was stopped.

        Raises:
            RequestTimeoutError: No other call has ended for that long.
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
        """Release the connection to another call, if this call holds one."""
        if holder in self._holders:
            self._holders.discard(holder)
            self._released += 1
            self._signal()

    def wake(self) -> None:
        """Make waiting calls check whether they were stopped."""
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

    async def acquire(self, holder: int, timeout: float, is_stopped: Callable[[], bool]) -> None:  # noqa: ASYNC109 -- restarted by each call that ends
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

    async def _wait(self, timeout: float) -> bool:  # noqa: ASYNC109 -- the limit of one wait
        """Wait in line; return whether a connection is free."""
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
        """Release the connection to another call, if this call holds one; from any thread."""
        if holder not in self._holders:
            return
        self._holders.discard(holder)
        self._released += 1
        if not self._waiting:
            return
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 -- get_running_loop without the exception
            self._wake_next()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_next)

    def wake(self) -> None:
        """Make waiting calls check whether they were stopped."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    def _wake_next(self) -> None:
        if self._is_free:
            turn = next((turn for turn in self._waiting if not turn.done()), None)
            if turn:
                turn.set_result(None)
