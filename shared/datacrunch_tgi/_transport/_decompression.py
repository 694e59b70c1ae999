"""Decompression of response bodies. Pure."""

import zlib
from typing import Any

from datacrunch_tgi._errors import MalformedResponseError

PIECE = 1024 * 1024
"""Bytes that are decompressed at a time, so that a small body cannot exhaust memory."""


class Decompressor:
    """Decompresses a body piece by piece."""

    def __init__(self, coding: str) -> None:
        self._coding = coding.strip().lower()
        # zlib's number for a gzip header, and for zlib's own.
        self._stream: Any = zlib.decompressobj(31 if self._coding.endswith("gzip") else 15)
        self._may_be_bare = self._coding == "deflate"
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Feed the next bytes of the body.

        Raises:
            MalformedResponseError: There is data after the end of the body.
        """
        if data and self._stream.eof:
            raise MalformedResponseError("the answer cannot be decompressed: it has two parts")
        self._pending += data

    def take(self) -> bytes:
        """Return the next piece; b"" if more bytes are needed.

        Raises:
            MalformedResponseError: The body is broken, or its coding is not supported; combinations of
                codings are not.
        """
        if self._coding not in {"gzip", "x-gzip", "deflate"}:
            message = "the answer's Content-Encoding is not supported"
            raise MalformedResponseError(message, said=self._coding)
        # With less than a header, zlib cannot see that there is none.
        while len(self._pending) > self._may_be_bare:
            try:
                piece: bytes = self._stream.decompress(self._pending, PIECE)
            except zlib.error as error:
                if not self._may_be_bare:
                    message = f"the answer cannot be decompressed: {error}"
                    raise MalformedResponseError(message) from None
                self._may_be_bare = False  # some servers send deflate without its header
                self._stream = zlib.decompressobj(-15)
                continue
            self._may_be_bare = False
            self._pending = self._stream.unconsumed_tail
            if self._stream.unused_data:
                raise MalformedResponseError("the answer cannot be decompressed: it has two parts")
            if piece:
                return piece
        return b""

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            MalformedResponseError: It was cut off.
        """
        if not self._stream.eof:
            raise MalformedResponseError("the answer cannot be decompressed: it was cut off")
