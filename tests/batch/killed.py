"""Runs a batch in processes that kill themselves at random moments, and then once to its end.

`python killed.py SEED KILLS BASE_URL SOURCE OUTPUT`; prints how many were killed, and how many rows they
had done.

A moment is a write, a part of a write, or the opening, renaming or cutting of an output. Each process is
forked from this one, so that a hundred of them take seconds.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import Summary, _journal, run_file_sync

EVENTS = {"open", "os.rename", "os.truncate"}
MOST_STEPS = 80


def die_after(steps: int, output: str, choose: random.Random) -> None:
    """Let this process kill itself at its so manieth step."""
    write: Callable[[IO[bytes], bytes], None] = _journal._write  # noqa: SLF001 -- to break off in its midst

    def step() -> None:
        nonlocal steps
        steps -= 1
        if not steps:
            os.kill(os.getpid(), signal.SIGKILL)

    def write_in_parts(file: IO[bytes], data: bytes) -> None:
        cut = choose.randrange(len(data) + 1)
        step()
        write(file, data[:cut])
        step()
        write(file, data[cut:])
        step()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and str(arguments[0]).startswith((output, "<_io")):
            step()

    _journal._write = write_in_parts  # noqa: SLF001 -- likewise
    sys.addaudithook(audit)


def run(url: str, source: str, output: str, *, retry_failed: bool) -> Summary:
    """Run the batch."""
    client = AsyncClient(base_url=url)
    return run_file_sync(source, output, client, concurrency=8, retry_failed=retry_failed)


def main(seed: int, kills: int, url: str, source: str, output: str) -> None:
    """Fork until so many processes were killed."""
    choose = random.Random(seed)
    killed = 0
    for _ in range(kills):
        steps, is_retry = choose.randrange(1, MOST_STEPS), choose.random() < 0.2
        child = os.fork()
        if not child:
            die_after(steps, output, choose)
            run(url, source, output, retry_failed=is_retry)
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        choose.random()  # each process has numbers of its own
    summary = run(url, source, output, retry_failed=False)
    print(killed, summary.done_before)  # noqa: T201 -- for the test


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
