"""How long to wait before a request is sent again, and when to give up. Pure: it yields, others wait."""

import random
from collections.abc import Callable, Generator

from datacrunch_tgi._errors import APIError, ConnectError, DataCrunchError, DisconnectedError
from datacrunch_tgi._protocol._api_errors import STARTING

FIRST_WAIT = 0.5
"""Seconds before the first repetition; doubled for each further one."""
LONGEST_BACKOFF = 8.0
"""Seconds that the doubling ends at."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that a server's Retry-After is honoured up to; a longer one ends the call at once."""


def backoff_delays(
    max_retries: int,
    jitter: Callable[[], float] = random.random,
    startup_left: Callable[[], float] = lambda: 0.0,
) -> Generator[float, DataCrunchError, None]:
    """Yield the seconds to wait after each error that is sent in; the first value means nothing.

    Exponential backoff, or what the server asks for and some jitter, so that many clients spread out.
    While the server may still be starting, retries are not counted, and it is asked once more at the
    end of that time.

    Args:
        max_retries: How often a request is sent again.
        jitter: A random number from 0 to 1.
        startup_left: The seconds that are left for the server to start.

    Raises:
        DataCrunchError: The error sent in, where it must not or need not be tried again.
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
        del error  # which holds this frame


def is_starting(error: DataCrunchError) -> bool:
    """Whether a server, or the gateway in front of one, fails like this while it starts."""
    if isinstance(error, APIError):
        return error.status in STARTING
    return error.retryable and isinstance(error, ConnectError | DisconnectedError)


def _delay(attempt: int, asked: float | None, jitter: float) -> float:
    backoff: float = min(FIRST_WAIT * 2 ** min(attempt, 10), LONGEST_BACKOFF)
    if asked is None:
        return backoff * (1 - jitter / 4)
    return asked + max(backoff, asked / 4) * (1 + 3 * jitter) / 4
