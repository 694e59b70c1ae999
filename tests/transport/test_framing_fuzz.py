"""Random framing, well-formed and not, is read as plain httpx reads it, and no connection is mixed up."""

import json
import queue
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import h11
import httpx
import pytest

from datacrunch_tgi import APIError, DataCrunchError, DisconnectedError
from datacrunch_tgi._protocol._answer import RequestContext
from datacrunch_tgi._protocol._call import StreamCall, UnaryCall
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import Head, read_response
from datacrunch_tgi._protocol._steps import CallLimits, Close, Open, Read
from datacrunch_tgi._transport._response_reader import ResponseReader

CONVERSATIONS = 40
PATIENCE = 10.0
ROUTES = ("generate", "stream")
TEXT = "Hello, how are you today?"
JSON = json.dumps({"generated_text": TEXT}).encode()


def event(text: str, generated: str | None = None) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.5, "special": False}
    return b"data:" + json.dumps({"token": token, "generated_text": generated}).encode() + b"\n\n"


EVENTS = [event("Hello,"), b":\n\n", event(" how are you"), event(" today?", TEXT)]
BODIES = {"generate": JSON, "stream": b"".join(EVENTS)}

# fmt: off
STATUSES = [b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 422 No", b"HTTP/1.1 503 Later", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"]
ODD_STATUSES = [b"", b"http/1.1 200 OK", b"HTTP/2.0 200 OK", b"HTTP/1.9 200 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 OK", b"ICY 200 OK"]
HEADERS = [b"x:", b"x: " + b"y" * 5000, b"x: \xff\xfe", b"keep-alive: timeout=5", b"upgrade: h2c", b"trailer: a", b"connection: close", b"connection: keep-alive", b"Connection: Close", b"connection: close, x", b"connection: x"]
ODD_HEADERS = [b"x", b"x : y", b"x: a\r\n b", b"\tx: y", b": y", b"(x): y", b"x\xff: y", b"x: \0", b"x: a\rb", b"x: " + b"y" * 200_000]
INTERIM = [b"", b"link: </a>\r\n", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"]
LENGTHS = ["{0}", "0{0}", "{0} ", "{more}", "{less}", "0"]
ODD_LENGTHS = ["-1", "+{0}", "0x{0}", "x", "", "{0}, {0}", "{0}, 1", "1 0", "9" * 30, "{0}\r\nContent-Length: {0}", "{0}\r\nContent-Length: {more}"]
CODINGS = [b"Chunked", b"chunked "]
ODD_CODINGS = [b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked", b"", b"chunked;q=1", b"chunked\r\ncontent-length: 3", b"chunked\r\ntransfer-encoding: chunked"]
SIZES = ["{0:X}", "0{0:x}", "0000000000{0:x}", "{0:x};a=b", '{0:x};a="b;c"']
ODD_SIZES = [" {0:x}", "{0:x} ", "{0:x}\t", "{0:x};", "{0:x};\0", "{0:x} x", "0x{0:x}", "+{0:x}", "-{0:x}", "g", "", "{more:x}", "{less:x}", "f" * 16, "0" * 20 + "{0:x}"]
LAST_SIZES = [b"000", b"0;a=b"]
ODD_LAST_SIZES = [b"0 ", b"-0", b"0" * 30]
TRAILERS = [b"a: b\r\n", b"a: b\r\nc: d\r\n"]
ODD_TRAILERS = [b"a b\r\n", b": x\r\n", b"content-length: 5\r\n"]
ODD_LINE_ENDS = [b"\n", b"", b"\r", b"\r\n\r\n", b" \r\n", b"\n\r"]
SURPLUS = [b"\0", b"0\r\n\r\n", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-length: 47\r\n\r\n" + JSON]
ODD_SURPLUS = [b"\r\n", b"\n"]
# fmt: on


@dataclass
class Reply:
    """What the server sends for one request; then it closes, or waits for the next."""

    pieces: list[bytes]
    closes: bool
    is_odd: bool
    """Whether the fast engine may refuse it, which is stricter, or accept it."""

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def without_surplus(self) -> "Reply":
        """What stands behind a response closes the connection here, and is the next one for httpx."""
        rest = surplus(self.data)
        return Reply([self.data.removesuffix(rest)], self.closes or bool(rest), self.is_odd)

    def send(self, peer: Any) -> None:
        for piece in self.pieces:
            peer.send(piece)
        if self.closes:
            peer.sock.shutdown(socket.SHUT_WR)


class Replies(random.Random):
    """Makes replies, some of them rare, and some odd."""

    is_odd = False

    def reply(self, route: str) -> Reply:
        self.is_odd = False
        data = self._interim() + self._response(BODIES[route])
        if self._happens(0.15):
            data = self._damaged(data)
        data += self._rare(b"", SURPLUS, ODD_SURPLUS, 0.2)
        places = sorted(self.choices(range(len(data) + 1), k=self.choice([0, 0, 1, 2, 7])))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
        return Reply(pieces, self._happens(0.15) or wants_more(data), self.is_odd)

    def _happens(self, probability: float) -> bool:
        return self.random() < probability

    def _rare(self, usual: Any, rare: list[Any], odd: list[Any], probability: float = 0.1) -> Any:
        if not self._happens(probability):
            return usual
        chosen = self.choice([*rare, *odd])
        self.is_odd |= chosen in odd
        return chosen

    def _interim(self) -> bytes:
        statuses = self.choices([b"100 Continue", b"103 Early"], k=self.choice([0] * 12 + [1, 2]))
        return b"".join(b"HTTP/1.1 %b\r\n%b\r\n" % (s, self.choice(INTERIM)) for s in statuses)

    def _response(self, body: bytes) -> bytes:
        kind = b"application/json" if body == JSON else b"text/event-stream"
        framing, content = self.choice([self._length, self._chunks, self._chunks, self._rest])(body)
        lines = [self._rare(b"HTTP/1.1 200 OK", STATUSES, ODD_STATUSES), framing]
        lines += [b"content-type: " + kind, self._rare(b"", HEADERS, ODD_HEADERS, 0.2)]
        end = self._rare(b"\r\n", [], [b"\n", b"\r"], 0.02)
        return bytes(end.join([*filter(None, lines), b"", b""]) + content)

    def _number(self, spelling: str, number: int) -> bytes:
        return spelling.format(number, more=number + 1, less=number - 1).encode()

    def _length(self, body: bytes) -> tuple[bytes, bytes]:
        spelling = self._rare("{0}", LENGTHS, ODD_LENGTHS, 0.3)
        return b"content-length: " + self._number(spelling, len(body)), body

    def _rest(self, body: bytes) -> tuple[bytes, bytes]:
        return b"", body

    def _chunks(self, body: bytes) -> tuple[bytes, bytes]:
        places = sorted(self.sample(range(1, len(body)), self.choice([0, 1, 2, 5, 20])))
        parts = [body[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]
        if body != JSON and self._happens(0.3):
            parts = EVENTS
        content = b""
        for part in parts:
            size = self._number(self._rare("{0:x}", SIZES, ODD_SIZES, 0.05), len(part))
            content += size + self._line_end() + part + self._line_end()
        content += self._rare(b"0", LAST_SIZES, ODD_LAST_SIZES, 0.1) + self._line_end()
        content += self._rare(b"", TRAILERS, ODD_TRAILERS, 0.1) + self._line_end()
        return b"transfer-encoding: " + self._rare(b"chunked", CODINGS, ODD_CODINGS), content

    def _line_end(self) -> bytes:
        return bytes(self._rare(b"\r\n", [], ODD_LINE_ENDS, 0.01))

    def _damaged(self, data: bytes) -> bytes:
        self.is_odd = True
        place = self.randrange(1, len(data))
        before, after = data[:place], data[place:]
        strange = self.choice([b"\r", b"\n", b"\0", b"0", b" ", b"\xff"])
        return self.choice(
            [before, before + after[1:], before + strange + after, before + strange + after[1:]]
        )


def read_by_h11(data: bytes) -> tuple[Any, bytes]:
    """Return the last event, and what stands behind the response."""
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "endpoint")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    found: Any = None
    with suppress(h11.RemoteProtocolError):
        while type(found) is not h11.EndOfMessage and found not in (h11.NEED_DATA, h11.PAUSED):
            found = reader.next_event()
    return found, reader.trailing_data[0]


def surplus(data: bytes) -> bytes:
    found, rest = read_by_h11(data)
    return rest if isinstance(found, h11.EndOfMessage) else b""


def wants_more(data: bytes) -> bool:
    """Whether a reader would wait for more, so that the server has to close."""
    reader = ResponseReader()
    with suppress(ConnectionError):
        reader.feed(data)
        reader.take()
        if not reader.is_complete:
            reader.take()
            return True
    return read_by_h11(data)[0] is h11.NEED_DATA


class PlainHttpx:
    """Carries out the steps of a call with httpx alone."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url
        self._client = httpx.Client(trust_env=False, verify=False, timeout=PATIENCE)  # noqa: S501 -- loopback
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self.close = self._client.close

    def ask(self, route: str) -> str:
        request, limits = Request("POST", "/"), CallLimits(max_retries=0)
        call: Any = UnaryCall(request, limits, read_response)
        if route == "stream":
            call = StreamCall(request, limits, RequestContext(inputs="Hello"))
        steps = call.steps()
        try:
            step = next(steps)
            while True:
                try:
                    came = self._perform(step)
                except httpx.HTTPError:
                    step = steps.throw(DisconnectedError("broken"))
                else:
                    step = steps.send(came)
        except StopIteration:
            return str(call.result.generated_text)
        except DataCrunchError as error:
            return describe(error)

    def _perform(self, step: Any) -> Any:
        match step:
            case Open():
                request = self._client.build_request("POST", self._url, json={})
                self._response = self._client.send(request, stream=True)
                self._chunks = self._response.iter_raw()
                headers = {name.lower(): value for name, value in self._response.headers.items()}
                return Head(self._response.status_code, headers)
            case Read():
                return next(self._chunks, b"")
            case Close():
                if self._response:
                    self._response.close()
                self._response, self._chunks = None, iter(())
        return None


def describe(error: DataCrunchError) -> str:
    return f"status {error.status}" if isinstance(error, APIError) else f"no answer: {error.text}"


@dataclass
class Outcome:
    """What came of each request, and which ones used the connection of the one before."""

    results: list[str] = field(default_factory=list)
    reused: list[bool] = field(default_factory=list)


def converse(server: Any, replies: list[Reply], once: Callable[[], str]) -> Outcome:
    """Ask for each reply, when the one before has been sent to its end."""
    outcome, peers = Outcome(), [None]
    sent: queue.SimpleQueue[None] = queue.SimpleQueue()

    def script(peer: Any, reply: Reply) -> None:
        peers.append(peer)
        with suppress(OSError):  # the client may have left
            reply.send(peer)
        sent.put(None)

    server.requests.clear()
    server.scripts = [lambda peer, reply=reply: script(peer, reply) for reply in replies]
    for _ in replies:
        outcome.results.append(once())
        sent.get(timeout=PATIENCE)
        outcome.reused.append(peers[-1] is peers[-2])
    return outcome


def ask(client: Any, route: str) -> str:
    taken = client.ask(route)
    return describe(taken.error) if taken.error else str(taken.answer.generated_text)


def is_allowed(engine: str, reply: Reply, ours: str) -> bool:
    """Whether the engine may differ from httpx: the fast one may refuse or read what is odd."""
    return engine == "fast" and reply.is_odd and (ours == TEXT or ours.startswith("no answer"))


@pytest.mark.parametrize("block", range(0, CONVERSATIONS, 20))
def test_three_random_responses_are_read_as_httpx_reads_them(
    block: int, engine: str, serve: Any, caller: Any
) -> None:
    """The same answers, errors and reuse of connections; surplus bytes end a connection here."""
    server = serve()
    for seed in range(block, block + 20):
        route = ROUTES[seed % 2]
        made = Replies(seed)
        replies = [made.reply(route) for _ in range(3)]
        plain, client = PlainHttpx(server.url), caller(server.url, max_retries=0)
        as_read = [reply.without_surplus() for reply in replies]
        theirs = converse(server, as_read, partial(plain.ask, route))
        plain.close()
        ours = converse(server, replies, partial(ask, client, route))
        client.close()
        for place, reply in enumerate(replies):
            same = ours.results[place] == theirs.results[place]
            same &= ours.reused[place + 1 : place + 2] == theirs.reused[place + 1 : place + 2]
            assert same or is_allowed(engine, reply, ours.results[place]), (seed, place, reply.data)
