"""Decoder of server-sent events, however the bytes are chunked. Pure: bytes in, events' data out.

Lines end at LF, CRLF or CR and nowhere else: JSON text may contain U+2028, at which `str.splitlines`, and
line decoders built on it, would split an event (WHATWG HTML, server-sent events).
"""

from datacrunch_tgi._errors import MalformedResponseError

LARGEST_EVENT = 32 * 1024 * 1024
"""Largest event, in bytes, so that a server cannot exhaust memory."""

_LINE_COST = 64  # bytes of memory that a line of data takes in addition to its value
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventDecoder:
    """Collects the `data` of each event; comments and other fields are ignored."""

    def __init__(self) -> None:
        self._line = bytearray()  # the line that has not ended yet
        self._data: list[bytes] = []  # the data lines of the event that has not ended yet
        self._size = 0  # of the data in memory, in bytes
        self._after_cr = False
        self._at_start = True  # of the stream, where a byte order mark is allowed

    def feed(self, chunk: bytes) -> list[bytes]:
        """Feed the next bytes; return the data of each event that they complete.

        Raises:
            MalformedResponseError: An event is larger than `LARGEST_EVENT`.
        """
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a CRLF
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines()  # of bytes: at LF, CRLF and CR only
        rest = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        if lines and self._at_start:
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
        data = self._data
        events: list[bytes] = []
        for line in lines:
            if line:
                self._add(line)
            elif data:
                event = b"\n".join(data)
                data.clear()
                self._size = 0
                if event and not event.isspace():
                    events.append(event)
        if rest:
            self._line += rest
            self._check_size()
        return events

    def _add(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + _LINE_COST
            if self._size > LARGEST_EVENT:
                self._check_size()

    def _check_size(self) -> None:
        if len(self._line) + self._size > LARGEST_EVENT:
            raise MalformedResponseError(
                f"one event of the stream has more than {LARGEST_EVENT} bytes"
            )
