"""A response out of bytes, for the fast engine: llhttp's parser, and what it leaves to others. Pure.

llhttp refuses what httpx's parser lets pass: two lengths or a length with chunks, folded headers, bare
line feeds, blanks around a chunk's size, HTTP versions other than 1.0 and 1.1.
It lets pass zeros in front of a chunk's size, and skips line ends behind a response.
"""

import httptools

from datacrunch_tgi._protocol._responses import Head

LARGEST_HEAD = 100 * 1024
"""Largest head, in bytes, including interim responses."""
_INTERIM = range(100, 200)
_PREFIX = b"HTTP/1."


class ResponseReader:
    """Reads one response. Feed it bytes until `is_complete`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._begin = b""  # the first bytes; llhttp accepts other protocols too
        self._head_size = 0
        self._headers: dict[str, str] = {}
        self._is_interim = self._has_surplus = self._is_kept = False
        self._body: list[bytes] = []
        self._failure: ConnectionError | None = None
        self.head: Head | None = None
        self.is_complete = False

    @property
    def can_be_used_again(self) -> bool:
        """Whether the connection can serve another request."""
        return self.is_complete and self._is_kept and not self._has_surplus

    def feed(self, data: bytes) -> None:
        """Feed the next bytes; b"" is the end of the connection.

        Raises:
            ConnectionError: They are not HTTP, or the connection ended inside the response.
                What came before, head and body, is taken first.
        """
        if self.is_complete:
            self._has_surplus = self._has_surplus or bool(data)
        elif not data:
            self._end_of_connection()
        elif self.head:
            self._parse(data)
        else:
            self._check_begin(data)
            self._parse(data)
            self._head_size += len(data)
            if not self.head and self._head_size > LARGEST_HEAD:
                raise ConnectionError(f"the head has more than {LARGEST_HEAD} bytes")

    def take(self) -> bytes:
        """Return the bytes of the body that have come, and forget them.

        Raises:
            ConnectionError: What came behind them is not HTTP.
        """
        if self._failure and not self._body:
            raise self._failure
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        return body

    def close(self) -> None:
        """Drop the parser, which refers to the reader: else both would wait for the garbage collector."""
        del self._parser

    def _parse(self, data: bytes) -> None:
        failure: BaseException
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            failure = error.__context__ or error  # an interrupt, for example
        except httptools.HttpParserUpgrade:
            failure = ConnectionError("the server switched to another protocol")
        except httptools.HttpParserError as error:
            failure = ConnectionError(f"the response is not HTTP: {error}")
        else:
            return
        if isinstance(failure, _Surplus) or self.is_complete:
            self._has_surplus = True
        elif self.head and isinstance(failure, ConnectionError):
            self._failure = failure
        else:
            raise failure

    def _check_begin(self, data: bytes) -> None:
        if len(self._begin) < len(_PREFIX):
            self._begin = (self._begin + data)[: len(_PREFIX)]
            if not _PREFIX.startswith(self._begin):
                raise ConnectionError("the response is not HTTP")

    def _end_of_connection(self) -> None:
        headers = self._headers
        ends_with_connection = not {"content-length", "transfer-encoding"} & headers.keys()
        if self.head is None or not ends_with_connection:
            raise ConnectionError("the server closed the connection in the middle of a response")
        self.is_complete = self._has_surplus = True

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:  # else it is a trailer
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._is_interim = status in _INTERIM
        if self._is_interim:
            self._headers.clear()
        elif self._headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
            raise ConnectionError("the server uses a transfer coding that is not supported")
        else:
            self.head = Head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.is_complete = not self._is_interim
        self._is_kept = bool(self._parser.should_keep_alive())


class _Surplus(Exception):  # noqa: N818 -- internal
    """An unrequested second response."""
