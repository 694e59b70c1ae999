"""A loopback server that costs next to nothing: every byte is made beforehand, a timer wheel paces it.

It answers `/generate`, `/generate_stream` and the root route of plain TGI, which chooses by `stream` in
the body. A prompt that begins with `paced` gets a token every 10 ms, others all at once.
"""

import asyncio
import json
import re
from functools import cache
from typing import cast

PACE = 0.01
"""Seconds between the tokens of a paced stream."""
SPOKES = 10
"""Parts that the pace is divided into, so that streams do not all tick at the same moment."""

Wheel = list[set["Paced"]]
WORDS = ("", "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog")
HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: {}\r\nx-compute-type: gpu+optimized\r\nvary: origin\r\n"
    "access-control-allow-origin: *\r\ndate: Sun, 22 Nov 2026 16:13:58 GMT\r\n{}\r\n\r\n"
)
STREAM_HEAD = HEAD.format("text/event-stream", "transfer-encoding: chunked").encode()


def _token(index: int) -> dict[str, object]:
    word = " " + WORDS[index % len(WORDS)]
    return {"id": 278 + index % 900, "text": word, "logprob": -0.34521484, "special": False}


def _event(index: int, tokens: int) -> bytes:
    last = index == tokens
    details = {"finish_reason": "length", "generated_tokens": tokens, "seed": None}
    event = {
        "index": index,
        "token": _token(index),
        "generated_text": "the whole answer" if last else None,
        "details": details if last else None,
    }
    return f"data:{json.dumps(event, separators=(',', ':'))}\n\n".encode()


@cache
def events(tokens: int) -> tuple[bytes, ...]:
    """The events of a stream."""
    return tuple(_event(index, tokens) for index in range(1, tokens + 1))


@cache
def chunks(tokens: int) -> tuple[bytes, ...]:
    """What is sent of a stream, each event in a chunk of its own, as TGI does."""
    sent = [b"%x\r\n%s\r\n" % (len(event), event) for event in events(tokens)]
    return (*sent[:-1], sent[-1] + b"0\r\n\r\n")


@cache
def burst(tokens: int) -> bytes:
    """A whole stream."""
    return STREAM_HEAD + b"".join(chunks(tokens))


@cache
def answer(tokens: int, *, root: bool) -> bytes:
    """A whole answer that is not streamed; the root route makes it a list of one."""
    details = {"finish_reason": "length", "generated_tokens": tokens, "seed": None, "prefill": []}
    details["tokens"] = [_token(index) for index in range(tokens)]
    whole = {"generated_text": "the whole answer", "details": details}
    body = json.dumps([whole] if root else whole).encode()
    return HEAD.format("application/json", f"content-length: {len(body)}").encode() + body


class Paced:
    """A stream on the wheel."""

    def __init__(self, transport: asyncio.Transport, tokens: int) -> None:
        self._transport = transport
        self._left = iter(chunks(tokens))
        self._last = tokens

    def tick(self) -> bool:
        """Send the next token; return whether there are more."""
        self._transport.write(next(self._left))
        self._last -= 1
        return self._last > 0 and not self._transport.is_closing()


class Connection(asyncio.Protocol):
    """One connection, any number of requests."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            self._received = b""
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        asked = re.search(rb'"max_new_tokens": ?(\d+)', body)
        tokens = int(asked[1]) if asked else 20
        if b"generate_stream" not in head and not re.search(rb'"stream": ?true', body):
            self._transport.write(answer(tokens, root=b"/generate" not in head))
        elif b'"paced' in body:
            self._transport.write(STREAM_HEAD)
            min(self._wheel, key=len).add(Paced(self._transport, tokens))
        else:
            self._transport.write(burst(tokens))


async def turn(wheel: Wheel) -> None:
    """Turn the wheel forever; delays are caught up."""
    now = asyncio.get_running_loop().time
    due = now()
    while True:
        for spoke in wheel:
            due += PACE / SPOKES
            await asyncio.sleep(max(0, due - now()))
            spoke.difference_update([stream for stream in spoke if not stream.tick()])


async def main() -> None:
    """Serve until the process ends; the port is the first line of output."""
    wheel: Wheel = [set() for _ in range(SPOKES)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(wheel), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 -- to who started it
    async with server:
        await turn(wheel)


if __name__ == "__main__":
    asyncio.run(main())
