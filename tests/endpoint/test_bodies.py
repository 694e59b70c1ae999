"""Bodies on their way in: too large, slow, and over any kind of address."""

import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]

LIMIT = 100_000
BODY = b'{"inputs": "Hi", "parameters": {}}'
HEAD = b"POST /generate HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


def connect(endpoint: EmulatedEndpoint) -> socket.socket:
    address = urlsplit(endpoint.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 1000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nF4240\r\n"],
)
def test_a_body_that_is_too_large_is_not_read_to_its_end(
    emulated_endpoint: Start, framing: bytes
) -> None:
    """The refusal comes as soon as the limit is passed, and the endpoint keeps no more than that."""
    endpoint = emulated_endpoint(answers="Hello", payload_limit=LIMIT)

    with connect(endpoint) as connection, connection.makefile("rb") as answer:
        connection.sendall(HEAD + framing + b"a" * (LIMIT + 1))
        status = answer.readline()

    assert status.startswith(b"HTTP/1.1 413 ")
    assert len(endpoint.requests[0].body) == LIMIT + 1


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (50 * LIMIT, 413)])
def test_the_connection_can_be_used_after_a_large_body(
    emulated_endpoint: Start, size: int, status: int
) -> None:
    """The rest of a refused body is dropped; the limit itself is allowed."""
    endpoint = emulated_endpoint(answers="Hello", payload_limit=LIMIT)
    headers = {"content-type": "application/json"}

    def parts() -> Iterable[bytes]:
        yield from [BODY.ljust(1000)] + [b" " * 1000] * (size // 1000 - 1) + [b" " * (size % 1000)]

    with httpx.Client(base_url=endpoint.url, trust_env=False) as client:
        large = client.post("/generate", content=parts(), headers=headers)
        small = client.post("/generate", content=BODY, headers=headers)

    assert (large.status_code, small.status_code) == (status, 200)
    assert not endpoint.requests[0].left_early
    assert endpoint.peak_open_connections == 1


def test_a_slow_sender_holds_up_nobody(emulated_endpoint: Start, ask: Ask) -> None:
    """Requests are answered while another's body is still coming, however few are allowed."""
    endpoint = emulated_endpoint(answers="Hello", max_concurrent_requests=1)

    with connect(endpoint) as connection, connection.makefile("rb") as answer:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:5])

        assert [ask(endpoint).status_code for _ in range(3)] == [200] * 3

        connection.sendall(BODY[5:])
        assert answer.readline().startswith(b"HTTP/1.1 200 ")


def test_a_sender_that_leaves_is_forgotten(emulated_endpoint: Start) -> None:
    """A connection that closes before its body has come leaves nothing open."""
    endpoint = emulated_endpoint(answers="Hello")

    with connect(endpoint) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        assert endpoint.open_requests == 1

    endpoint.wait_until_idle()


def test_it_listens_on_ipv6(emulated_endpoint: Start, ask: Ask) -> None:
    """The URL of an IPv6 address has brackets, and works as it is."""
    endpoint = emulated_endpoint(answers="Hello", host="::1", base_path="/v1")

    assert endpoint.url.startswith("http://[::1]:")
    assert ask(endpoint).json() == {"generated_text": "Hello"}
