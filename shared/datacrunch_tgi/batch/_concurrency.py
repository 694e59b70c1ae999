"""How many requests a server accepts at a time: additive increase, multiplicative decrease. Pure.

As TCP does it: fast growth up to where the server last refused, slow growth from there on, and a step
back at each refusal.

    open ◀── limit ─────────────────────────
            ..|     ..|    ..|   slow: +1 for each window of answers
          ..  |  ..   | ..   |   x 0.9 where the server refuses
        : fast: +1 for each answer
"""

import random
from collections.abc import Callable

START = 32
"""Initial number of open requests."""
DECREASE = 0.9
"""Gentler than TCP's half: a refused request costs a server nothing, an idle permit a row."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds between two requests to a server that refuses all of them; doubled each time."""


class Window:
    """The number of open requests, and its limit.

    Args:
        limit: Requests at a time that are never exceeded.
        jitter: A random number from 0 to 1.
    """

    def __init__(self, limit: int, *, jitter: Callable[[], float] = random.random) -> None:
        self._limit, self._jitter = limit, jitter
        self._size = float(min(limit, START))
        self._threshold = float(limit)
        self._epoch = self._refusals = 0
        self.open = 0

    @property
    def size(self) -> int:
        """Largest number of open requests."""
        return int(self._size)

    @property
    def is_free(self) -> bool:
        """Whether another request may start."""
        return self.open < self.size

    def begin(self) -> int:
        """Count a request as open; return what `refused` asks for."""
        self.open += 1
        return self._epoch

    def ended(self) -> None:
        """Count a request as closed, without a conclusion about the server's load."""
        self.open -= 1

    def answered(self) -> None:
        """Count a request as closed, and raise the limit."""
        self.open -= 1
        self._refusals = 0
        growth = 1.0 if self._size < self._threshold else 1 / self._size
        self._size = min(self._size + growth, self._limit)

    def refused(self, epoch: int) -> float:
        """Count a request as closed; return for how many seconds none should start.

        Args:
            epoch: What `begin` returned. Of the requests that were open together, the first that is
                refused lowers the limit; the others show only how many the server holds.
        """
        self.open -= 1
        self.shrink(epoch)
        if self.open:
            return 0.0  # the next one starts when one of these has ended
        pause: float = min(FIRST_PAUSE * 2 ** min(self._refusals - 1, 10), LONGEST_PAUSE)
        return pause * (1 - self._jitter() / 4)

    def shrink(self, epoch: int) -> None:
        """Lower the limit."""
        self._size = max(min(self._size, self.open), 1.0)
        if epoch == self._epoch:
            self._epoch += 1
            self._refusals += 1
            self._size = max(self._size * DECREASE, 1.0)
            self._threshold = self._size
