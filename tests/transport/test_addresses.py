"""A host name with several addresses."""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from datacrunch_tgi import AsyncClient, ConnectError, ConnectTimeoutError

NAME = "several.test"
Where = tuple[str, int]


class Resolver:
    """The operating system's resolver, which knows the addresses of one name."""

    def __init__(self) -> None:
        self.found: list[Where] = []

    def __call__(self, host: str, *_: Any, **__: Any) -> list[Any]:
        assert host == NAME
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", at) for at in self.found
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    return resolver


@pytest.fixture
def refused() -> Where:
    """An address at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        where: Where = sock.getsockname()
    return where


def named(url: str) -> dict[str, Any]:
    """Return the settings for a server by its name; its certificate is for its address."""
    parts = urlsplit(url)
    return {
        "base_url": f"{parts.scheme}://{NAME}:{parts.port}",
        "server_hostname": parts.hostname if parts.scheme == "https" else None,
    }


def address(url: str) -> Where:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


@pytest.mark.parametrize("first", ["refused", "silent"])
def test_the_next_address_is_tried(
    first: str, http: Any, serve: Any, caller: Any, request: pytest.FixtureRequest
) -> None:
    """An address that refuses, or does not answer, is followed by the next one."""
    resolver, url = request.getfixturevalue("resolver"), serve(http.answer()).url
    resolver.found = [request.getfixturevalue(first), address(url)]
    assert caller(max_retries=0, **named(url)).ask("generate").text == "Hi you"


def test_all_addresses_share_one_time_limit(
    http: Any, serve: Any, caller: Any, resolver: Resolver, silent: Where
) -> None:
    """`connect_timeout` holds for all addresses of a name together, so the last of many is not reached."""
    url = serve(http.answer()).url
    resolver.found = [*[silent] * 10, address(url)]
    error = caller(connect_timeout=0.4, max_retries=0, **named(url)).ask("generate").error
    assert isinstance(error, ConnectTimeoutError)
    assert (error.setting, error.seconds, error.requests) == ("connect_timeout", 0.4, 1)


def test_the_last_refusal_is_reported(
    http: Any, serve: Any, caller: Any, resolver: Resolver, refused: Where
) -> None:
    """If no address can be reached, the error says why."""
    resolver.found = [refused, refused]
    error = caller(max_retries=0, **named(serve(http.answer()).url)).ask("generate").error
    assert isinstance(error, ConnectError)
    assert "refused" in str(error)


def connecting() -> int:
    """Return the number of attempts to connect that have not ended."""
    return sum("coro=<_connected()" in repr(task) for task in asyncio.all_tasks())


@pytest.mark.parametrize("steps", range(6))
async def test_a_task_that_is_cancelled_when_it_has_connected_leaves_nothing_open(
    steps: int, http: Any, serve: Any, resolver: Resolver, silent: Where
) -> None:
    """However shortly after, the server sees that the connection has ended."""
    server = serve(http.answer())
    resolver.found = [silent, address(server.url)]
    async with AsyncClient(max_retries=0, **named(server.url)) as client:
        call = asyncio.create_task(client.generate("Hello"))
        while connecting() < len(resolver.found):  # noqa: ASYNC110 -- tasks have no event for it
            await asyncio.sleep(0)
        while connecting() == len(resolver.found):  # noqa: ASYNC110 -- tasks have no event for it
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    server.wait_until_ended()
