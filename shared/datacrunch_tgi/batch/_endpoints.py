"""Several endpoints that serve the same model, used as one.

generate ──▶ the one with the fewest open requests ──▶ answer
               ▲                      │
               └── the next one ◀── it fails: it rests, twice as long each time
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self, Unpack

from datacrunch_tgi._client import AsyncClient
from datacrunch_tgi._errors import (
    ArgumentError,
    AuthenticationError,
    DataCrunchError,
    MalformedResponseError,
    NotFoundError,
    TLSError,
)
from datacrunch_tgi._protocol._parameters import Parameters
from datacrunch_tgi._protocol._schema import Answer
from datacrunch_tgi._settings import SettingsArguments

logger = logging.getLogger("datacrunch_tgi")

FIRST_REST = 0.5
"""Seconds for which an endpoint is not used after its first failure; doubled for each further one."""
LONGEST_REST = 30.0
"""Largest number of such seconds."""

_ITS_OWN = (AuthenticationError, MalformedResponseError, NotFoundError, TLSError)
"""Errors that another endpoint may not have, although this one would have them again."""


class Endpoint:
    """One of the endpoints, and its health."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        # With several endpoints, none waits for a server that is starting.
        self.impatient = client.with_settings(startup_timeout=0)
        self.open = self.uses = self._failures = 0
        self._rests_until = 0.0

    def is_usable(self, now: float) -> bool:
        """Return whether it may have a request; after a failure, one at a time until it answers."""
        return not self._failures or (self._rests_until <= now and not self.open)

    @property
    def load(self) -> tuple[int, int]:
        """What the next request goes by: the fewest open requests, then the fewest so far."""
        return self.open, self.uses

    @property
    def rests_until(self) -> float:
        """When it may be used again."""
        return self._rests_until

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request while it is open."""
        self.open += 1
        self.uses += 1
        try:
            yield
        finally:
            self.open -= 1

    def succeeded(self) -> None:
        """Use it without limit again: it has answered."""
        self._failures = 0

    def failed(self, now: float, error: DataCrunchError) -> None:
        """Leave it out for a while, unless it rests already: many requests fail at the same moment."""
        if self._failures and now < self._rests_until:
            return
        rest = min(FIRST_REST * 2 ** min(self._failures, 10), LONGEST_REST)
        self._failures += 1
        self._rests_until = now + rest
        logger.info(
            "%s: %s is not used for %.1f s", type(error).__name__, self.client.base_url, rest
        )


class Endpoints:
    """Several endpoints that serve the same model. `generate` is that of `AsyncClient`.

    Each request goes to the endpoint with the fewest open requests. An endpoint that cannot be reached, is
    overloaded or fails is not used for 0.5 seconds, doubled up to 30, and then gets one request at a time
    until it answers. The failed request is sent to the others, once to each.

    Args:
        clients: A client for each endpoint.
        clock: Returns the time, in seconds.

    Raises:
        ArgumentError: There is no client, or two have the same base_url.
    """

    def __init__(
        self, clients: Sequence[AsyncClient], clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not clients:
            raise ArgumentError("client", "must be one client or several", value="[]")
        if len({client.base_url for client in clients}) < len(clients):
            raise ArgumentError("client", "several clients must have different base_urls")
        self._endpoints = [Endpoint(client) for client in clients]
        self._clock = clock

    async def generate(
        self, inputs: str, parameters: Parameters | None = None, **options: Any
    ) -> Answer:
        """Generate an answer at one of the endpoints.

        Args:
            inputs: Prompt.
            parameters: Parameters of this generation.
            **options: Keyword arguments of `AsyncClient.generate`.

        Raises:
            DataCrunchError: As in `AsyncClient.generate`. The error of one endpoint is raised when no
                other is left to try; its `requests` are those of all.
        """
        left, requests = list(self._endpoints), 0
        while True:
            endpoint = self._choose(left)
            left.remove(endpoint)
            client = endpoint.impatient if self._usable(left) else endpoint.client
            try:
                with endpoint.request():
                    answer = await client.generate(inputs, parameters, **options)
            except DataCrunchError as error:
                error.requests = requests = requests + error.requests
                if error.retryable or isinstance(error, _ITS_OWN):
                    endpoint.failed(self._clock(), error)
                    if self._usable(left):
                        continue
                raise
            endpoint.succeeded()
            return answer

    async def aclose(self) -> None:
        """Close the clients."""
        for endpoint in self._endpoints:
            await endpoint.client.aclose()

    def with_settings(self, **changed: Unpack[SettingsArguments]) -> Self:
        """Copy with some settings of all clients changed: see `AsyncClient.with_settings`."""
        clients = [endpoint.client.with_settings(**changed) for endpoint in self._endpoints]
        return type(self)(clients, self._clock)

    def _choose(self, left: Sequence[Endpoint]) -> Endpoint:
        """Return the least loaded endpoint; if all are paused, the one whose pause ends first."""
        usable = self._usable(left)
        if usable:
            return min(usable, key=lambda endpoint: endpoint.load)
        return min(left, key=lambda endpoint: (endpoint.rests_until, endpoint.load))

    def _usable(self, left: Sequence[Endpoint]) -> list[Endpoint]:
        now = self._clock()
        return [endpoint for endpoint in left if endpoint.is_usable(now)]
