"""By what a row is recognised in a later run, in few bytes a row. Pure."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from mmap import mmap

from datacrunch_tgi.batch._columns import Columns, dump
from datacrunch_tgi.batch._files import SourceRow

_FIRST_SIZE = 1024
_WORD = 2**64 - 1


class KeyMap:
    """Keys of 64 bits, and perhaps a number for each: a hash table of 12 to 48 bytes a key.

    A dict would take over a hundred.

    Args:
        numbered: Whether the keys have numbers other than 0.
    """

    def __init__(self, *, numbered: bool = False) -> None:
        self._is_numbered = numbered
        self._count = 0
        self._allocate(_FIRST_SIZE)

    def _allocate(self, size: int) -> None:
        self._keys = _words(size)
        self._numbers = _words(size if self._is_numbered else 1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        return self._keys[self._slot(key)] != 0

    def get(self, key: int) -> int | None:
        """Return the number of a key; None if the key is not there."""
        slot = self._slot(key)
        if not self._keys[slot]:
            return None
        return self._numbers[slot] if self._is_numbered else 0

    def add(self, key: int, number: int = 0) -> bool:
        """Add a key, or set its number; return whether it is new."""
        slot = self._slot(key)
        is_new = not self._keys[slot]
        self._keys[slot] = key or 1
        if self._is_numbered:
            self._numbers[slot] = number
        if is_new:
            self._count += 1
            if self._count * 3 > len(self._keys) * 2:
                self._grow()
        return is_new

    def _slot(self, key: int) -> int:
        """Return where a key is, or where it belongs. 0 marks an empty slot: that key is kept as 1."""
        keys, mask, key = self._keys, len(self._keys) - 1, key or 1
        slot = key & mask
        while keys[slot] not in {0, key}:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._allocate(2 * len(keys))
        for old, key in enumerate(keys):
            if key:
                slot = self._slot(key)
                self._keys[slot] = key
                if self._is_numbered:
                    self._numbers[slot] = numbers[old]


def _words(size: int) -> "memoryview[int]":
    """Return zeros of 64 bits. Their memory is the system's again when they are dropped, unlike an array's."""
    return memoryview(mmap(-1, 8 * size)).cast("Q")


def keyed(rows: Iterable[SourceRow], columns: Columns) -> Iterator[tuple[int, SourceRow]]:
    """Yield each row with its key: of its id, or of its place if it has none or one that is taken."""
    taken = KeyMap()
    for place, row in enumerate(rows):
        identity = columns.value(row.columns, "id")
        key = _hash(f"place {place}")
        if identity is not None:
            own = _hash(f"id {dump(identity)}")
            key = own if taken.add(own) else key
        yield key, row


class Fingerprint:
    """A digest of all rows. It does not depend on the order of rows with ids of their own."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, key: int, row: SourceRow) -> None:
        """Add a row."""
        content = f"{key} {row.error.rule if row.error else dump(row.columns)}"
        self._sum = (self._sum + _hash(content)) & _WORD

    def __str__(self) -> str:
        return f"{self._sum:016x}"


def _hash(text: str) -> int:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)
