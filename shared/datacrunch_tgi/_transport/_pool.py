"""Who gets a connection, and when: calls take turns on it, and are driven to their end. No I/O of its own.

It stands in the place of httpx's pool, which looks at every connection for each request: here each
connection is taken from a stack, and put back.
"""

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any, Generic, TypeVar

from datacrunch_tgi._errors import ArgumentError, TransportError
from datacrunch_tgi._protocol._call import Call, Result
from datacrunch_tgi._protocol._schema import StreamEvent
from datacrunch_tgi._settings import Settings, alone
from datacrunch_tgi._transport._connections import (
    IDLE_SECONDS,
    AsyncConnection,
    SyncConnection,
    TLSConfig,
)
from datacrunch_tgi._transport._limiter import AsyncLimiter, Limiter

MAX_IDLE = 16
"""How many connections are kept for the next request."""

POOL_SETTINGS = {
    "base_url",
    "api_key",
    "headers",
    "proxy",
    "ca_bundle",
    "client_certificate",
    "max_connections",
    "deadline",
}
"""The settings that connections, and the turns on them, are made with."""

Connection = TypeVar("Connection", SyncConnection, AsyncConnection)


class Pool:
    """The connections of a client for threads; any number of them may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = alone(settings)
        self._certificates = TLSConfig(self._settings)
        self._idle: _Idle[SyncConnection] = _Idle()
        self._turns = Limiter(self._settings)
        # It holds the connections too, so that the garbage collector ends what uses them before them.
        weakref.finalize(self, _close_idle, self._idle)
        _pools.add(self)

    def run(self, call: Call[Any]) -> Generator[StreamEvent, None, None]:
        """Drive the call to its end; yield its events."""
        with self._turns:
            connection = self._idle.take() or SyncConnection(self._settings, self._certificates)
            self._idle.busy.add(connection)
            try:
                yield from _drive(call, connection)
            finally:
                connection.drop_response()
                self._idle.put(connection)
                for surplus in self._idle.evict():
                    surplus.close()

    def result(self, call: Call[Result]) -> Result:
        """Drive the call to its end; return its result."""
        for _ in self.run(call):
            pass
        return call.result

    def close(self) -> None:
        """Close the connections that wait for their next request."""
        _close_idle(self._idle)

    def after_fork(self) -> None:
        """In a child process: leave the parent its connections, and its locks in whatever state they are."""
        self._certificates = TLSConfig(self._settings)
        self._turns = Limiter(self._settings)
        self.close()


def _drive(call: Call[Any], connection: SyncConnection) -> Iterator[StreamEvent]:
    steps = call.steps()
    try:
        step = next(steps)
        while True:
            if isinstance(step, list):
                yield from step
                step = next(steps)
                continue
            came, failure = None, None
            try:
                came = connection.perform(step)
            except TransportError as error:
                failure = error
            step = steps.throw(failure) if failure else steps.send(came)
    except StopIteration:
        return
    finally:
        failure = None  # whose traceback holds this frame


class AsyncPool:
    """The connections of a client for event loops: each loop has its own, closed when it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = alone(settings)
        self._certificates = TLSConfig(self._settings)
        self._loops: dict[asyncio.AbstractEventLoop, _LoopPool] = {}
        # It holds the connections too, as above.
        weakref.finalize(self, _close_abandoned, self._loops)

    async def run(self, call: Call[Any]) -> AsyncGenerator[StreamEvent, None]:
        """Drive the call to its end; yield its events."""
        pool = await self._of_this_loop()
        async with pool.turns:
            connection = pool.idle.take() or AsyncConnection(self._settings, self._certificates)
            pool.idle.busy.add(connection)
            try:
                # Not a generator of its own, as for threads: one inside another is not closed with it.
                steps = call.steps()
                step = next(steps)
                while True:
                    if isinstance(step, list):
                        for event in step:
                            yield event
                        step = next(steps)
                        continue
                    came, failure = None, None
                    try:
                        came = await connection.perform(step)
                    except TransportError as error:
                        failure = error
                    step = steps.throw(failure) if failure else steps.send(came)
            except StopIteration:
                return
            finally:
                failure = None  # whose traceback holds this frame
                try:
                    await connection.drop_response()
                finally:  # also where the task is cancelled once more: the connection is closed then
                    pool.idle.put(connection)
                for surplus in pool.idle.evict():
                    await surplus.close()

    async def result(self, call: Call[Result]) -> Result:
        """Drive the call to its end; return its result."""
        async for _ in self.run(call):
            pass
        return call.result

    async def aclose(self) -> None:
        """Close this loop's connections that wait for their next request."""
        pool = self._loops.pop(_running_loop(), None)
        if pool:
            await pool.close()

    async def _of_this_loop(self) -> "_LoopPool":
        loop = _running_loop()
        pool = self._loops.get(loop)
        if pool is None:
            for other in list(self._loops):  # other threads add and remove theirs
                if other.is_closed() and (ended := self._loops.pop(other, None)):
                    _cleanups.discard(ended.cleanup)
            pool = self._loops[loop] = _LoopPool(self._settings)
            await anext(pool.cleanup)
        return pool


