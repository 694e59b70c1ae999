"""Limiter: so many requests at a time, the others wait. No I/O.

Waiting has no end while requests end before it: a batch of any size gets through. But where none ends
for as long as `deadline`, none may ever, such as when a request is made in the midst of a stream that
has the only turn.
"""

import asyncio
from queue import Empty, SimpleQueue

from datacrunch_tgi._errors import RequestTimeoutError
from datacrunch_tgi._settings import Settings


class Limiter:
    """The turns of threads.

    Unlike threading's semaphore it can be given back in the midst of being taken, which the garbage
    collector does when it finds a stream that was dropped.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given_back = 0
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(settings.max_connections):
            self._free.put(None)

    def __enter__(self) -> None:
        ended = -1
        while ended != self._given_back:
            ended = self._given_back
            try:
                return self._free.get(timeout=self._settings.deadline)
            except Empty:
                pass
        raise _no_turn(self._settings)

    def __exit__(self, *_: object) -> None:
        self._given_back += 1
        self._free.put(None)


class AsyncLimiter:
    """The turns of an event loop's tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given_back = 0
        self._free = asyncio.Semaphore(settings.max_connections)

    async def __aenter__(self) -> None:
        ended = -1
        while ended != self._given_back:
            ended = self._given_back
            try:
                async with asyncio.timeout(self._settings.deadline):
                    await self._free.acquire()
            except TimeoutError:
                pass
            else:
                return
        raise _no_turn(self._settings)

    async def __aexit__(self, *_: object) -> None:
        self._given_back += 1
        self._free.release()


def _no_turn(settings: Settings) -> RequestTimeoutError:
    most = settings.max_connections
    error = RequestTimeoutError(f"no request may begin: none of max_connections={most} has ended")
    error.set_limit("deadline", settings.deadline)
    return error
