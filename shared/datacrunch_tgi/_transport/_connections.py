"""Connections: they perform the steps of calls, with either engine.

Errors of libraries and the operating system become this package's here, and compressed bodies are
decompressed.
"""

from importlib import import_module
from typing import Any

from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._protocol._responses import Head
from datacrunch_tgi._protocol._steps import Open, Read, Step
from datacrunch_tgi._transport._decompression import Decompressor
from datacrunch_tgi._transport._exceptions import strip_traceback
from datacrunch_tgi._transport._failures import FAILURES, PROXY_LOGIN, login_error, to_error
from datacrunch_tgi._transport._target import Target


def _engine(target: Target) -> Any:
    """Return the module of the engine; through a proxy it is always httpx."""
    is_fast = target.engine == "fast" and target.proxy is None
    return import_module(f"datacrunch_tgi._transport.{'_fast' if is_fast else '_httpx'}")


class _Connection:
    """What both kinds of connection share."""

    is_aborted = False
    """Whether the connection must not be used again."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._decompressor: Decompressor | None = None
        self._has_response = False
        self._wire: Any

    def perform(self, step: Step) -> Any:
        """Perform a step; return its result, which for an event loop is to be awaited."""
        match step:
            case Read():
                if self._decompressor:
                    return self._decompress(step, self._decompressor)
                return self._wire.read(step)
            case Open():
                self._has_response = True
                return self._open(step)
            case _:
                return self.drop_response()

    def failure(self, error: BaseException) -> DataCrunchError:
        """Return this package's error for a step that failed. What is no failure of I/O is raised again."""
        if isinstance(error, FAILURES):
            return to_error(error, self._target)
        raise strip_traceback(error)

    def _open(self, step: Open) -> Any:
        raise NotImplementedError

    def _decompress(self, step: Read, decompressor: Decompressor) -> Any:
        raise NotImplementedError

    def drop_response(self) -> Any:
        """End the response. The connection is kept only if the response was read to its end."""
        raise NotImplementedError

    def _begin_body(self, head: Head) -> Head:
        if head.status == PROXY_LOGIN and self._target.proxy:
            raise login_error(self._target)
        coding = head.headers.get("content-encoding", "").lower()
        self._decompressor = None if coding in {"", "identity"} else Decompressor(coding)
        return head


class SyncConnection(_Connection):
    """A connection for threads."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        engine = _engine(target)
        self._wire = engine.SyncWire(target)

    def _open(self, step: Open) -> Head:
        return self._begin_body(self._wire.open(step))

    def _decompress(self, step: Read, decompressor: Decompressor) -> bytes:
        while not (piece := decompressor.take()):
            data = self._wire.read(step)
            if not data:
                decompressor.finish()
                return b""
            decompressor.feed(data)
        return piece

    def drop_response(self) -> None:
        """End the response. The connection is kept only if the response was read to its end."""
        if self._has_response:
            self._wire.drop_response()
            self._has_response = False

    def abort(self) -> None:
        """End the connection for whoever is waiting for it, from any thread."""
        self.is_aborted = True
        self._wire.abort()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def close_after_fork(self) -> None:
        """Close the connection in a child process, without ending the parent's."""
        self._wire.close_after_fork()


class AsyncConnection(_Connection):
    """A connection for event loops."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        engine = _engine(target)
        self._wire = engine.AsyncWire(target)

    async def _open(self, step: Open) -> Head:
        return self._begin_body(await self._wire.open(step))

    async def _decompress(self, step: Read, decompressor: Decompressor) -> bytes:
        while not (piece := decompressor.take()):
            data = await self._wire.read(step)
            if not data:
                decompressor.finish()
                return b""
            decompressor.feed(data)
        return piece

    async def drop_response(self) -> None:
        """End the response. The connection is kept only if the response was read to its end."""
        if self._has_response:
            await self._wire.drop_response()
            self._has_response = False

    def abort(self) -> None:
        """Close the connection at once, for whoever is waiting for it."""
        self.is_aborted = True
        self._wire.abort()

    async def close(self) -> None:
        """Close the connection."""
        await self._wire.close()
