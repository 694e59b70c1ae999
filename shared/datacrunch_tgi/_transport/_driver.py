"""Drivers: one call of `_protocol._call` performed on one connection, by a thread or an event loop.

    call.steps() ──step──▶ driver ──perform──▶ connection
                 ◀─result─        ◀──────────
                 ──events─▶        ──events──▶ caller, who iterates over the driver

A driver holds a connection and a slot of the limiter until its call ends, or it is closed or dropped.
"""

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._protocol._call import Call
from datacrunch_tgi._protocol._schema import StreamEvent
from datacrunch_tgi._protocol._steps import OF_A_CONNECTION, Compute, Sleep, Step
from datacrunch_tgi._transport._connections import AsyncConnection, SyncConnection
from datacrunch_tgi._transport._pool import AsyncPool, LoopPool, SyncPool, is_running

Result = TypeVar("Result")


class _Driver(Generic[Result]):
    """State of a running call."""

    def __init__(self, call: Call[Result], pool_timeout: float) -> None:
        self._call, self._pool_timeout = call, pool_timeout
        self._steps = call.steps()
        self._is_stopped = self._is_finished = False
        self._stop_error: DataCrunchError | None = None
        self._events: deque[StreamEvent] = deque()  # that have arrived and were not read yet
        self.taken: int = 0  # events that were read

    def _next_step(self, came: Any = None) -> Step | None:
        """Advance to the call's next step; return None if events have arrived or it has ended."""
        is_error = isinstance(came, DataCrunchError)
        try:
            step = self._steps.throw(came) if is_error else self._steps.send(came)
        except StopIteration:
            self._is_stopped = True
            return None
        if isinstance(step, list):
            self._events.extend(step)
            return None
        return step

    def _stop(self, error: DataCrunchError | None) -> None:
        if not self._is_stopped:
            self._is_stopped, self._stop_error = True, error
        self._events.clear()

    def _result(self) -> Result:
        if self._stop_error:
            raise self._stop_error
        return self._call.result


class SyncDriver(_Driver[Result]):
    """Performs a call in a thread."""

    def __init__(self, call: Call[Result], pool: SyncPool, pool_timeout: float) -> None:
        super().__init__(call, pool_timeout)
        self._pool = pool
        self._connection: SyncConnection | None = None
        self._is_released = False  # connection and slot; an interrupt can come before it
        self._lock = threading.Lock()  # held by the thread that is performing a step
        self._wakeup: threading.Event | None = None

    def __del__(self) -> None:
        if not self._is_released:
            self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        """Return the next event.

        Raises:
            StopIteration: The call has ended.
            DataCrunchError: The call failed, or its client was closed.
        """
        while True:
            try:
                event = self._events.popleft()
            except IndexError:  # without a check before it: another thread may close the stream
                is_finished = self._is_finished
            else:
                self.taken += 1
                return event
            if is_finished:
                raise self._stop_error or StopIteration
            self._run()

    def result(self) -> Result:
        """Perform the call to its end; return its result."""
        for _ in self:
            pass
        return self._result()

    def close(self, error: DataCrunchError | None = None) -> None:
        """End the call, from any thread; a thread that is performing it gets `error`, or the end."""
        self._stop(error)
        if self._lock.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._lock.release()
        else:  # that thread checks whether the call is stopped after it has released the lock
            self._pool.limiter.wake()
            if wakeup := self._wakeup:
                wakeup.set()
            if connection := self._connection:
                connection.abort()

    def _run(self) -> None:
        """Perform steps until events have arrived or the call has ended."""
        try:
            with self._lock:
                connection = self._connection or self._connect()
                step = self._next_step()
                while step and not self._is_stopped:
                    came = None
                    if not isinstance(step, OF_A_CONNECTION):
                        self._wait(step)
                    else:
                        try:
                            came = connection.perform(step)
                        except BaseException as error:  # noqa: BLE001 -- `failure` raises it again
                            came = connection.failure(error)
                    step = self._next_step(came)
        except BaseException:
            self._is_stopped = True
            raise
        finally:
            if self._is_stopped:
                self._finish()

    def _connect(self) -> SyncConnection:
        self._pool.limiter.acquire(id(self), self._pool_timeout, lambda: self._is_stopped)
        self._connection = connection = self._pool.take()
        return connection

    def _wait(self, step: Sleep | Compute) -> None:
        if isinstance(step, Compute):
            step.function()
            return
        self._wakeup = threading.Event()
        if not self._is_stopped:
            self._wakeup.wait(step.seconds)

    def _finish(self) -> None:
        connection, is_whole = self._connection, False
        try:
            self._is_finished = True
            self._steps.close()
            if connection:
                connection.drop_response()
                is_whole = True
        finally:
            self._connection = None
            try:
                if connection:
                    self._pool.put(connection, is_whole=is_whole)
                    connection = None
            finally:
                self._pool.limiter.release(id(self))
                if connection:  # interrupted: the pool may not have it
                    connection.close()
                self._is_released = True


