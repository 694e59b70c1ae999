"""Whatever a server or the network does is an answer or a typed error with what a user needs."""

import gzip
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from datacrunch_tgi import (
    APIError,
    AuthenticationError,
    Client,
    ConnectError,
    DataCrunchError,
    DisconnectedError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    ServerError,
    TLSError,
)

ROUTES = ("generate", "stream")
OVERLOADED = {"error": "Model is overloaded", "error_type": "overloaded"}
VALIDATION = {"error": "Input validation error: no", "error_type": "validation"}
GENERATION = {"error": "Request failed during generation", "error_type": "generation"}
OPENAI = {"error": {"message": "Model is overloaded", "http_status_code": 429}}
TEXT = "text/plain; charset=utf-8"
HTML = "<html><head><style>p {}</style></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Case:
    """What a server does, and what its user gets."""

    name: str
    does: Callable[[Any], Any]
    error: type[DataCrunchError]
    fields: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    requests: int = 1
    reusable: bool = False
    routes: tuple[str, ...] = ROUTES


def reported(status: int, words: str, error_type: str | None = None, **more: Any) -> dict[str, Any]:
    return {"status": status, "server_message": words, "error_type": error_type, **more}


def status(
    number: int,
    error: type[DataCrunchError],
    body: Any = "",
    *,
    name: str = "",
    words: str = "",
    error_type: str | None = None,
    retry_after: float | None = None,
    requests: int = 1,
    **headers: str,
) -> Case:
    return Case(
        f"{number}{name and '-' + name}",
        lambda http: (http.response if isinstance(body, str) else http.json)(
            number, body, **headers
        ),
        error,
        reported(number, words, error_type, retry_after=retry_after),
        requests=requests,
        reusable=True,
    )


STATUSES = [
    status(401, AuthenticationError),
    status(403, AuthenticationError, "no\n", content_type=TEXT, words="no"),
    status(404, NotFoundError),
    status(405, NotFoundError, allow="GET"),
    status(407, AuthenticationError),
    status(413, InvalidRequestError, "too long", content_type=TEXT, words="too long"),
    status(415, InvalidRequestError, "JSON!", content_type=TEXT, words="JSON!"),
    status(
        422, InvalidRequestError, VALIDATION, words=VALIDATION["error"], error_type="validation"
    ),
    status(
        422, InvalidRequestError, "at line 4", name="text", content_type=TEXT, words="at line 4"
    ),
    status(
        424,
        GenerationError,
        GENERATION,
        words=GENERATION["error"],
        error_type="generation",
        requests=2,
    ),
    status(
        429,
        OverloadedError,
        OVERLOADED,
        words=OVERLOADED["error"],
        error_type="overloaded",
        requests=2,
    ),
    status(429, OverloadedError, name="seconds", retry_after=0.0, requests=2, Retry_After="0"),
    status(
        429,
        OverloadedError,
        name="date",
        retry_after=0.0,
        requests=2,
        Retry_After="Wed, 21 Oct 2015 07:28:00 GMT",
    ),
    status(429, OverloadedError, name="nonsense", requests=2, Retry_After="soon"),
    status(500, ServerError, requests=2),
    status(502, ServerError, HTML, content_type="text/html", words="502 Bad Gateway", requests=2),
    status(503, ServerError, {"message": "starting"}, words="starting", requests=2),
    status(504, ServerError, {"detail": "late"}, words="late", requests=2),
    status(307, NotFoundError, Location="/v2/generate"),
]


def then(*data: bytes, reset: bool = False) -> Callable[[Any], None]:
    """Send so much, then end the connection."""

    def script(peer: Any) -> None:
        for piece in data:
            peer.send(piece)
        if reset:
            peer.reset()
        else:
            peer.close()

    return script


