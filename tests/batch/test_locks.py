"""The lock of a file: of this system, and of Windows as far as Linux can simulate it."""

import importlib.util
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from datacrunch_tgi.batch import _locks

Lock = Callable[[IO[bytes]], bool]
LK_NBLCK = 2


def _locking(descriptor: int, mode: int, count: int) -> None:
    """Lock bytes from the file's position for this open file, as `msvcrt.locking` does."""
    import fcntl  # noqa: PLC0415 -- Windows has none

    assert mode == LK_NBLCK
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    assert place >= os.fstat(descriptor).st_size, "on Windows nobody else could read these bytes"
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, place, count, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)


@pytest.fixture(params=["this system", "Windows"])
def lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """The function that locks a file."""
    if request.param == "this system":
        return _locks.lock
    if sys.platform != "linux":
        pytest.skip("only Linux has locks of open files")
    windows: Any = SimpleNamespace(locking=_locking, LK_NBLCK=LK_NBLCK)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    spec = importlib.util.spec_from_file_location("locks_of_windows", _locks.__file__)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    found: Lock = module.lock
    return found


def test_a_file_is_locked_until_it_is_closed(lock: Lock, tmp_path: Path) -> None:
    """The second who asks is refused, and gets the lock when the first has closed."""
    path = tmp_path / "journal"
    with path.open("a+b") as first, path.open("a+b") as second:
        assert lock(first)
        assert not lock(second)
        first.close()
        assert lock(second)


def test_a_locked_file_is_written_and_read(lock: Lock, tmp_path: Path) -> None:
    """The position stays where it was, and no byte of the file is out of reach for others."""
    path = tmp_path / "journal"
    path.write_bytes(b"first\nsecond\n")
    with path.open("r+b") as file:
        assert file.readline() == b"first\n"
        assert lock(file)
        assert file.readline() == b"second\n"
        file.write(b"third\n")
        file.flush()
        assert path.read_bytes() == b"first\nsecond\nthird\n"
    assert path.stat().st_size == len(b"first\nsecond\nthird\n")
