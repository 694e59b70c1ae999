"""A lock on an open file, which ends with its process."""

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    _FAR = 2**40
    """Where no byte is: a lock there keeps nobody from reading."""

    def lock(file: IO[bytes]) -> bool:
        """Lock a file for this process; return whether no other has it."""
        place = file.tell()
        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(place)
        return True

else:
    import fcntl

    def lock(file: IO[bytes]) -> bool:
        """Lock a file for this process; return whether no other has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
