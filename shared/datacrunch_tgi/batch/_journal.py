r"""The output of a run, and its journal, by which another run resumes it.

    answers.jsonl           lines, appended one after the other: the log
    answers.jsonl.journal   {"generation": …}\n, then for each line a record: key, end, checksum, kind

A line is written first, its record second. So a process that is killed leaves at most one line without
a record, or half a record: both are cut off by the next run. A record SYNCED says that everything
before it is on the disk; what a lost disk cache has left behind it is cut off, too.

To remove failed rows, both files are rewritten next to the old ones. The new journal is put in
place first; its generation names the new log, which follows, if need be when it is opened next.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import IO, Any, NamedTuple, Self
from zlib import crc32

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._keys import KeyMap
from datacrunch_tgi.batch._locks import lock

_RECORD = Struct("<QQIB")
_RECORDS_AT_A_TIME = 4096
_BEGIN = b'{"generation": '
"""How a journal begins."""
_FOREIGN = "exists, or its journal, but not from a batch: choose another file"


class Kind(IntEnum):
    """What a line of the log is."""

    ANSWERED = 0
    FAILED = 1
    SYNCED = 2
    HEADER = 3


class Record(NamedTuple):
    """A line of the log: the key of its row, where it ends, its checksum and its kind."""

    key: int
    end: int
    checksum: int
    kind: int


class Journal:
    """The log of a run and its journal, opened for this process alone.

    Args:
        log: File of the lines.
        path: File of the journal.
        facts: What the run goes by, as texts or digests; it must be the same in every run.
        readable: Whether `line` is called, for which the place of each line is kept.

    Attributes:
        done: Keys of the rows that have a line.
        failed: How many of them have no answer.

    Raises:
        ArgumentError: The files belong to another run, or are in use by one.
        OSError: They cannot be read or written.
    """

    def __init__(
        self, log: Path, path: Path, facts: Mapping[str, str], *, readable: bool = False
    ) -> None:
        self._log_path, self._path, self._facts = log, path, dict(facts)
        self._is_readable = readable
        self.done, self.failed = KeyMap(numbered=readable), 0
        self._end = self._generation = 0
        self._journal: IO[bytes] = path.open("a+b", buffering=0)
        try:
            self._open()
            self._log: IO[bytes] = log.open("a+b", buffering=0)
            self._recover()
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        __: BaseException | None,
        ___: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_empty(self) -> bool:
        """Whether the log holds nothing, not even a header."""
        return not self._end

    def append(self, line: bytes, kind: Kind, key: int = 0) -> None:
        """Write a line.

        Raises:
            OSError: It could not be written; nothing must be written after it.
        """
        begin = self._end
        _write(self._log, line)
        self._end += len(line)
        self._record(Record(key, self._end, crc32(line), kind))
        self._count(kind, key, begin)

    def sync(self) -> None:
        """Have everything written to the disk."""
        if self._end:
            os.fsync(self._log.fileno())
            self._record(Record(0, self._end, 0, Kind.SYNCED))
            os.fsync(self._journal.fileno())

    def line(self, key: int) -> bytes | None:
        """Return the line of a row; None if there is none. Lines end with a line feed."""
        begin = self.done.get(key)
        if begin is None:
            return None
        self._log.seek(begin)
        return self._log.readline()

    def without_failed(self) -> Self:
        """Take the lines of failed rows out of the log, so that they are asked again.

        Returns:
            The journal to go on with; this one is closed.
        """
        if not self.failed:
            return self
        generation = self._generation + 1
        new_log, new_path = _beside(self._log_path, generation), _beside(self._path, generation)
        with self, new_log.open("wb") as lines, new_path.open("wb") as journal:
            journal.write(_header(self._facts, generation))
            end = 0
            for record, line in self._lines():
                if record.kind in {Kind.ANSWERED, Kind.HEADER}:
                    lines.write(line)
                    end += len(line)
                    journal.write(_RECORD.pack(*record._replace(end=end)))
            journal.write(_RECORD.pack(0, end, 0, Kind.SYNCED))
            for file in (lines, journal):
                file.flush()
                os.fsync(file.fileno())
        new_path.replace(self._path)
        return type(self)(self._log_path, self._path, self._facts, readable=self._is_readable)

    def close(self) -> None:
        """Close both files, which lets another process have them."""
        self._log.close()
        self._journal.close()

    def _open(self) -> None:
        if not lock(self._journal) or not _is_same(self._journal, self._path):
            raise self._refused("is being written by another run")
        self._journal.seek(0)
        header = self._journal.readline()
        if header.endswith(b"\n"):
            self._check(header)
            return
        is_ours = header.startswith(_BEGIN) or _BEGIN.startswith(header)
        if not is_ours or (self._log_path.exists() and self._log_path.stat().st_size):
            raise self._refused(_FOREIGN)
        self._journal.truncate(0)
        _write(self._journal, _header(self._facts, 0))

    def _check(self, header: bytes) -> None:
        """Check that the files were written by a run with the same source and options."""
        try:
            facts = dict[str, Any](json.loads(header))
            self._generation = facts.pop("generation")
        except (ValueError, TypeError, KeyError):
            raise self._refused(_FOREIGN) from None
        changed = [
            name for name in {**facts, **self._facts} if facts.get(name) != self._facts.get(name)
        ]
        if changed:
            raise self._refused(
                f"belongs to a run with other values of {', '.join(changed)}: "
                "delete it and its journal, or choose another file"
            )
        with suppress(FileNotFoundError):
            _beside(self._log_path, self._generation).replace(self._log_path)

    def _recover(self) -> None:
        """Read the complete records, and remove an incomplete one at the end."""
        records = 0
        synced = max((r.end for r in self._records() if r.kind == Kind.SYNCED), default=0)
        for record, _ in self._lines():
            if record.kind != Kind.SYNCED:
                self._count(record.kind, record.key, self._end)
            records, self._end = records + 1, record.end
        if self._end < synced:
            raise self._refused("has been changed since it was written")
        self._log.truncate(self._end)
        self._journal.seek(0)
        self._journal.truncate(len(self._journal.readline()) + records * _RECORD.size)

    def _count(self, kind: int, key: int, begin: int) -> None:
        if kind in {Kind.ANSWERED, Kind.FAILED}:
            self.done.add(key, begin)
            self.failed += kind == Kind.FAILED

    def _records(self) -> Iterator[Record]:
        with self._path.open("rb") as file:
            file.readline()
            while block := file.read(_RECORDS_AT_A_TIME * _RECORD.size):
                whole = len(block) - len(block) % _RECORD.size
                yield from map(Record._make, _RECORD.iter_unpack(block[:whole]))

    def _lines(self) -> Iterator[tuple[Record, bytes]]:
        """Yield each record with its line, up to the first pair that does not match."""
        end = 0
        with self._log_path.open("rb") as log:
            for record in self._records():
                size = record.end - end
                if record.kind == Kind.SYNCED:
                    line = b""
                    if size:
                        return
                else:
                    line = log.read(size) if size > 0 else b""
                    if len(line) != size or crc32(line) != record.checksum or not line:
                        return
                yield record, line
                end = record.end

    def _record(self, record: Record) -> None:
        _write(self._journal, _RECORD.pack(*record))

    def _refused(self, rule: str) -> ArgumentError:
        return ArgumentError("output", rule, value=repr(os.fspath(self._log_path)))


def _header(facts: Mapping[str, str], generation: int) -> bytes:
    return json.dumps({"generation": generation, **facts}).encode() + b"\n"


def _beside(path: Path, generation: int) -> Path:
    return path.with_name(f"{path.name}.{generation}.new")


def _write(file: IO[bytes], data: bytes) -> None:
    """Write all bytes to a file without buffer."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _is_same(file: IO[bytes], path: Path) -> bool:
    """Whether a file has not been replaced since it was opened."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
