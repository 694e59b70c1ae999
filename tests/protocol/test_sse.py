"""Events are the same however their bytes were cut, whatever their lines end with."""

import re
from itertools import product

import pytest

from datacrunch_tgi._errors import MalformedResponseError
from datacrunch_tgi._protocol._sse import LARGEST_EVENT, EventDecoder


@pytest.mark.parametrize("ends", list(product([b"\n", b"\r\n", b"\r"], repeat=3)))
def test_line_ends_may_be_mixed_and_cut(ends: tuple[bytes, ...]) -> None:
    """Mixed line ends are read, however the bytes are split."""
    stream = b"data:x%sdata:y%s%sdata:z\n\n" % ends
    expected = EventDecoder().feed(re.sub(rb"\r\n|\r", b"\n", stream))
    pieces = [[stream[i : i + 1] for i in range(len(stream))]]
    pieces += [[stream[:place], stream[place:]] for place in range(len(stream))]
    for chunks in pieces:
        decoder = EventDecoder()
        assert [event for chunk in chunks for event in decoder.feed(chunk)] == expected


def test_a_line_end_ends_the_event_as_soon_as_it_is_there() -> None:
    """An event is complete at its blank line, without a further byte."""
    decoder = EventDecoder()
    assert [decoder.feed(bytes([byte])) for byte in b"data:x\r\n\n"][-1] == [b"x"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_byte_order_mark_at_the_start_costs_no_event(size: int) -> None:
    """A byte order mark at the start is skipped; anywhere else it is data."""
    stream = b"\xef\xbb\xbfdata:x\n\ndata:\xef\xbb\xbfy\n\n\xef\xbb\xbfdata:z\n\n"
    decoder = EventDecoder()
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == [b"x", b"\xef\xbb\xbfy"]


@pytest.mark.parametrize("blank", [b"data:", b"data", b"data: ", b"data:\ndata:"])
def test_data_with_nothing_in_it_is_no_event(blank: bytes) -> None:
    """Empty data, which some gateways send as a keep-alive, is not an event."""
    assert EventDecoder().feed(blank + b"\n\ndata:x\n\n") == [b"x"]


TOO_LARGE = "^one event of the stream has more than 33554432 bytes. Check"


def test_lines_without_a_value_count_against_the_largest_event() -> None:
    """A server cannot fill the memory with them: each takes room, empty or not."""
    decoder = EventDecoder()
    lines = b"data:\n" * (LARGEST_EVENT // 32)
    with pytest.raises(MalformedResponseError, match=TOO_LARGE):
        decoder.feed(lines)


def test_the_largest_event_is_taken_again_and_again_and_one_byte_more_is_refused() -> None:
    """Events up to the limit are accepted; one byte more is refused."""
    decoder = EventDecoder()
    value = b"x" * (LARGEST_EVENT - 64)
    for _ in range(2):
        assert decoder.feed(b"data:%s\n\n" % value) == [value]
    with pytest.raises(MalformedResponseError, match=TOO_LARGE):
        decoder.feed(b"data:x%s\n\n" % value)


def test_a_line_that_does_not_end_counts_together_with_the_lines_before_it() -> None:
    """The limit on an event's size counts incomplete lines of any field."""
    decoder = EventDecoder()
    assert decoder.feed(b"data:xx\n") == []
    assert decoder.feed(b":" * (LARGEST_EVENT - 66)) == []
    with pytest.raises(MalformedResponseError, match=TOO_LARGE):
        decoder.feed(b":")


def test_only_data_is_read_and_one_space_before_it_dropped() -> None:
    """Comments and other fields are ignored; a value may have colons, and spaces of its own."""
    stream = b": a comment\nevent: message\nid:1\ndatax: y\ndata:  a: b \nretry: 1\ndata:c\n\n"
    assert EventDecoder().feed(stream) == [b" a: b \nc"]
