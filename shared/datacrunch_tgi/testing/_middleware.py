"""Processing of every request before and after its route.

Requests are recorded, responses get the server's common headers, and a request is abandoned as soon as
its client has left, because closing the connection is how a generation is stopped.
"""

import asyncio
from contextlib import ExitStack
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datacrunch_tgi.testing._dialect import Headers
from datacrunch_tgi.testing._recording import RECEIVED_REQUEST, ReceivedRequest, Records
from datacrunch_tgi.testing._server import CLOSE_CONNECTION


class ConnectionCutError(Exception):
    """A fault closes the connection here."""


class _ClientLeftError(Exception):
    """The client closed the connection before the answer was sent completely."""


class RequestMiddleware:
    """Records requests, adds headers, and notices clients that leave."""

    def __init__(
        self, app: ASGIApp, records: Records, headers: Headers, *, payload_limit: int
    ) -> None:
        """Wrap an application.

        Args:
            app: Answers the requests.
            records: Stores what was received.
            headers: Sent with every response.
            payload_limit: Bytes after which a body is read no further; the application refuses it.
        """
        self._app = app
        self._payload_limit = payload_limit
        self._records = records
        self._headers = [(name.encode(), value.encode()) for name, value in headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = ReceivedRequest(
            method=scope["method"],
            path=scope["path"],
            headers={
                key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
            },
        )
        scope["extensions"][RECEIVED_REQUEST] = request
        with ExitStack() as is_open:
            is_open.enter_context(self._records.open_requests.count())
            try:
                request.body = await _read_body(receive, self._payload_limit)
                self._records.requests.append(request)
                async with asyncio.TaskGroup() as group:
                    watch = group.create_task(_watch(request, receive))
                    await self._app(
                        scope, _replay(request.body), self._record(request, send, is_open)
                    )
                    watch.cancel()
            except* _ClientLeftError:
                request.left_early = True
            except* ConnectionCutError:
                scope["extensions"][CLOSE_CONNECTION]()
                # uvicorn would report a missing response if this returned before it has noticed.
                while (await receive())["type"] != "http.disconnect":
                    pass

    def _record(self, request: ReceivedRequest, send: Send, is_open: ExitStack) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                date = (b"date", formatdate(usegmt=True).encode())
                message["headers"] = [*message["headers"], *self._headers, date]
            else:
                request.events += message["body"].startswith(b"data:")
                request.finished = not message.get("more_body", False)
            if request.finished:
                # Before the client has the end and can send the next request.
                is_open.close()
            await send(message)

        return sending


async def _read_body(receive: Receive, limit: int) -> bytes:
    """Read a body, or of one that is too large one byte more than the limit."""
    body = bytearray()
    is_read = False
    while not is_read and len(body) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientLeftError
        body += message["body"]
        is_read = not message["more_body"]
    return bytes(body[: limit + 1])


async def _watch(request: ReceivedRequest, receive: Receive) -> None:
    # The rest of a body that is too large comes first. The message of a disconnect also comes when
    # the answer was sent completely.
    while (await receive())["type"] != "http.disconnect":
        pass
    if not request.finished:
        raise _ClientLeftError


def _replay(body: bytes) -> Receive:
    """Return a `receive` with the body that was read already, and no disconnect."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if unread:
            return unread.pop()
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    return receive
