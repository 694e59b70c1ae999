"""Delays between retries: their length, and when there is none."""

from collections.abc import Callable

import pytest

from datacrunch_tgi import (
    APIError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    OverloadedError,
    RequestTimeoutError,
    ServerError,
    TLSError,
)
from datacrunch_tgi._protocol._backoff import backoff_delays, is_starting


def delays(
    *errors: DataCrunchError,
    max_retries: int = 9,
    jitter: float = 0.0,
    startup_left: Callable[[], float] = lambda: 0.0,
) -> list[float]:
    found = backoff_delays(max_retries, lambda: jitter, startup_left)
    next(found)
    return [found.send(error) for error in errors]


def starting(retry_after: float | None = None) -> APIError:
    return ServerError("", status=503, retry_after=retry_after)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_delay_doubles_up_to_8_seconds_less_a_random_part_of_a_quarter(jitter: float) -> None:
    """Delays double from 0.5 to 8 seconds, less up to a quarter."""
    expected = [seconds * (1 - jitter / 4) for seconds in (0.5, 1, 2, 4, 8, 8, 8)]
    assert delays(*[ConnectError("")] * 7, jitter=jitter) == expected


@pytest.mark.parametrize(
    ("retry_after", "jitter", "seconds"),
    [(8, 0, 8.5), (8, 0.5, 9.25), (8, 1, 10), (0, 0, 0.125), (0, 1, 0.5), (60, 1, 75)],
)
def test_what_the_server_asks_for_is_waited_and_a_random_part_of_a_quarter_more(
    retry_after: float, jitter: float, seconds: float
) -> None:
    """At least of the usual delay, so that clients spread out where the server says 0."""
    assert delays(OverloadedError("", retry_after=retry_after), jitter=jitter) == [seconds]


def test_the_error_is_raised_where_there_is_no_retry() -> None:
    """After the last retry, at once if it cannot help, or if the server asks for over a minute."""
    last = ConnectError("the last one")
    for errors in (
        [ConnectError(""), ConnectError(""), last],
        [TLSError("refused")],
        [OverloadedError("", retry_after=60.5)],
    ):
        with pytest.raises(DataCrunchError) as caught:
            delays(*errors, max_retries=2)
        assert caught.value is errors[-1]


def test_retries_are_not_counted_while_the_server_starts_and_end_with_its_time() -> None:
    """The last request is at the end of that time, whatever `max_retries` is."""
    left = [100.0, 50.0, 1.5, 0.5, 0.0]
    found = backoff_delays(0, lambda: 0.0, lambda: left.pop(0))
    next(found)
    assert [found.send(starting()), found.send(starting(80))] == [0.5, 50.0]
    assert [found.send(starting()), found.send(starting())] == [1.5, 0.5]
    last = starting()
    with pytest.raises(APIError) as caught:
        found.send(last)
    assert caught.value is last
    assert left == []
    assert delays(starting(), max_retries=0, startup_left=lambda: 0.25) == [0.25]
    waits = delays(*[starting()] * 4, max_retries=0, startup_left=lambda: 100.0)
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_retries_are_counted_where_no_time_to_start_is_left() -> None:
    """Retries are limited by `max_retries` after `startup_timeout`."""
    assert delays(starting(), starting(), max_retries=2) == [0.5, 1.0]
    with pytest.raises(APIError):
        delays(starting(), starting(), max_retries=1)


def _not_found() -> ConnectError:
    error = ConnectError("")
    error.host_not_found = True
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectError(""), True),
        (ConnectTimeoutError(""), True),
        (DisconnectedError(""), True),
        (ServerError("", status=502), True),
        (ServerError("", status=504), True),
        (ServerError("", status=500), False),
        (OverloadedError("", status=429), False),
        (RequestTimeoutError(""), False),
        (TLSError(""), False),
        (_not_found(), False),
    ],
)
def test_what_a_starting_server_or_its_gateway_answers(
    *, error: DataCrunchError, expected: bool
) -> None:
    """A name that does not exist is misspelled."""
    assert is_starting(error) is expected
