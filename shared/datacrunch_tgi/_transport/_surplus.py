"""Detection of bytes after the end of a response, which httpcore would read as the next one. Pure.

A length is counted and a plain last chunk is compared, which costs nothing. What is rare is read by h11,
as httpcore does: so both see the same end.
"""

from contextlib import suppress

import h11

LAST_CHUNK = b"0\r\n\r\n"
"""End of a chunked body, without trailers."""
_LARGEST_HEAD = 100 * 1024  # bytes, httpcore's limit
_CHUNKED_HEAD = b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n"


class Length:
    """Finds the end of a body with a known length in bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    def feed(self, data: bytes) -> None:
        """Feed the next bytes of the body."""
        self._left -= len(data)

    @property
    def has_surplus(self) -> bool:
        """Whether there is data after the response."""
        return self._left < 0


class LastChunk:
    """Finds the end of a chunked body, from the first chunk that is not plain, usually the last."""

    def __init__(self) -> None:
        self._data = b""
        self._reader: Reader | None = None

    def feed(self, data: bytes) -> None:
        """Feed the next bytes; the first are those of a chunk's size."""
        if self._reader:
            self._reader.feed(data)
            return
        self._data += data
        if self._data.startswith(LAST_CHUNK):
            self._data = self._data[: len(LAST_CHUNK) + 1]
        elif not LAST_CHUNK.startswith(self._data):
            self._reader = Reader()
            self._reader.feed(_CHUNKED_HEAD + self._data)

    @property
    def has_surplus(self) -> bool:
        """Whether there is data after the response."""
        if self._reader:
            return self._reader.has_surplus
        return len(self._data) > len(LAST_CHUNK)


class Reader:
    """Finds the end of any response, by h11."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._connection.send(h11.Request(method="POST", target="/", headers=[("host", "")]))
        self._connection.send(h11.EndOfMessage())

    def feed(self, data: bytes) -> None:
        """Feed the next bytes of the response."""
        with suppress(h11.RemoteProtocolError):  # which httpcore raises
            self._connection.receive_data(data)
            while self._connection.next_event() not in (h11.NEED_DATA, h11.PAUSED):
                pass

    @property
    def has_surplus(self) -> bool:
        """Whether there is data after the response."""
        is_complete = self._connection.their_state is h11.DONE
        return is_complete and bool(self._connection.trailing_data[0])