class _LoopPool:
    """The connections of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self.turns = AsyncLimiter(settings)
        self.idle: _Idle[AsyncConnection] = _Idle()
        # An event loop's last act is to close its generators. This one is held until then, so that
        # what a cancelled `close` leaves open is closed too.
        self.cleanup = _close_at_end(self.idle)
        _cleanups.add(self.cleanup)

    def close_soon(self) -> None:
        # Kept, because an event loop itself holds its tasks only weakly.
        self._closing = asyncio.ensure_future(self.close())

    async def close(self) -> None:
        await _close_all(self.idle)
        await self.cleanup.aclose()
        _cleanups.discard(self.cleanup)


async def _close_at_end(idle: "_Idle[AsyncConnection]") -> AsyncGenerator[None, None]:
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        # Of a loop that keeps no watch over its generators, as nest_asyncio's do, the garbage collector
        # ends this one, wherever that runs: only in its loop can a connection be closed.
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 -- get_running_loop, but None where there is none
            await _close_all(idle)


async def _close_all(idle: "_Idle[AsyncConnection]") -> None:
    idle.max_idle = 0
    for connection in idle.evict():
        await connection.close()


def _close_abandoned(loops: dict[asyncio.AbstractEventLoop, _LoopPool]) -> None:
    """Close the connections of a client that is gone, in the loops that have them."""
    while loops:
        loop, pool = loops.popitem()
        if loop.is_closed():
            _cleanups.discard(pool.cleanup)
        else:
            loop.call_soon_threadsafe(pool.close_soon)


class _Idle(Generic[Connection]):
    """A stack of connections that wait for their next request, the one used last on top."""

    def __init__(self) -> None:
        self.max_idle = MAX_IDLE
        self.busy: set[Connection] = set()
        self._stack: deque[tuple[float, Connection]] = deque()  # its operations are atomic

    def take(self) -> Connection | None:
        try:
            return self._stack.pop()[1]
        except IndexError:
            return None

    def put(self, connection: Connection) -> None:
        self.busy.discard(connection)
        self._stack.append((time.monotonic(), connection))

    def evict(self) -> Iterator[Connection]:
        """Take out what is too much or has waited for too long."""
        oldest = time.monotonic() - IDLE_SECONDS
        while self._stack and (len(self._stack) > self.max_idle or self._stack[0][0] < oldest):
            yield self._stack.popleft()[1]


def _close_idle(idle: _Idle[SyncConnection]) -> None:
    while connection := idle.take():
        connection.close()


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ArgumentError("event loop", "must be asyncio's: trio is not supported") from None


_cleanups: set[AsyncGenerator[None, None]] = set()
_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
