"""Fault injection into the next requests.

Changes answers on their way out, so that the rest of the endpoint is unaware of faults.
"""

import asyncio
import json
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacrunch_tgi.testing import _serialize
from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._errors import GenerationFailedError, OverloadedError, UnhealthyError
from datacrunch_tgi.testing._middleware import ConnectionCutError
from datacrunch_tgi.testing._streaming import KEEP_ALIVE

_OUT_OF_MEMORY = GenerationFailedError("CUDA out of memory. Tried to allocate 2.00 GiB")
_BY_STATUS = {
    error.status: error for error in (_OUT_OF_MEMORY, OverloadedError(), UnhealthyError())
}
"""Errors of TGI itself; other statuses come from a proxy or gateway in front of it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The fault of one request; see `EmulatedEndpoint.fail_next`."""

    status: int | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    hang_up: bool = False
    stall: float = 0.0
    stall_after: int = 0
    cut_after: int | None = None
    error_after: int | None = None

    def __post_init__(self) -> None:
        """Refuse faults that exclude each other.

        Raises:
            ValueError: There are several endings, or a body or headers without a status.
        """
        endings = {
            "status": self.status is not None,
            "hang_up": self.hang_up,
            "cut_after": self.cut_after is not None,
            "error_after": self.error_after is not None,
        }
        chosen = [name for name, is_chosen in endings.items() if is_chosen]
        if len(chosen) > 1:
            raise ValueError(f"a request can end in one way only, not in {' and '.join(chosen)}")
        if self.status is None and self.headers:
            raise ValueError("headers belong to a status")
        if self.body is not None and self.status is None and self.error_after is None:
            raise ValueError("body belongs to a status or to error_after")

    def response(self) -> Response:
        """Return the response that is sent instead of an answer."""
        status = self.status or 200
        if self.body is None:
            error = _BY_STATUS.get(status)
            return Response(
                _serialize.error(error) if error else None,
                status,
                self.headers,
                media_type="application/json" if error else None,
            )
        if isinstance(self.body, str | bytes):
            return Response(self.body, status, self.headers, media_type="text/plain")
        return Response(json.dumps(self.body), status, self.headers, media_type="application/json")

    def error(self) -> str:
        """Return the JSON of the error event."""
        return _serialize.error(_OUT_OF_MEMORY) if self.body is None else _serialize.dump(self.body)


class _AnswerEndedError(Exception):
    """The fault has ended the answer; the application stops."""


class FaultInjector:
    """Applies faults to answers, in order."""

    def __init__(
        self, app: ASGIApp, faults: deque[Fault], dialect: Dialect, paths: Collection[str]
    ) -> None:
        """Wrap an application.

        Args:
            app: Answers the requests.
            faults: One for each of the next requests, taken from the left.
            dialect: The server whose error events are sent.
            paths: Routes that generate, the only ones with faults.
        """
        self._app = app
        self._faults = faults
        self._dialect = dialect
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with the next fault if there is one."""
        generates = scope["method"] == "POST" and scope["path"] in self._paths
        if not (generates and self._faults):
            await self._app(scope, receive, send)
            return
        fault = self._faults.popleft()
        await asyncio.sleep(fault.delay)
        if fault.hang_up:
            raise ConnectionCutError
        if fault.status is not None:
            await fault.response()(scope, receive, send)
            return
        try:
            spoiler = _Spoiler(fault, self._dialect, scope, receive, send)
            await self._app(scope, receive, spoiler.send)
        except* _AnswerEndedError:
            pass


class _Spoiler:
    """One answer on its way out."""

    def __init__(
        self, fault: Fault, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._fault = fault
        self._dialect = dialect
        self._scope = scope
        self._receive = receive
        self._send = send
        self._head: Message | None = None
        self._events = 0

    async def send(self, message: Message) -> None:
        """Send a message of the application, or the fault whose turn it is."""
        if message["type"] == "http.response.start":
            await self._send_head(message)
        elif self._head is not None:
            await self._send_answer(self._head, message)
        elif message["body"] == KEEP_ALIVE:
            await self._send(message)
        else:
            await self._send_event(message)

    async def _send_head(self, message: Message) -> None:
        if (b"content-type", b"text/event-stream") in message["headers"]:
            await self._send(message)
        else:
            self._head = message

    async def _send_answer(self, head: Message, message: Message) -> None:
        """Send an answer that is not streamed: it has one part, and can only be cut in the middle."""
        fault = self._fault
        await asyncio.sleep(fault.stall)
        if fault.error_after is not None:
            response = Response(fault.error(), _OUT_OF_MEMORY.status, media_type="application/json")
            await response(self._scope, self._receive, self._send)
            raise _AnswerEndedError
        await self._send(head)
        if fault.cut_after is not None:
            half = message["body"][: len(message["body"]) // 2]
            await self._send({**message, "body": half, "more_body": True})
            raise ConnectionCutError
        await self._send(message)

    async def _send_event(self, message: Message) -> None:
        """Send an event or the end of the stream; faults come at the end at the latest."""
        fault, is_end = self._fault, not message["more_body"]
        if self._events == fault.stall_after:
            await asyncio.sleep(fault.stall)
        if fault.cut_after is not None and (is_end or self._events == fault.cut_after):
            raise ConnectionCutError
        if fault.error_after is not None and (is_end or self._events == fault.error_after):
            event = _serialize.event(fault.error(), self._dialect)
            await self._send({**message, "body": event, "more_body": True})
            await self._send({**message, "body": b"", "more_body": False})
            raise _AnswerEndedError
        self._events += 1
        await self._send(message)
