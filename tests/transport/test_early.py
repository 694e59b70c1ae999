"""While a request is still being sent: the server may answer, read slowly, or leave."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import DisconnectedError, InvalidRequestError, RequestTimeoutError
from tests.transport.conftest import PATIENCE

LONG = "x" * 6_000_000
"""More than what fits between two sockets."""


class Upload:
    """A server that reads the beginning of a request, and does then what it was made for."""

    def __init__(self, serve: Any, then: Callable[[Any], None]) -> None:
        self.requests = 0
        self._then = then
        self.server = serve()
        self.server.receive = self._receive
        self.url = self.server.url

    def _receive(self, peer: Any) -> bool:
        # As servers do: otherwise the kernel may keep an answer back, and discard it when the server closes.
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not peer.sock.recv(1000):
            return False
        self.requests += 1
        self._then(peer)
        return False


@pytest.fixture
def upload(serve: Any) -> Callable[[Callable[[Any], None]], Upload]:
    return lambda then: Upload(serve, then)


@pytest.mark.parametrize(("route", "closes"), [("generate", False), ("stream", True)])
def test_an_answer_to_half_a_request_is_the_answer(
    *, route: str, closes: bool, http: Any, upload: Any, caller: Any
) -> None:
    """413 is reported as such, also when the server is gone then, and the prompt is not sent again."""
    ended = threading.Event()

    def refuse(peer: Any) -> None:
        peer.send(http.response(413, "too long", content_type="text/plain", connection="close"))
        assert closes or ended.wait(PATIENCE)

    server = upload(refuse)
    error = caller(server.url, max_retries=2).ask(route, LONG).error
    ended.set()
    assert type(error) is InvalidRequestError
    assert (error.status, error.server_message, error.requests) == (413, "too long", 1)
    assert server.requests == 1


def test_a_server_that_leaves_during_the_request_is_reported(upload: Any, caller: Any) -> None:
    """A connection that breaks while a request is sent raises `DisconnectedError`."""
    server = upload(lambda peer: peer.reset())
    error = caller(server.url, max_retries=0).ask("generate", LONG).error
    assert type(error) is DisconnectedError


@pytest.mark.parametrize("setting", ["first_token_timeout", "deadline"])
def test_limits_hold_while_a_slow_server_is_sent_to(setting: str, upload: Any, caller: Any) -> None:
    """A server that reads slowly does not reset a time limit."""
    ended = threading.Event()

    def read_slowly(peer: Any) -> None:
        while not ended.wait(0.02) and peer.sock.recv(20_000):
            pass

    limits = {setting: 0.2}
    client = caller(upload(read_slowly).url, max_retries=0, **limits)
    error = client.ask("generate", LONG).error
    ended.set()
    assert isinstance(error, RequestTimeoutError)  # while connecting, on a busy machine
    assert (error.setting, error.seconds, error.requests) == (setting, 0.2, 1)
