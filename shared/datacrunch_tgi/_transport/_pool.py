"""Pools: the connections to one target, shared by the clients that lead there.

They are used instead of httpx's own pool, which looks at every connection for each request: here a
connection is taken from a stack and put back.

    Session (of one client) ──┐
    Session (of its copy) ────┴─▶ pool ─▶ limiter, idle and busy connections
                                  (of an event loop: one for each loop)
"""

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Generic, TypeVar

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._transport._connections import AsyncConnection, SyncConnection
from datacrunch_tgi._transport._limiter import AsyncLimiter, Limiter
from datacrunch_tgi._transport._target import Target

IDLE_SECONDS = 15.0
"""How long a connection is kept for the next request."""
MAX_IDLE = 16
"""How many connections are kept for the next request."""

Connection = TypeVar("Connection", SyncConnection, AsyncConnection)


class _Connections(Generic[Connection]):
    """Connections in use, and a stack of those that are kept for the next request."""

    def __init__(self) -> None:
        self.busy: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()  # its operations are atomic

    def take(self) -> Connection | None:
        """Take the connection that was used last."""
        try:
            return self._idle.pop()[1]
        except IndexError:
            return None

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append((time.monotonic(), connection))

    def evict(self, max_idle: int = MAX_IDLE) -> Iterator[Connection]:
        """Take out connections that are too many or have expired."""
        oldest = time.monotonic() - IDLE_SECONDS
        while self._idle and (len(self._idle) > max_idle or self._idle[0][0] < oldest):
            yield self._idle.popleft()[1]


class SyncPool:
    """The connections of threads to one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.owners: weakref.WeakSet[Any] = weakref.WeakSet()
        """Sessions that are not closed. Without any, no connection is kept."""
        self.limiter = Limiter(target.max_connections)
        self._connections: _Connections[SyncConnection] = _Connections()
        # It holds the connections too, so that the garbage collector ends what uses them before them.
        weakref.finalize(self, _close_idle, self._connections)
        _pools.add(self)

    def take(self) -> SyncConnection:
        """Take an idle connection, or make one."""
        connection = self._connections.take() or SyncConnection(self.target)
        self._connections.busy.add(connection)
        return connection

    def put(self, connection: SyncConnection, *, is_whole: bool) -> None:
        """Take back a connection; `is_whole` unless its response could not be ended."""
        if is_whole and self.owners and not connection.is_aborted:
            self._connections.put(connection)
        else:
            connection.close()
        self._connections.busy.discard(connection)
        for each in self._connections.evict():
            each.close()

    def close_idle(self) -> None:
        """Close the connections that are kept for the next request."""
        _close_idle(self._connections)

    def after_fork(self) -> None:
        """In a child process: leave the parent its connections, and its locks in whatever state."""
        self.limiter = Limiter(self.target.max_connections)
        connections, self._connections = self._connections, _Connections()
        for connection in [*connections.busy, *connections.evict(0)]:
            connection.close_after_fork()


class AsyncPool:
    """The connections of event loops to one target: each loop has its own, closed when it ends."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.owners: weakref.WeakSet[Any] = weakref.WeakSet()
        """As in `SyncPool`."""
        self._loops: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        weakref.finalize(self, _close_abandoned, self._loops)
        _pools.add(self)

    async def of_this_loop(self) -> "LoopPool":
        """Return the running loop's pool."""
        loop = running_loop()
        pool = self._loops.get(loop)
        if pool is None:
            for other in list(self._loops):  # other threads add and remove theirs
                if other.is_closed():
                    self._loops.pop(other, None)
            pool = self._loops[loop] = LoopPool(self)
            await pool.watch_loop()
        return pool

    async def close_idle(self) -> None:
        """Close the connections that are kept for the next request, in every loop."""
        this = running_loop()
        for loop, pool in list(self._loops.items()):
            if loop is this:
                await pool.close_idle()
            else:
                pool.call_soon(pool.close_idle_soon)

    def after_fork(self) -> None:
        """In a child process: leave the parent's loops alone, in which no connection can be closed."""
        _inherited.append(dict(self._loops))
        self._loops.clear()


class LoopPool:
    """The connections of one event loop to one target."""

    def __init__(self, pool: AsyncPool) -> None:
        self.limiter = AsyncLimiter(pool.target.max_connections)
        self._target, self._owners = pool.target, pool.owners
        self.loop = asyncio.get_running_loop()
        self._connections: _Connections[AsyncConnection] = _Connections()
        self._cleanup = _close_at_end(self._connections)

    async def watch_loop(self) -> None:
        """Let the loop's end close the connections."""
        await anext(self._cleanup)

    def take(self) -> AsyncConnection:
        """Take an idle connection, or make one."""
        connection = self._connections.take() or AsyncConnection(self._target)
        self._connections.busy.add(connection)
        return connection

    async def put(self, connection: AsyncConnection, *, is_whole: bool) -> None:
        """Take back a connection; `is_whole` unless its response could not be ended."""
        if is_whole and self._owners and not connection.is_aborted:
            self._connections.put(connection)
        else:
            connection.abort()
        self._connections.busy.discard(connection)
        for each in self._connections.evict():
            await each.close()

    def abandon(self, connection: AsyncConnection | None, holder: int) -> None:
        """Take back the connection of a call that nobody waits for, from any thread."""
        self.limiter.release(holder)
        if connection:
            self._connections.busy.discard(connection)
            self.call_soon(connection.abort)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function in this loop, at once if it is the one that runs; not if it is closed."""
        if is_running(self.loop):
            function()
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function)

    async def close_idle(self) -> None:
        """Close the connections that are kept for the next request."""
        for connection in self._connections.evict(0):
            await connection.close()

    def close_idle_soon(self) -> None:
        """Do so in a task of its own, held because an event loop holds its tasks only weakly."""
        self._closing = asyncio.ensure_future(self.close_idle())


async def _close_at_end(connections: _Connections[AsyncConnection]) -> AsyncGenerator[None, None]:
    """An event loop's last act is to close its generators. This one is held until then."""
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        # Of a loop that keeps no watch over its generators, as nest_asyncio's do, the garbage collector
        # ends this one, wherever that runs: only in its loop can a connection be closed.
        if is_running(loop):
            for connection in [*connections.busy, *connections.evict(0)]:
                connection.abort()


def _close_idle(connections: _Connections[SyncConnection]) -> None:
    for connection in connections.evict(0):
        connection.close()


def _close_abandoned(loops: dict[asyncio.AbstractEventLoop, LoopPool]) -> None:
    """Close the connections of clients that are gone, in the loops that have them."""
    while loops:
        _, pool = loops.popitem()
        pool.call_soon(pool.close_idle_soon)


def is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this is the loop that runs in this thread."""
    return asyncio._get_running_loop() is loop  # noqa: SLF001 -- get_running_loop, but None where there is none


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop.

    Raises:
        ArgumentError: It is not asyncio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ArgumentError("event loop", "must be asyncio's: trio is not supported") from None


_pools: weakref.WeakSet[SyncPool | AsyncPool] = weakref.WeakSet()
_inherited: list[object] = []
"""What a child process got from its parent and must not end."""


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