class AsyncDriver(_Driver[Result]):
    """Performs a call in an event loop."""

    def __init__(self, call: Call[Result], pool: AsyncPool, pool_timeout: float) -> None:
        super().__init__(call, pool_timeout)
        self._pools = pool
        self._pool: LoopPool | None = None
        self._connection: AsyncConnection | None = None
        self._is_running = False
        self._ended: asyncio.Event | None = None
        self._sleep: asyncio.Event | None = None

    def __del__(self) -> None:
        self.abandon()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        """Return the next event: see `SyncDriver`."""
        while not self._events:
            if self._is_finished:
                raise self._stop_error or StopAsyncIteration
            if self._is_running:
                raise RuntimeError("another task is reading this stream")
            self._is_running = True
            try:  # here and not in a coroutine of its own, which would cost a twentieth of a token
                connection = self._connection or await self._connect()
                step = self._next_step()
                while step and not self._is_stopped:
                    came = None
                    if not isinstance(step, OF_A_CONNECTION):
                        await self._wait(step)
                    else:
                        try:
                            came = await connection.perform(step)
                        except BaseException as error:  # noqa: BLE001 -- `failure` raises it again
                            came = connection.failure(error)
                    step = self._next_step(came)
            except BaseException:
                self._is_stopped = True
                raise
            finally:
                if self._is_stopped:
                    await self._finish()
                self._is_running = False
        self.taken += 1
        return self._events.popleft()

    async def result(self) -> Result:
        """Perform the call to its end; return its result."""
        async for _ in self:
            pass
        return self._result()

    async def close(self, error: DataCrunchError | None = None) -> None:
        """End the call, from any event loop; a task that is performing it gets `error`, or the end."""
        self._stop(error)
        if self._pool is None or self._is_finished:
            self._is_finished = True
            self._steps.close()
        elif not is_running(self._pool.loop):
            self._pool.call_soon(self._interrupt)
        elif self._is_running:
            self._interrupt()
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()
        else:
            await self._finish()

    def _interrupt(self) -> None:
        """Make the task that is performing the call end it; without one, end it here."""
        if not self._is_running:
            self.abandon()
        elif self._pool:
            self._pool.limiter.wake()
            if self._sleep:
                self._sleep.set()
            if self._connection:
                self._connection.abort()

    def abandon(self) -> None:
        """End the call from any thread, without waiting."""
        if self._is_finished:
            return
        self._stop(None)
        self._is_finished = True
        self._steps.close()
        if self._pool:
            self._pool.abandon(self._connection, id(self))

    async def _connect(self) -> AsyncConnection:
        self._pool = pool = await self._pools.of_this_loop()
        await pool.limiter.acquire(id(self), self._pool_timeout, lambda: self._is_stopped)
        self._connection = connection = pool.take()
        return connection

    async def _wait(self, step: Sleep | Compute) -> None:
        if isinstance(step, Compute):
            await asyncio.to_thread(step.function)
            return
        self._sleep = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(step.seconds):
                await self._sleep.wait()

    async def _finish(self) -> None:
        pool, connection, is_whole = self._pool, self._connection, False
        try:
            self._is_finished = True
            self._steps.close()
            if connection:
                await connection.drop_response()
                is_whole = True
        finally:
            self._connection = None
            try:
                if pool and connection:
                    await pool.put(connection, is_whole=is_whole)
            finally:
                if pool:
                    pool.limiter.release(id(self))
                self._is_running = False
                if self._ended:
                    self._ended.set()
