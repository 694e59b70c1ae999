"""A response with merged chunks is read by h11 as the one that was sent, and no later."""

import re
from collections.abc import Callable

import h11
import pytest

from datacrunch_tgi._transport._chunks import ChunkMerger

HEAD = b"HTTP/1.1 200 OK\r\nvary: origin\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"".join(
    b"%x\r\n%b\r\n" % (len(event), event) for event in (b"data:1\n\n", b"data:22\n\n")
)
RESPONSES = {
    "plain": HEAD + EVENTS + b"0\r\n\r\n",
    "next response": HEAD + EVENTS + b"0\r\n\r\n" + HEAD,
    "no end": HEAD + EVENTS,
    "trailers": HEAD + EVENTS + b"0\r\nchecksum: 1\r\n\r\n",
    "line ends inside": HEAD + b"9\r\n\r\n3\r\nab\r\n\r\n0\r\n\r\n",
    "extension": HEAD + EVENTS + b"3;a=b\r\nabc\r\n" + EVENTS + b"0\r\n\r\n",
    "upper case": HEAD + b"A\r\n0123456789\r\n" + EVENTS + b"0\r\n\r\n",
    "leading zeros": HEAD + b"003\r\nabc\r\n" + EVENTS + b"000\r\n\r\n",
    "no chunk": HEAD + b"0\r\n\r\n",
    "no line end after data": HEAD + b"3\r\nabc5\r\nhello\r\n0\r\n\r\n",
    "other line end after data": HEAD + b"3\r\nabc\n3\r\nabc\r\n0\r\n\r\n",
    "no number": HEAD + EVENTS + b"events\r\nabc\r\n",
    "negative": HEAD + EVENTS + b"-3\r\nabc\r\n",
    "enormous": HEAD + EVENTS + b"fffffffff\r\nabc",
    "empty size": HEAD + EVENTS + b"\r\nabc\r\n",
    "not chunked": b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n" + EVENTS,
    "no length": b"HTTP/1.1 200 OK\r\n\r\n" + EVENTS,
    "other encoding": HEAD.replace(b"chunked", b"gzip") + EVENTS,
    "said in the body": b"HTTP/1.1 200 OK\r\n\r\n" + EVENTS + HEAD + EVENTS,
    "other header": HEAD.replace(b"Transfer", b"x-transfer") + EVENTS,
    "HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + EVENTS + b"0\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nlink: /\r\n\r\n" + HEAD + EVENTS + b"0\r\n\r\n",
    "no HTTP": b"\x05\x00\r\n\r\n" + HEAD + EVENTS,
}


def readings(pieces: list[bytes], replace: Callable[[bytes], bytes]) -> list[str]:
    """What h11 reads after each piece, and after the end of the connection."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("host", "endpoint")]))
    reader.send(h11.EndOfMessage())
    said: list[str] = []
    for piece in pieces:
        if passed := replace(piece):
            reader.receive_data(passed)
        said.append(news(reader))
    reader.receive_data(b"")
    return [*said, news(reader)]


def news(reader: h11.Connection) -> str:
    said = ""
    try:
        while (event := reader.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            said += event.data.decode() if isinstance(event, h11.Data) else f"\n{event}\n"
            if isinstance(event, h11.ConnectionClosed):
                break
    except h11.RemoteProtocolError as error:
        said += f"\n{error}"
    return said


@pytest.mark.parametrize("name", RESPONSES)
def test_merging_changes_nothing_that_is_read(name: str) -> None:
    """Head, body, trailers and faults, at each moment: whole, byte by byte, in two at every place."""
    response = RESPONSES[name]
    ways = [[response], [response[i : i + 1] for i in range(len(response))]]
    ways += [[response[:place], response[place:]] for place in range(1, len(response))]
    for pieces in ways:
        assert readings(pieces, ChunkMerger().feed) == readings(pieces, bytes)


def test_the_chunks_of_one_read_become_one() -> None:
    """The chunks of one read are merged, wherever the read before ended."""
    response = HEAD + 9 * EVENTS
    for place in range(1, len(HEAD + EVENTS)):
        merger = ChunkMerger()
        passed = merger.feed(response[:place]) + merger.feed(response[place:])
        body = passed.removeprefix(HEAD)
        assert len(re.findall(rb"(?:^|\r\n)[0-9a-f]+\r\n", body)) <= 2
