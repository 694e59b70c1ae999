"""Pools: the connections to one target, shared by clients with that target.

They replace httpx's own pool, which scans all connections for each request: here a connection is taken from
a stack and put back.

    Session (of one client) ──┐
    Session (of its copy) ────┴─▶ pool ─▶ limiter, idle and busy connections
                                  (for asyncio: one for each event loop)
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
"""Seconds for which an idle connection is kept."""
MAX_IDLE = 16
"""Largest number of idle connections."""

Connection = TypeVar("Connection", SyncConnection, AsyncConnection)


class _Connections(Generic[Connection]):
    """Busy connections, and a stack of idle ones."""

    def __init__(self) -> None:
        self.busy: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()  # its operations are atomic

    def take(self) -> Connection | None:
        """Take the most recently used connection."""
        try:
            return self._idle.pop()[1]
        except IndexError:
            return None

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._idle.append((time.monotonic(), connection))

    def evict(self, max_idle: int = MAX_IDLE) -> Iterator[Connection]:
        """Remove connections that exceed the limit or have expired."""
        oldest = time.monotonic() - IDLE_SECONDS
        while self._idle and (len(self._idle) > max_idle or self._idle[0][0] < oldest):
            yield self._idle.popleft()[1]


class SyncPool:
    """The connections of threads to one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.owners: weakref.WeakSet[Any] = weakref.WeakSet()
        """Sessions that are open. Without any, no connection is kept."""
        self.limiter = Limiter(target.max_connections)
        self._connections: _Connections[SyncConnection] = _Connections()
        # It holds the connections, so that the garbage collector ends their users first.
        weakref.finalize(self, _close_idle, self._connections)
        _pools.add(self)

    def take(self) -> SyncConnection:
        """Take an idle connection, or create one."""
        connection = self._connections.take() or SyncConnection(self.target)
        self._connections.busy.add(connection)
        return connection

    def put(self, connection: SyncConnection, *, is_whole: bool) -> None:
        """Take back a connection; `is_whole` is False if its response could not be ended."""
        if is_whole and self.owners and not connection.is_aborted:
            self._connections.put(connection)
        else:
            connection.close()
        self._connections.busy.discard(connection)
        for each in self._connections.evict():
            each.close()

    def close_idle(self) -> None:
        """Close idle connections."""
        _close_idle(self._connections)

    def after_fork(self) -> None:
        """In a child process: leave connections and locks to the parent."""
        self.limiter = Limiter(self.target.max_connections)
        connections, self._connections = self._connections, _Connections()
        for connection in [*connections.busy, *connections.evict(0)]:
            connection.close_after_fork()


class AsyncPool:
    """The connections of event loops to one target. Each loop has its own, closed when it ends."""

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
        """Close idle connections, in every loop."""
        this = running_loop()
        for loop, pool in list(self._loops.items()):
            if loop is this:
                await pool.close_idle()
            else:
                pool.call_soon(pool.close_idle_soon)

    def after_fork(self) -> None:
        """In a child process: leave the parent's loops alone, because their connections cannot be closed."""
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
        """Make the end of the loop close the connections."""
        await anext(self._cleanup)

    def take(self) -> AsyncConnection:
        """Take an idle connection, or create one."""
        connection = self._connections.take() or AsyncConnection(self._target)
        self._connections.busy.add(connection)
        return connection

    async def put(self, connection: AsyncConnection, *, is_whole: bool) -> None:
        """Take back a connection; `is_whole` is False if its response could not be ended."""
        if is_whole and self._owners and not connection.is_aborted:
            self._connections.put(connection)
        else:
            connection.abort()
        self._connections.busy.discard(connection)
        for each in self._connections.evict():
            await each.close()

    def abandon(self, connection: AsyncConnection | None, holder: int) -> None:
        """Take back the connection of an abandoned call, from any thread."""
        self.limiter.release(holder)
        if connection:
            self._connections.busy.discard(connection)
            self.call_soon(connection.abort)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function in this loop: at once if it is running here, not at all if it is closed."""
        if is_running(self.loop):
            function()
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function)

    async def close_idle(self) -> None:
        """Close idle connections."""
        for connection in self._connections.evict(0):
            await connection.close()

    def close_idle_soon(self) -> None:
        """Do so in a task, which is kept because event loops hold tasks only weakly."""
        self._closing = asyncio.ensure_future(self.close_idle())


async def _close_at_end(connections: _Connections[AsyncConnection]) -> AsyncGenerator[None, None]:
    """Close the connections when the event loop ends, which closes its async generators last."""
    loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        # A loop that does not track its generators, such as nest_asyncio's, leaves this one to the garbage
        # collector, in whatever thread that runs; a connection can be closed only in its own loop.
        if is_running(loop):
            for connection in [*connections.busy, *connections.evict(0)]:
                connection.abort()


def _close_idle(connections: _Connections[SyncConnection]) -> None:
    for connection in connections.evict(0):
        connection.close()


def _close_abandoned(loops: dict[asyncio.AbstractEventLoop, LoopPool]) -> None:
    """Close the connections of clients that were dropped, in their loops."""
    while loops:
        _, pool = loops.popitem()
        pool.call_soon(pool.close_idle_soon)


def is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether this loop is running in this thread."""
    return asyncio._get_running_loop() is loop  # noqa: SLF001 -- get_running_loop without the exception


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop.

    Raises:
        ArgumentError: It is not an asyncio loop.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ArgumentError("event loop", "must be asyncio's: trio is not supported") from None


_pools: weakref.WeakSet[SyncPool | AsyncPool] = weakref.WeakSet()
_inherited: list[object] = []
"""Objects of the parent that a child process must not finalize."""


def _after_fork() -> None:
    for pool in list(_pools):
        pool.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
