"""Events are the same however their bytes were cut, whatever their lines end with."""

import re
from itertools import product

import pytest

from datacrunch_tgi._protocol._sse import EventDecoder


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
