"""A compressed body is read however its bytes come."""

import gzip
import zlib

import pytest

from datacrunch_tgi._transport._decompression import Decompressor

BODY = b'{"generated_text": "Hi you"}' * 9
BODIES = {
    "gzip": ("gzip", gzip.compress(BODY)),
    "x-gzip": ("X-GZip", gzip.compress(BODY)),
    "deflate": ("deflate", zlib.compress(BODY)),
    "deflate without its header": ("deflate", zlib.compress(BODY, wbits=-15)),
}


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("name", BODIES)
def test_a_compressed_body_is_read_in_pieces_of_any_size(name: str, size: int) -> None:
    """Also byte by byte, when the first byte does not show what follows."""
    coding, compressed = BODIES[name]
    decompressor = Decompressor(coding)
    read = b""
    for place in range(0, len(compressed), size):
        decompressor.feed(compressed[place : place + size])
        while piece := decompressor.take():
            read += piece
    decompressor.finish()
    assert read == BODY