GZIP = gzip.compress(b'{"generated_text": "Hi you"}')
GARBAGE = b'{"generated_text'
UNREADABLE: dict[str, Callable[[Any], Any]] = {
    "unknown-coding": lambda http: http.response(401, b"x", content_encoding="br"),
    "two-codings": lambda http: http.response(401, b"x", content_encoding="gzip, gzip"),
    "cut-gzip": lambda http: http.response(401, GZIP[:10], content_encoding="gzip"),
    "no-gzip": lambda http: http.response(401, content_encoding="gzip"),
    "short-body": lambda http: then(http.response(401, content_length="9")),
    "broken-chunk": lambda _: b"HTTP/1.1 401 .\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n",
}
"""Bodies of an error that cannot be read: its status can."""
WHOLE = {"cut-gzip", "no-gzip"}
BROKEN = [
    Case("closed-before-head", lambda _: then(), DisconnectedError, requests=2),
    Case("reset-before-head", lambda _: then(reset=True), DisconnectedError, requests=2),
    Case("reset-in-head", lambda _: then(b"HTTP/1.1 20", reset=True), DisconnectedError, requests=2),
    Case("not-http", lambda _: then(b"220 smtp.example ESMTP\r\n"), DisconnectedError, requests=2),
    Case("other-protocol", lambda http: http.response(101, upgrade="websocket"), DisconnectedError, requests=2),
    Case("reset-after-head", lambda http: then(http.head(), reset=True), DisconnectedError, requests=2),
    Case(
        "reset-in-event",
        lambda http: then(http.head(), http.chunk(http.event("Hi")), http.chunk(b'data:{"tok'), reset=True),
        DisconnectedError,
        text="Hi",
        routes=("stream",),
    ),
    Case("broken-chunk", lambda http: http.head() + http.chunk(http.event("Hi")) + b"no size\r\n", DisconnectedError, text="Hi", routes=("stream",)),
    Case("broken-first-chunk", lambda http: http.head() + b"no size\r\n", DisconnectedError, requests=2),
    Case("two-codings", lambda http: http.response(200, b"x", content_encoding="gzip, gzip"), MalformedResponseError),
    Case("unknown-coding", lambda http: http.response(200, b"x", content_encoding="br"), MalformedResponseError),
    Case("cut-gzip", lambda http: http.response(200, GZIP[:-9], content_encoding="gzip"), MalformedResponseError, reusable=True, routes=("generate",)),
    Case("two-gzips", lambda http: http.response(200, GZIP + GZIP, content_encoding="gzip"), MalformedResponseError, routes=("generate",)),
    Case("short-body", lambda http: then(http.response(200, b"{}", content_length="99")), DisconnectedError, requests=2),
    Case("no-last-event", lambda http: http.stream(http.event("Hi")), DisconnectedError, text="Hi", reusable=True, routes=("stream",)),
    Case("no-event", lambda http: http.stream(b":\n\n"), DisconnectedError, requests=2, reusable=True, routes=("stream",)),
    Case("garbage", lambda http: http.response(200, GARBAGE), MalformedResponseError, reusable=True, routes=("generate",)),
    Case("garbage-event", lambda http: http.stream(b"data:" + GARBAGE + b"\n\n"), MalformedResponseError, reusable=False, routes=("stream",)),
    Case("other-json", lambda http: http.json(200, {"object": "list"}), MalformedResponseError, reusable=True),
    Case("deep-nesting", lambda http: http.response(200, b"[" * 100_000, content_type="application/json"), MalformedResponseError, reusable=True),
    *(
        Case(f"401-{name}", script, AuthenticationError, reported(401, ""), reusable=name in WHOLE)
        for name, script in UNREADABLE.items()
    ),
    Case("503-unknown-coding", lambda http: http.response(503, b"x", content_encoding="zstd"), ServerError, reported(503, ""), requests=2),
    Case("not-gzip", lambda http: http.response(200, b"plain", content_encoding="gzip"), MalformedResponseError, routes=("generate",)),
]  # fmt: skip


def in_stream(
    name: str, value: Any, error: type[DataCrunchError], expected: dict[str, Any], *, retried: bool
) -> list[Case]:
    def first(http: Any) -> bytes:
        return bytes(http.stream(http.data(value)))

    def later(http: Any) -> bytes:
        return bytes(http.stream(http.event("Hi"), http.event(" yo") + http.data(value)))

    requests = 2 if retried else 1
    return [
        Case(f"{name}-first", first, error, expected, "", requests, routes=("stream",)),
        Case(f"{name}-later", later, error, expected, "Hi yo", 1, routes=("stream",)),
    ]


EVENTS = [
    *in_stream("overloaded", OVERLOADED, OverloadedError, reported(429, OVERLOADED["error"], "overloaded"), retried=True),
    *in_stream("validation", VALIDATION, InvalidRequestError, reported(422, VALIDATION["error"], "validation"), retried=False),
    *in_stream("generation", GENERATION, GenerationError, reported(424, GENERATION["error"], "generation"), retried=True),
    *in_stream("openai", OPENAI, OverloadedError, reported(429, "Model is overloaded"), retried=True),
]  # fmt: skip


