"""Events are the same however their bytes were cut, whatever their lines end with."""

import re
from itertools import product

import pytest

from datacrunch_tgi._errors import MalformedResponseError
from datacrunch_tgi._protocol._sse import LARGEST_EVENT, EventDecoder


@pytest.mark.parametrize("ends", list(product([b"\n", b"\r\n", b"\r"], repeat=3)))
def test_line_ends_may_be_mixed_and_cut(ends: tuple[bytes, ...]) -> None:
    """Whole, byte by byte, and in two at every place."""
    stream = b"data:x%sdata:y%s%sdata:z\n\n" % ends
    expected = EventDecoder().feed(re.sub(rb"\r\n|\r", b"\n", stream))
    pieces = [[stream[i : i + 1] for i in range(len(stream))]]
    pieces += [[stream[:place], stream[place:]] for place in range(len(stream))]
    for chunks in pieces:
        decoder = EventDecoder()
        assert [event for chunk in chunks for event in decoder.feed(chunk)] == expected


def test_a_line_end_ends_the_event_as_soon_as_it_is_there() -> None:
    decoder = EventDecoder()
    assert [decoder.feed(bytes([byte])) for byte in b"data:x\r\n\n"][-1] == [b"x"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_byte_order_mark_at_the_start_costs_no_event(size: int) -> None:
    """However it is cut; anywhere else its bytes are data."""
    stream = b"\xef\xbb\xbfdata:x\n\ndata:\xef\xbb\xbfy\n\n"
    decoder = EventDecoder()
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == [b"x", b"\xef\xbb\xbfy"]


@pytest.mark.parametrize("blank", [b"data:", b"data", b"data: ", b"data:\ndata:"])
def test_data_with_nothing_in_it_is_no_event(blank: bytes) -> None:
    """As some gateways send to keep a connection open."""
    assert EventDecoder().feed(blank + b"\n\ndata:x\n\n") == [b"x"]


def test_lines_without_a_value_count_against_the_largest_event() -> None:
    """A server cannot fill the memory with them: each takes room, empty or not."""
    decoder = EventDecoder()
    lines = b"data:\n" * (LARGEST_EVENT // 32)
    with pytest.raises(MalformedResponseError, match="one event of the stream"):
        decoder.feed(lines)
