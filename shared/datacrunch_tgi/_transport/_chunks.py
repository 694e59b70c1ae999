"""An HTTP response in fewer chunks: those that come together become one. Pure: bytes in, bytes out.

TGI sends each event in a chunk of its own, and an HTTP library takes longer to read a chunk than all of
this package takes for an event. Where a body is cut into chunks means nothing, and whoever passes it on
may cut it anew (RFC 9112, section 7.1).
"""

import re
from typing import Literal

_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n")
_END = b"\r\n0\r\n\r\n"
"""The end of the last chunk but one, and the last chunk, without trailers."""
_BORDER = re.compile(rb"\r\n([1-9a-fA-F][0-9a-fA-F]{0,7})\r\n")
"""The end of a chunk and the size of the next; not the last one's, which is 0, nor what is rare."""
_PART_OF_BORDER = re.compile(rb"(\r(\n([1-9a-fA-F][0-9a-fA-F]{0,7}\r?)?)?)?")


class ChunkMerger:
    """Takes one response in whatever pieces it arrives, and gives one with the same head and body.

    What is not a plain chunk is passed on as it is, and all that follows: so whatever is wrong with a
    response is still wrong with it.
    """

    def __init__(self) -> None:
        self._reading: Literal["head", "chunks", "rest"] = "head"
        self._held = b""  # the head so far; then the part of a border
        self._left = 0  # bytes of a chunk that are still to come
        self._is_first = True
        self._left_of_body = -1  # bytes, where the head has their number
        self._tail = b""  # the beginning of what is not merged

    @property
    def has_surplus(self) -> bool:
        """Whether more has come than the response: the connection cannot be used again."""
        if self._reading == "chunks":
            return False
        return self._left_of_body < -1 or (
            self._tail.startswith(_END) and len(self._tail) > len(_END)
        )

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those that stand for them, b"" while there are none."""
        if self._reading == "head":
            return self._head(data)
        if self._reading == "chunks":
            return self._chunks(data)
        self._pass_on(data)
        return data

    def _pass_on(self, data: bytes) -> None:
        self._tail += data[: len(_END) + 1 - len(self._tail)]
        if self._left_of_body >= 0:
            left = self._left_of_body - len(data)
            self._left_of_body = left if left >= 0 else -2

    def _head(self, data: bytes) -> bytes:
        head, end, body = (self._held + data).partition(b"\r\n\r\n")
        if not end:
            self._held = head
            return data
        if not _CHUNKED.search(head + end):
            self._reading, self._held = "rest", b""
            if length := _LENGTH.search(head + end):
                self._left_of_body = int(length[1])
                self._pass_on(body)
                self._tail = b""
            return data
        self._reading, self._held = "chunks", b"\r\n"  # so the first size looks like the others
        return data[: len(data) - len(body)] + self._chunks(body)

    def _chunks(self, data: bytes) -> bytes:
        data = self._held + data
        pieces: list[bytes] = []
        place = 0
        while True:
            pieces.append(data[place : place + self._left])
            place += len(pieces[-1])
            self._left -= len(pieces[-1])
            border = _BORDER.match(data, place)
            if not border:
                break
            self._left, place = int(border[1], 16), border.end()
        merged, self._held = b"".join(pieces), data[place:]
        passed = b"\r\n%x\r\n%b" % (len(merged), merged) if merged else b""
        if not _PART_OF_BORDER.fullmatch(self._held):
            passed += self._held
            self._reading = "rest"
            self._pass_on(self._held)
            self._held = b""
        if passed and self._is_first:
            self._is_first, passed = False, passed[2:]
        return passed
