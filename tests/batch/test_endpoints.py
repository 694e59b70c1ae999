"""Several endpoints are used evenly; one that fails is left out, and tried again later."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from datacrunch_tgi import (
    ArgumentError,
    AsyncClient,
    ConnectError,
    InvalidRequestError,
    OverloadedError,
    ServerError,
)
from datacrunch_tgi.batch._endpoints import LONGEST_REST, Endpoints
from datacrunch_tgi.testing import EmulatedEndpoint


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas() -> Iterator[list[EmulatedEndpoint]]:
    """Three endpoints, each of which answers with its number."""
    with ExitStack() as stack:
        yield [stack.enter_context(EmulatedEndpoint(answers=str(number))) for number in range(3)]


@pytest.fixture
async def endpoints(replicas: list[EmulatedEndpoint], clock: Clock) -> AsyncIterator[Endpoints]:
    """The three, without retries of the clients' own."""
    connected = _connect(replicas, clock)
    yield connected
    await connected.aclose()


def _connect(replicas: list[EmulatedEndpoint], clock: Clock, **settings: Any) -> Endpoints:
    return Endpoints(
        [AsyncClient(base_url=replica.url, max_retries=0, **settings) for replica in replicas],
        clock,
    )


async def _answers(endpoints: Endpoints, number: int) -> list[str]:
    calls = (endpoints.generate("Hi") for _ in range(number))
    return sorted(answer.text for answer in await asyncio.gather(*calls))


async def test_requests_at_a_time_are_shared_evenly(
    endpoints: Endpoints,
) -> None:
    """Three endpoints get ten of 30 concurrent requests each."""
    assert await _answers(endpoints, 30) == ["0"] * 10 + ["1"] * 10 + ["2"] * 10


async def test_requests_one_by_one_are_shared_evenly(endpoints: Endpoints) -> None:
    """One request after another goes to all endpoints in turn."""
    answers = [(await endpoints.generate("Hi")).text for _ in range(9)]
    assert sorted(answers) == ["0"] * 3 + ["1"] * 3 + ["2"] * 3


async def test_a_slow_endpoint_gets_fewer(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint]
) -> None:
    """What an endpoint holds open counts: while one answers nothing, the others get the rest."""
    replicas[0].fail_next(delay=60)
    first = asyncio.create_task(endpoints.generate("Hi"))
    await asyncio.sleep(0)
    assert await _answers(endpoints, 1) != ["0"]
    answers = [(await endpoints.generate("Hi")).text for _ in range(10)]
    assert set(answers) == {"1", "2"}
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_dead_endpoint_costs_no_request(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint]
) -> None:
    """Nobody listens at one address: the other two answer everything."""
    replicas[0].stop()
    assert set(await _answers(endpoints, 30)) == {"1", "2"}


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502, 503])
async def test_an_endpoint_that_fails_is_left_out(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint], status: int
) -> None:
    """An endpoint that answers with an error of its own gets one request, not all of them for its speed."""
    replicas[0].fail_next(1000, status=status)
    for _ in range(30):
        assert (await endpoints.generate("Hi")).text in {"1", "2"}
    assert len(replicas[0].requests) == 1


async def test_an_endpoint_that_was_left_out_comes_back(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint], clock: Clock
) -> None:
    """After its pause an endpoint gets one request, and after its answer its full share."""
    replicas[0].fail_next(1, status=503)
    assert await _answers(endpoints, 1) != ["0"]
    assert set(await _answers(endpoints, 6)) == {"1", "2"}
    clock.now = 1.0
    assert (await _answers(endpoints, 9)).count("0") == 1
    assert (await _answers(endpoints, 9)).count("0") == 3


async def test_rests_grow_up_to_a_limit(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint], clock: Clock
) -> None:
    """A dead endpoint is tried at growing distances, and never later than after half a minute."""
    replicas[0].fail_next(10_000, status=503)
    tried: list[float] = []
    for second in range(300):
        clock.now = float(second)
        before = len(replicas[0].requests)
        await _answers(endpoints, 3)
        tried += [clock.now] * (len(replicas[0].requests) - before)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_REST


async def test_all_endpoints_down_is_an_error_and_then_over(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint]
) -> None:
    """Each is tried once; the error counts the requests of all; the first that is up again answers."""
    for replica in replicas:
        replica.fail_next(1, status=503)
    with pytest.raises(ServerError) as raised:
        await endpoints.generate("Hi")
    assert raised.value.requests == 3
    assert (await endpoints.generate("Hi")).text in {"0", "1", "2"}


async def test_what_the_request_is_to_blame_for_is_asked_once(
    endpoints: Endpoints, replicas: list[EmulatedEndpoint]
) -> None:
    """A request that one endpoint refuses is not sent to the next, and the endpoint stays in use."""
    replicas[0].fail_next(1, status=422, body={"error": "no", "error_type": "validation"})
    with pytest.raises(InvalidRequestError):
        await endpoints.generate("Hi")
    assert [len(replica.requests) for replica in replicas] == [1, 0, 0]
    assert (await _answers(endpoints, 30)).count("0") == 10


async def test_a_single_endpoint_is_never_left_out(clock: Clock) -> None:
    """If there is only one endpoint, every request is sent to it."""
    with EmulatedEndpoint(answers="0") as replica:
        endpoints = _connect([replica], clock)
        replica.fail_next(2, status=429)
        for _ in range(2):
            with pytest.raises(OverloadedError):
                await endpoints.generate("Hi")
        assert (await endpoints.generate("Hi")).text == "0"
    with pytest.raises(ConnectError):
        await endpoints.generate("Hi")
    await endpoints.aclose()


async def test_a_server_that_starts_is_waited_for_only_without_another(
    replicas: list[EmulatedEndpoint], clock: Clock
) -> None:
    """With startup_timeout set, a dead endpoint delays nothing while another one answers."""
    endpoints = _connect(replicas, clock, startup_timeout=3600)
    replicas[0].stop()
    assert set(await _answers(endpoints, 30)) == {"1", "2"}
    await endpoints.aclose()


async def test_the_last_endpoint_is_waited_for(
    replicas: list[EmulatedEndpoint], clock: Clock
) -> None:
    """If all endpoints are starting, `startup_timeout` applies and the row is answered."""
    endpoints = _connect(replicas, clock, startup_timeout=3600)
    for replica in replicas:
        replica.fail_next(1, status=503)
    assert (await endpoints.generate("Hi")).text in {"0", "1", "2"}
    await endpoints.aclose()


async def test_settings_are_those_of_all_clients(replicas: list[EmulatedEndpoint]) -> None:
    """A copy with changed settings asks the same endpoints."""
    clients = [AsyncClient(base_url=replica.url) for replica in replicas]
    endpoints = Endpoints(clients).with_settings(max_retries=0)
    for replica in replicas:
        replica.fail_next(1, status=500)
    with pytest.raises(ServerError) as raised:
        await endpoints.generate("Hi")
    assert raised.value.requests == 3
    await endpoints.aclose()


@pytest.mark.parametrize(("urls", "rule"), [([], "one client"), (["a", "a/"], "different")])
def test_endpoints_that_are_no_several_are_refused(urls: list[str], rule: str) -> None:
    """No client, or two of one endpoint: an error that names the field and the rule."""
    with pytest.raises(ArgumentError, match=rule) as raised:
        Endpoints([AsyncClient(base_url=f"http://{url}") for url in urls])
    assert raised.value.field == "client"
