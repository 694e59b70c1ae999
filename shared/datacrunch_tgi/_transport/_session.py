"""Sessions: the running calls of one client, and its share in a pool.

A client and its copies with the same target have a session each, on one pool. Closing a session ends its
running calls, and closes the pool's connections if it was the last one.
"""

import weakref
from typing import Any, Generic, Self, TypeVar

from datacrunch_tgi._errors import ClientClosedError
from datacrunch_tgi._protocol._call import Call
from datacrunch_tgi._transport._driver import AsyncDriver, SyncDriver
from datacrunch_tgi._transport._pool import AsyncPool, SyncPool
from datacrunch_tgi._transport._target import Target

Result = TypeVar("Result")
Pool = TypeVar("Pool", SyncPool, AsyncPool)
Driver = TypeVar("Driver", SyncDriver[Any], AsyncDriver[Any])


class _Session(Generic[Pool, Driver]):
    """A client's share in a pool."""

    pool_class: type[Pool]

    def __init__(self, target: Target, pool_timeout: float, sibling: Self | None = None) -> None:
        """Open a session, on the pool of a sibling if it has the same target."""
        shared = sibling is not None and sibling.pool.target == target
        self.pool: Pool = sibling.pool if sibling and shared else self.pool_class(target)
        self._pool_timeout = pool_timeout
        self._is_closed = False
        # A WeakSet in all but speed; its operations are atomic.
        self._running: set[weakref.ref[Driver]] = set()
        self.pool.owners.add(self)

    def _add(self, driver: Driver) -> Driver:
        if self._is_closed:
            raise ClientClosedError
        self._running.add(weakref.ref(driver, self._running.discard))
        return driver

    def _close(self) -> list[Driver]:
        """Refuse further calls; return the running ones."""
        self._is_closed = True
        self.pool.owners.discard(self)
        return [driver for ref in self._running.copy() if (driver := ref())]


class SyncSession(_Session[SyncPool, SyncDriver[Any]]):
    """The session of a client for threads."""

    pool_class = SyncPool

    def start(self, call: Call[Result]) -> SyncDriver[Result]:
        """Return the driver of a call."""
        driver = SyncDriver(call, self.pool, self._pool_timeout)
        self._add(driver)
        return driver

    def close(self) -> None:
        """End running calls, and close connections that no other session needs."""
        for driver in self._close():
            driver.close(ClientClosedError())
        if not self.pool.owners:
            self.pool.close_idle()


class AsyncSession(_Session[AsyncPool, AsyncDriver[Any]]):
    """The session of a client for event loops."""

    pool_class = AsyncPool

    def start(self, call: Call[Result]) -> AsyncDriver[Result]:
        """Return the driver of a call."""
        driver = AsyncDriver(call, self.pool, self._pool_timeout)
        self._add(driver)
        return driver

    async def aclose(self) -> None:
        """End running calls in every event loop, and close connections that no other session needs."""
        for driver in self._close():
            await driver.close(ClientClosedError())
        if not self.pool.owners:
            await self.pool.close_idle()
