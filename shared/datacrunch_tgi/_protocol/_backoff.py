"""Delays between retries, and when to give up. Pure: it yields delays, the caller waits."""

import random
from collections.abc import Callable, Generator

from datacrunch_tgi._errors import APIError, ConnectError, DataCrunchError, DisconnectedError
from datacrunch_tgi._protocol._api_errors import STARTING

FIRST_WAIT = 0.5
"""Seconds before the first retry; doubled for each further one."""
LONGEST_BACKOFF = 8.0
"""Longest backoff, in seconds."""
LONGEST_RETRY_AFTER = 60.0
"""Longest Retry-After that is honoured, in seconds; a longer one ends the call at once."""


def backoff_delays(
    max_retries: int,
    jitter: Callable[[], float] = random.random,
    startup_left: Callable[[], float] = lambda: 0.0,
) -> Generator[float, DataCrunchError, None]:
    """Yield the seconds to wait after each error that is sent in; ignore the first value.

    The delay is exponential backoff, or the server's Retry-After, with jitter to spread clients out.
    While the server may still be starting, retries are not counted; the last one is at the end of that
    time.

    Args:
        max_retries: Maximum number of retries.
        jitter: Returns a random number from 0 to 1.
        startup_left: Returns the seconds left for the server to start.

    Raises:
        DataCrunchError: The error that was sent in, if there is to be no retry.
    """
    error = yield 0.0
    retries = starts = 0
    while error.retryable:
        asked = error.retry_after if isinstance(error, APIError) else None
        if is_starting(error) and ((left := startup_left()) > 0 or starts):
            if left <= 0:
                break
            delay = min(_delay(starts, asked, jitter()), left)
            starts += 1
        elif retries < max_retries and (asked or 0.0) <= LONGEST_RETRY_AFTER:
            delay = _delay(retries, asked, jitter())
            retries += 1
        else:
            break
        error = yield delay
    try:
        raise error
    finally:
        del error  # its traceback holds this frame


def is_starting(error: DataCrunchError) -> bool:
    """Return whether a server, or the gateway in front of it, may fail like this while it starts."""
    if isinstance(error, APIError):
        return error.status in STARTING
    if isinstance(error, ConnectError) and error.host_not_found:
        return False  # misspelled
    return error.retryable and isinstance(error, ConnectError | DisconnectedError)


def _delay(attempt: int, asked: float | None, jitter: float) -> float:
    backoff: float = min(FIRST_WAIT * 2 ** min(attempt, 10), LONGEST_BACKOFF)
    if asked is None:
        return backoff * (1 - jitter / 4)
    return asked + max(backoff, asked / 4) * (1 + 3 * jitter) / 4
