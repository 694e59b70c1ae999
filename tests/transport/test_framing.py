"""An answer is the same however the server puts it on the wire."""

import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import MalformedResponseError
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._steps import Open, Read
from datacrunch_tgi._transport import Target, TLSConfig
from datacrunch_tgi._transport._connections import AsyncConnection, SyncConnection

MIB = 1024 * 1024


def bytewise(data: bytes) -> Callable[[Any], None]:
    """Write each byte on its own."""

    def script(peer: Any) -> None:
        for byte in data:
            peer.send(bytes([byte]))

    return script


def until_closed(http: Any) -> Callable[[Any], None]:
    """The body has no length and ends with the connection, as HTTP/1.0 did it."""

    def script(peer: Any) -> None:
        peer.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
            + http.events("Hi", " you")
        )
        peer.close()

    return script


STREAMS: dict[str, Callable[[Any], Any]] = {
    "one write": lambda http: http.stream(http.events("Hi", " you")),
    "an event each": lambda http: http.stream(http.event("Hi"), http.event(" you", "Hi you")),
    "bytes": lambda http: bytewise(http.stream(http.events("Hi", " you"))),
    "chunks of a byte": lambda http: http.stream(
        *(bytes([byte]) for byte in http.events("Hi", " you"))
    ),
    "CRLF": lambda http: http.stream(http.events("Hi", " you", end=b"\r\n")),
    "CR": lambda http: http.stream(http.events("Hi", " you", end=b"\r")),
    "CR in bytes": lambda http: bytewise(http.stream(http.events("Hi", " you", end=b"\r"))),
    "done": lambda http: http.stream(http.events("Hi", " you"), b"data: [DONE]\n\n"),
    "done before the end": lambda http: http.stream(b"data: [DONE]\n\n", http.events("Hi", " you")),
    "comments": lambda http: http.stream(b":\n\n" * 1000, http.events("Hi", " you")),
    "other fields": lambda http: http.stream(
        b"event: x\nid: 1\nretry: 9\n" + http.events("Hi", " you")
    ),
    "gzip": lambda http: http.stream(
        gzip.compress(http.events("Hi", " you")), content_encoding="gzip"
    ),
    "gzip in bytes": lambda http: http.stream(
        *(bytes([byte]) for byte in gzip.compress(http.events("Hi", " you"))),
        content_encoding="gzip",
    ),
    "no content type": lambda http: http.stream(http.events("Hi", " you")).replace(
        b"content-type: text/event-stream\r\n", b""
    ),
    "until closed": until_closed,
    "interim": lambda http: b"HTTP/1.1 103 Early\r\n\r\n" + http.stream(http.events("Hi", " you")),
}
WHOLE: dict[str, Callable[[Any], Any]] = {
    "length": lambda http: http.answer(),
    "bytes": lambda http: bytewise(http.answer()),
    "chunked": lambda http: http.stream(b'{"generated_', b'text": "Hi you"}'),
    "gzip": lambda http: http.response(
        200, gzip.compress(b'{"generated_text": "Hi you"}'), content_encoding="gzip"
    ),
    "deflate": lambda http: http.response(
        200, zlib.compress(b'{"generated_text": "Hi you"}'), content_encoding="deflate"
    ),
    "an empty coding": lambda http: http.answer(content_encoding=""),
    "a list of one": lambda http: http.json(200, [{"generated_text": "Hi you"}]),
}
EVERY = [("stream", name) for name in STREAMS] + [("generate", name) for name in WHOLE]


@pytest.mark.parametrize(("route", "name"), EVERY, ids=map("-".join, EVERY))
def test_an_answer_is_read_however_it_is_framed(
    route: str, name: str, http: Any, serve: Any, caller: Any
) -> None:
    """An answer is read in every valid framing, and the connection is used again."""
    framed = (STREAMS if route == "stream" else WHOLE)[name](http)
    server = serve(framed)
    caller = caller(server.url, max_retries=0)
    for _ in range(2):
        taken = caller.ask(route)
        assert taken.error is None
        assert (taken.text, taken.answer.text) == ("Hi you", "Hi you")
    assert server.accepted == (2 if name == "until closed" else 1)


