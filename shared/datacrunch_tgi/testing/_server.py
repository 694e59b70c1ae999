"""The HTTP server: uvicorn in a separate thread, with its own event loop.

Listens before it returns, and stops at once by closing open connections.
"""

import asyncio
import socket
import threading

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from datacrunch_tgi.testing._recording import Gauge

CLOSE_CONNECTION = "datacrunch_tgi.close_connection"
"""ASGI extension: a function that closes the connection after what was written to it."""

_BACKLOG = 2048
_IDLE_SECONDS = 3600
"""TGI never closes a connection because it is idle."""


class BackgroundServer:
    """A running server of one application."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, open_connections: Gauge) -> None:
        """Start serving.

        Args:
            app: Answers the requests.
            host: Address to listen on.
            port: Port to listen on; 0 chooses a free one.
            open_connections: Counts open TCP connections.

        Raises:
            OSError: The address is in use, or does not belong to this machine.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Accepted connections inherit it; without it the second half of an answer waits for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = listening.getsockname()[1]
        self._server = _Server(app, open_connections)
        # Created here, so that the thread can be stopped before it has started.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(
            target=self._run, args=(listening,), name=f"emulated-endpoint-{self.port}", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Block until the server is stopped."""
        self._thread.join()

    def stop(self) -> None:
        """Close all connections, end the thread and wait for its end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._server.stopping.set)
        self._thread.join()

    def _run(self, listening: socket.socket) -> None:
        with self._runner as runner:
            runner.run(self._server.serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """uvicorn, stopped by an event, at once, without waiting for open requests."""

    def __init__(self, app: ASGIApp, open_connections: Gauge) -> None:
        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                open_connections.add(1)

                async def app_of_connection(scope: Scope, receive: Receive, send: Send) -> None:
                    scope["extensions"] = {CLOSE_CONNECTION: transport.close}
                    await app(scope, receive, send)

                self.app = app_of_connection

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                open_connections.add(-1)

        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_IDLE_SECONDS,
            )
        )
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until `stopping` is set."""
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything; requests see it as if their clients had left."""
        # Closing the listening socket would leave open what was accepted but is not served yet.
        for _ in range(5):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks)
        for server in self.servers:
            await server.wait_closed()
