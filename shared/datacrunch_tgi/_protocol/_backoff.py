"""How long to wait before a request is sent again, and when to give up. Pure: it yields, others wait."""

import random
from collections.abc import Callable, Generator

from datacrunch_tgi._errors import APIError, DataCrunchError

FIRST_WAIT = 0.5
"""Seconds before the first repetition; doubled for each further one."""
LONGEST_BACKOFF = 8.0
"""Seconds that the doubling ends at."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that a server's Retry-After is obeyed up to."""


def backoff_delays(
    max_retries: int, jitter: Callable[[], float] = random.random
) -> Generator[float, DataCrunchError, None]:
    """Yield the seconds to wait after each error that is sent in; the first value means nothing.

    Exponential backoff, of which a random quarter is taken off so that many clients spread out;
    a server's Retry-After instead, up to a cap.

    Raises:
        DataCrunchError: The error sent in, where it must not or need not be tried again.
    """
    error = yield 0.0
    for attempt in range(max_retries):
        if not error.retryable:
            break
        backoff = min(FIRST_WAIT * 2**attempt, LONGEST_BACKOFF) * (1 - jitter() / 4)
        asked = error.retry_after if isinstance(error, APIError) else None
        error = yield backoff if asked is None else min(asked, LONGEST_RETRY_AFTER)
    try:
        raise error
    finally:
        del error  # which holds this frame