def test_events_come_as_they_are_sent_also_compressed(http: Any, serve: Any, caller: Any) -> None:
    """The first event is there before the second is sent: here the server waits for its reader."""
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(http.event("Hi")) + packer.flush(zlib.Z_SYNC_FLUSH)

    def stall(peer: Any) -> None:
        peer.send(http.head(content_encoding="gzip") + http.chunk(first))
        assert peer.wait_until_left()

    taken = caller(serve(stall).url, idle_timeout=0.2).ask("stream")
    assert taken.text == "Hi"


def test_one_event_of_16_mib_is_read_in_linear_time(http: Any, serve: Any, caller: Any) -> None:
    """Four times the text takes about four times as long."""
    text = "x" * (8 * MIB)  # which an event holds twice
    server = serve(http.stream(http.events(text[: 2 * MIB])), http.stream(http.events(text)))
    caller = caller(server.url)
    begin = time.process_time()
    assert caller.ask("stream").text == text[: 2 * MIB]
    small = time.process_time() - begin
    assert caller.ask("stream").text == text
    assert time.process_time() - begin - small < 10 * small + 0.5


def test_a_line_without_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, http: Any, serve: Any, caller: Any
) -> None:
    """A server cannot fill this process's memory; the connection is closed."""
    monkeypatch.setattr("datacrunch_tgi._protocol._sse.LARGEST_EVENT", MIB)

    def flood(peer: Any) -> None:
        peer.send(http.head() + http.chunk(b"data:"))
        while True:
            peer.send(http.chunk(b"x" * 65536))

    server = serve(flood)
    error = caller(server.url).ask("stream").error
    assert type(error) is MalformedResponseError
    assert error.requests == 1
    server.wait_until_ended()


def test_a_body_without_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, http: Any, serve: Any, caller: Any
) -> None:
    """A body that exceeds the limit on its size is refused."""
    monkeypatch.setattr("datacrunch_tgi._protocol._call.LARGEST_BODY", MIB)

    def flood(peer: Any) -> None:
        peer.send(http.head())
        while True:
            peer.send(http.chunk(b" " * 65536))

    server = serve(flood)
    error = caller(server.url).ask("generate").error
    assert type(error) is MalformedResponseError
    server.wait_until_ended()


def test_a_second_response_is_no_answer_to_the_next_request(
    http: Any, serve: Any, caller: Any
) -> None:
    """What nobody asked for closes the connection, with a length and with chunks."""
    stream = http.stream(http.events("one"))
    server = serve(http.answer("one") + http.answer("WRONG"), http.answer("two"), stream + stream)
    caller = caller(server.url)
    assert [caller.ask("generate").text for _ in range(2)] == ["one", "two"]
    assert [caller.ask("stream").text for _ in range(2)] == ["one", "one"]
    assert server.accepted == 3


def test_chunks_that_arrive_together_are_read_together(
    engine: str, http: Any, serve: Any, authority: Any
) -> None:
    """Over TLS as well: a chunk costs an HTTP library more than an event costs this package."""
    events = [http.event("Hi")] * 200
    server = serve(http.stream(*events))
    target = Target(server.url, tls=TLSConfig(str(authority.file)), engine=engine)
    connection = SyncConnection(target)
    connection.perform(Open(Request("POST", "/"), 5, 5))
    reads = list(iter(lambda: connection.perform(Read(5)), b""))
    connection.close()
    assert b"".join(reads) == b"".join(events)
    assert len(reads) < 50


async def test_chunks_that_arrive_together_are_read_together_in_a_loop(
    engine: str, http: Any, serve: Any, authority: Any
) -> None:
    """Chunks that arrive together take few reads."""
    events = [http.event("Hi")] * 200
    server = serve(http.stream(*events))
    target = Target(server.url, tls=TLSConfig(str(authority.file)), engine=engine)
    connection = AsyncConnection(target)
    await connection.perform(Open(Request("POST", "/"), 5, 5))
    reads = []
    while data := await connection.perform(Read(5)):
        reads.append(data)
    await connection.close()
    assert b"".join(reads) == b"".join(events)
    assert len(reads) < 50