def each(cases: list[Case]) -> pytest.MarkDecorator:
    pairs = [(case, route) for case in cases for route in case.routes]
    return pytest.mark.parametrize(
        ("case", "route"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}") for pair in pairs]
    )


@pytest.mark.usefixtures("without_waits")
@each(STATUSES + BROKEN + EVENTS)
def test_a_fault_is_a_typed_error(
    case: Case, route: str, http: Any, serve: Any, caller: Any
) -> None:
    """Type, fields, text so far, number of requests; then the next call works, on the same connection if it can."""
    fault = case.does(http)
    answer = http.answer() if route == "generate" else http.stream(http.events("Hi", " you"))
    server = serve(*[fault] * case.requests, answer)
    caller = caller(server.url, max_retries=1, max_connections=1)

    taken = caller.ask(route)

    assert type(taken.error) is case.error
    assert taken.answer is None
    assert {name: getattr(taken.error, name) for name in case.fields} == case.fields
    assert taken.error.text == taken.text == case.text
    assert taken.error.requests == len(server.requests) == case.requests
    assert "Hello" not in str(taken.error)
    before = server.accepted
    assert caller.ask(route).text == "Hi you"
    assert server.accepted == before + (not case.reusable)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.usefixtures("without_waits")
@pytest.mark.parametrize("route", ROUTES)
def test_no_connection_is_reported_with_its_reason(route: str, caller: Any) -> None:
    """Refused, or no such host: retried, with the operating system's message."""
    refused = caller(f"http://127.0.0.1:{free_port()}", max_retries=1).ask(route).error
    assert type(refused) is ConnectError
    assert "refused" in str(refused).lower()
    assert "base_url" in refused.hint
    assert refused.requests == 2
    nowhere = caller("http://nowhere.invalid", max_retries=1).ask(route).error
    assert type(nowhere) is ConnectError
    assert "nowhere.invalid" in str(nowhere)
    assert nowhere.requests == 2


@pytest.mark.usefixtures("without_waits")
def test_a_misspelled_host_is_no_starting_server(caller: Any) -> None:
    """`startup_timeout` does not wait for a host whose name does not exist."""
    client = caller("http://nowhere.invalid", max_retries=1, startup_timeout=600)
    error = client.ask("generate").error
    assert type(error) is ConnectError
    assert (error.host_not_found, error.requests) == (True, 2)
    assert "Check base_url" in error.hint


@pytest.mark.usefixtures("without_waits")
def test_health_is_of_this_moment(http: Any, serve: Any) -> None:
    """`health` does not wait for a server that is starting."""
    limits: Any = {"startup_timeout": 600, "max_retries": 1}
    with Client(base_url=f"http://127.0.0.1:{free_port()}", **limits) as client:
        with pytest.raises(ConnectError) as caught:
            client.health()
        assert caught.value.requests == 2
    starting = serve(http.response(503))
    with Client(base_url=starting.url, **limits) as client:
        assert client.health() is False
    assert len(starting.requests) == 1


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("proxied", [False, True], ids=["server", "proxy"])
def test_no_secure_connection_is_reported(*, route: str, proxied: bool, caller: Any) -> None:
    """A server or proxy without TLS where https was asked for; not tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"220 speak plainly\r\n")
                sock.recv(65536)

        server = threading.Thread(target=greet)
        server.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        caller = caller("http://h.invalid", proxy=url) if proxied else caller(url)
        error = caller.ask(route).error
        server.join()
    assert type(error) is TLSError
    assert error.requests == 1
    which = "base_url, or the proxy's URL," if proxied else "base_url"
    assert error.hint == f"Check whether {which} should begin with http://."


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("where", ["same", "other"])
def test_a_redirect_is_never_followed(
    route: str, where: str, http: Any, serve: Any, caller: Any
) -> None:
    """A redirect is not followed, to the same host or another."""
    other = serve(http.answer())
    server = serve()
    location = f"{server.url if where == 'same' else other.url}/generate"
    server.scripts = (http.response(302, location=location),)
    error = caller(server.url, api_key="the-secret-key").ask(route).error
    assert isinstance(error, NotFoundError)
    assert isinstance(error, APIError)
    assert location in error.hint
    assert (len(server.requests), other.accepted) == (1, 0)
