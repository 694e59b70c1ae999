"""Merges the chunks of an HTTP response that arrive together. Pure: bytes in, bytes out.

TGI sends each event in its own chunk, and an HTTP library takes longer to read a chunk than this package
takes for an event. Chunk boundaries have no meaning, and recipients may re-chunk a body (RFC 9112, section
7.1).
"""

import re

from datacrunch_tgi._transport._surplus import LastChunk, Length, Reader

_END_OF_HEAD = re.compile(rb"\n\r?\n")  # as h11 finds it
_PLAIN_HEAD = re.compile(rb"HTTP/1\.1 200 .*\r\n\r\n", re.DOTALL)
"""A response whose body depends on its headers alone."""
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n")
_BORDER = re.compile(rb"\r\n([1-9a-fA-F][0-9a-fA-F]{0,7})\r\n")
"""End of a chunk and size of the next; not of the last one, which is 0, nor of rare forms."""
_PART_OF_BORDER = re.compile(rb"(\r(\n([1-9a-fA-F][0-9a-fA-F]{0,7}\r?)?)?)?")


class ChunkMerger:
    """Takes the bytes of one response, and returns a response with the same head and body.

    Anything that is not a plain chunk is passed on unchanged, with all that follows, so that an invalid
    response stays invalid.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._is_chunked = False
        self._held = b"\r\n"  # the part of a border; so the first size looks like the others
        self._left = 0  # bytes of a chunk that are still to come
        self._is_first = True
        self._rest: Length | LastChunk | Reader | None = None  # of the response: it is not merged

    @property
    def has_surplus(self) -> bool:
        """Whether there is data after the response, so that the connection cannot be reused."""
        return self._rest is not None and self._rest.has_surplus

    def feed(self, data: bytes) -> bytes:
        """Feed the next bytes; return the bytes to pass on, b"" if there are none yet."""
        if self._rest:
            self._rest.feed(data)
            return data
        return self._chunks(data) if self._is_chunked else self._begin(data)

    def _begin(self, data: bytes) -> bytes:
        searched = max(len(self._head) - 2, 0)
        self._head += data
        if not (end := _END_OF_HEAD.search(self._head, searched)):
            return data
        head, body = bytes(self._head[: end.end()]), bytes(self._head[end.end() :])
        is_plain = _PLAIN_HEAD.fullmatch(head)
        if is_plain and _CHUNKED.search(head):
            self._is_chunked = True
            return data[: len(data) - len(body)] + self._chunks(body)
        if is_plain and (length := _LENGTH.search(head)):
            self._rest = Length(int(length[1]))
            self._rest.feed(body)
        else:
            self._rest = Reader()
            self._rest.feed(head + body)
        return data

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
            self._rest = LastChunk()
            self._rest.feed(self._held.removeprefix(b"\r\n"))
        if passed and self._is_first:
            self._is_first, passed = False, passed[2:]
        return passed
