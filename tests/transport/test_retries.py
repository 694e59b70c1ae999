"""What may be sent again is, in time; what may have been generated, or shown, is not. In simulated time."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacrunch_tgi import (
    APIError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    OverloadedError,
    RequestTimeoutError,
)
from datacrunch_tgi._protocol._call import Call
from datacrunch_tgi._protocol._responses import Head
from tests.simulated import (
    COMMENT,
    GOOD,
    LAST,
    OVERLOADED,
    STREAM,
    TOKEN,
    Came,
    World,
    limits,
    stream_call,
    whole_call,
)

SECONDS = st.floats(0, 400)
FAULTS = st.sampled_from(
    [ConnectError, ConnectTimeoutError, DisconnectedError, RequestTimeoutError]
)
HEADS = st.one_of(
    st.just(STREAM),
    st.builds(
        lambda status, seconds: Head(status, {"retry-after": str(seconds)} if seconds else {}),
        st.sampled_from([401, 408, 422, 424, 429, 500, 503]),
        st.integers(0, 500),
    ),
)
BYTES = st.sampled_from([TOKEN, LAST, COMMENT, OVERLOADED, b"", b"data:{}\n\n", TOKEN + OVERLOADED])
ATTEMPTS = st.lists(
    st.builds(
        lambda first, rest: [first, *rest],
        st.tuples(SECONDS, st.one_of(FAULTS, HEADS, HEADS)),
        st.lists(st.tuples(SECONDS, st.one_of(BYTES, BYTES, FAULTS)), max_size=6),
    ),
    max_size=6,
)
CHANGED = st.fixed_dictionaries(
    {
        "max_retries": st.integers(0, 5),
        "deadline": st.floats(0.1, 600),
        "first_token_timeout": st.floats(0.1, 600),
        "connect_timeout": st.floats(0.1, 600),
    }
)


@given(ATTEMPTS, CHANGED)
def test_whatever_comes_nothing_is_sent_after_a_token_and_all_is_in_time(
    attempts: list[list[Came]], changed: dict[str, Any]
) -> None:
    """The deadline holds for all attempts and waits before the first token; retries are counted."""
    world = World(attempts)
    call = stream_call(world, **changed)
    error = world.drive(call)
    assert not world.open
    assert 1 <= len(world.sent) <= 1 + changed["max_retries"]
    assert len(world.slept) == len(world.sent) - 1
    end = world.now if world.first_token is None else world.first_token
    assert end <= changed["deadline"] + 1e-6
    assert max(world.sent) <= end
    if error:
        assert error.requests == len(world.sent)
        assert error.text == call.text
        assert not (call.started and world.first_token is None)
    else:
        assert call.answer.generated_text == "x"


@given(ATTEMPTS, CHANGED)
def test_a_whole_answer_is_in_time_too(attempts: list[list[Came]], changed: dict[str, Any]) -> None:
    """Without streaming, `deadline` limits the time until the answer is complete."""
    world = World(attempts)
    world.drive(whole_call(world, **changed))
    assert not world.open
    assert world.now <= changed["deadline"] + 1e-6
    assert 1 <= len(world.sent) <= 1 + changed["max_retries"]


@pytest.mark.parametrize(
    "failed",
    [
        [(0, ConnectError)],
        [(0, ConnectTimeoutError)],
        [(1, DisconnectedError)],
        [(0, STREAM), (0, DisconnectedError)],
        [(0, STREAM), (15, COMMENT), (15, COMMENT), (1, DisconnectedError)],
        [(0, STREAM), (0, OVERLOADED), (0, b"")],
        [(0, STREAM), (15, COMMENT), (0, OVERLOADED), (0, b"")],
        [(0, STREAM), (0, b"")],
        *(
            [(0, Head(status, {})), (0, b"")]
            for status in (408, 409, 424, 425, 429, 500, 502, 503, 504)
        ),
    ],
)
def test_what_may_succeed_is_tried_again(failed: list[Came]) -> None:
    """After half a second and one second, less up to a quarter; also an error in a 200 stream."""
    world = World([failed, failed, GOOD])
    assert world.drive(stream_call(world)) is None
    assert world.slept == [0.4375, 0.875]
    world = World([failed, failed, failed, GOOD])
    error = world.drive(stream_call(world))
    assert error is not None
    assert error.requests == 3


@pytest.mark.parametrize(
    "failed",
    [
        [(200, STREAM)],
        [(0, STREAM), *[(15.0, COMMENT)] * 20],
        [(0, STREAM), (0, TOKEN), (1, DisconnectedError)],
        [(0, STREAM), (0, TOKEN), (100, TOKEN)],
        [(0, STREAM), (0, TOKEN + OVERLOADED)],
        [(0, STREAM), (0, TOKEN), (0, b"")],
        [(0, STREAM), (0, b"data:{}\n\n")],
        *([(0, Head(status, {})), (0, b"")] for status in (302, 400, 401, 403, 404, 413, 415, 422)),
    ],
)
def test_what_may_be_generating_or_cannot_succeed_is_not(failed: list[Came]) -> None:
    """Requests that may be running or cannot succeed are not retried."""
    world = World([failed, GOOD])
    error = world.drive(stream_call(world, max_retries=9))
    assert error is not None
    assert (error.requests, world.slept) == (1, [])


def test_comments_are_life_only_after_the_first_token() -> None:
    """Between tokens there is no other limit; before the first token comments count as waiting."""
    comments: list[Came] = [(15.0, COMMENT)] * 30
    world = World([[(0, STREAM), (0, TOKEN), *comments, (10, LAST), (0, b"")]])
    assert world.drive(stream_call(world, idle_timeout=20)) is None
    world = World([[(0, STREAM), *comments, (10, LAST), (0, b"")]])
    error = world.drive(stream_call(world, first_token_timeout=40))
    assert isinstance(error, RequestTimeoutError)
    assert (error.setting, world.now) == ("first_token_timeout", 40)


@pytest.mark.parametrize(
    ("asked", "least", "most"), [("7", 7, 9), ("1.5", 1.5, 2), ("0", 0.1, 0.5), ("later", 0.3, 0.5)]
)
def test_a_servers_wish_is_honoured_and_callers_spread(
    asked: str, least: float, most: float
) -> None:
    """Never earlier than the server asks, never at once, and not all at the same moment."""
    waits = []
    for jitter in range(64):
        world = World([[(0, Head(429, {"retry-after": asked})), (0, b"")], GOOD])
        assert world.drive(stream_call(world, jitter=lambda jitter=jitter: jitter / 64)) is None
        waits += world.slept
    assert all(least <= wait <= most for wait in waits)
    assert len(set(waits)) == 64
    assert max(waits) - min(waits) > (most - least) / 2


def test_a_wish_above_the_cap_ends_the_call_at_once() -> None:
    """To ask earlier would be against the server's wish; the error has it."""
    world = World([[(0, Head(429, {"retry-after": "3600"})), (0, b"")], GOOD])
    error = world.drive(stream_call(world))
    assert isinstance(error, OverloadedError)
    assert (error.retry_after, error.requests, world.slept) == (3600, 1, [])
    assert "asks to wait 3600 seconds" in str(error)


def test_a_date_is_taken_by_the_servers_own_clock() -> None:
    """Retry-After as a date, relative to the response's own."""
    headers = {
        "date": "Wed, 21 Oct 2015 07:28:00 GMT",
        "retry-after": "Wed, 21 Oct 2015 07:28:12 GMT",
    }
    world = World([[(0, Head(503, headers)), (0, b"")], GOOD])
    assert world.drive(whole_call(world, max_retries=0)) is not None
    world = World([[(0, Head(503, headers)), (0, b"")], GOOD])
    assert world.drive(stream_call(world)) is None
    assert 12 < world.slept[0] < 15


@pytest.mark.parametrize("make", [stream_call, whole_call])
def test_no_wait_goes_beyond_the_deadline(make: Callable[..., Call[Any]]) -> None:
    """If waiting for a retry would exceed `deadline`, the error is raised at once."""
    world = World([[(1, Head(429, {"retry-after": "30"})), (0, b"")]] * 3)
    error = world.drive(make(world, deadline=20))
    assert isinstance(error, OverloadedError)
    assert (error.retry_after, error.requests, world.now) == (30, 1, 1)
    world = World([[(1, ConnectError)]] * 2)
    assert isinstance(world.drive(make(world, deadline=1.4375)), ConnectError)
    assert (world.slept, world.now) == ([], 1)


@pytest.mark.parametrize(
    ("failed", "changed", "name"),
    [
        ([(0.0, ConnectTimeoutError)], {"max_retries": 0}, "connect_timeout"),
        (
            [(0.0, ConnectTimeoutError)],
            {"first_token_timeout": 10, "max_retries": 0},
            "connect_timeout",
        ),
        ([(0.0, ConnectTimeoutError)], {"first_token_timeout": 9}, "first_token_timeout"),
        ([(0.0, ConnectTimeoutError)], {"deadline": 9}, "deadline"),
        ([(0.0, STREAM)], {}, "first_token_timeout"),
        ([(0.0, STREAM)], {"deadline": 50}, "deadline"),
        ([(0.0, STREAM)], {"deadline": 50, "first_token_timeout": 50}, "first_token_timeout"),
        ([(0.0, STREAM), (0.0, TOKEN)], {}, "idle_timeout"),
    ],
)
def test_each_limit_is_named(failed: list[Came], changed: dict[str, Any], name: str) -> None:
    """An error of a time limit names the setting."""
    world = World([failed])
    error = world.drive(stream_call(world, **changed))
    assert isinstance(error, RequestTimeoutError)
    assert error.setting == name
    assert error.seconds == getattr(limits(**changed), name)
    assert name in str(error)


def loading(status: int = 503, estimated_time: float | None = None) -> list[Came]:
    body = {"error": "Model m is currently loading", "estimated_time": estimated_time}
    return [
        (0.1, Head(status, {"content-type": "application/json"})),
        (0, json.dumps(body).encode()),
        (0, b""),
    ]


STARTING: dict[str, list[Came]] = {
    "502": loading(502),
    "503": loading(),
    "504": loading(504),
    "estimate": loading(estimated_time=20.0),
    "refused": [(0.1, ConnectError)],
    "no route yet": [(0, ConnectTimeoutError)],
    "closed": [(0.1, DisconnectedError)],
}


@pytest.mark.parametrize("make", [stream_call, whole_call])
@pytest.mark.parametrize("name", STARTING)
def test_a_starting_server_is_waited_for(name: str, make: Callable[..., Call[Any]]) -> None:
    """`startup_timeout` waits for a starting server without counting retries."""
    good: list[Came] = (
        GOOD if make is stream_call else [(0, STREAM), (0, b'{"generated_text":"x"}'), (0, b"")]
    )
    world = World([*[STARTING[name]] * 7, good])
    assert world.drive(make(world, startup_timeout=600, max_retries=0)) is None
    assert len(world.sent) == 8
    asked = 20 if name == "estimate" else 0
    assert all(asked < wait <= asked * 1.25 + 8 for wait in world.slept)
    assert world.slept[0] <= 0.5 + asked * 1.25


@pytest.mark.parametrize("name", STARTING)
def test_a_server_that_does_not_start_is_given_up_in_time(name: str) -> None:
    """After `startup_timeout` the error says how long it waited, and names the setting."""
    world = World([STARTING[name]] * 1000)
    error = world.drive(stream_call(world, startup_timeout=90, deadline=20))
    assert error is not None
    assert world.sent[-1] <= 90 <= world.now + 1
    assert world.now <= 101
    assert f"Waited {world.now:.0f} seconds for the server to start" in str(error)
    assert "startup_timeout (90 seconds)" in error.hint
    assert error.requests == len(world.sent)


def test_what_is_left_of_the_startup_time_is_waited_for() -> None:
    """A server that asks for more time than there is gets what there is, and is asked once more."""
    world = World([loading(estimated_time=3600.0)] * 2 + [GOOD])
    error = world.drive(stream_call(world, startup_timeout=90))
    assert isinstance(error, APIError)
    assert (error.requests, error.retry_after) == (2, 3600)
    assert world.sent[-1] == pytest.approx(90)


def test_a_request_that_is_held_while_the_server_starts_is_waited_for() -> None:
    """first_token_timeout counts from the end of startup_timeout, and so does deadline."""
    held: list[Came] = [(150.0, STREAM), (0, LAST), (0, b"")]
    world = World([held])
    assert world.drive(stream_call(world, first_token_timeout=30, deadline=40)) is not None
    world = World([held])
    limits: dict[str, Any] = {
        "first_token_timeout": 30,
        "deadline": 40,
        "startup_timeout": 140,
    }
    assert world.drive(stream_call(world, **limits)) is None
    world = World([[(1000.0, STREAM)]], now=5000)
    error = world.drive(stream_call(world, **limits))
    assert isinstance(error, RequestTimeoutError)
    assert (world.now, error.requests) == (5170, 1)
    assert "Waited 170 seconds for the server to start" in error.hint


@pytest.mark.parametrize("status", [401, 404, 422, 429, 500])
def test_another_error_is_no_starting_server(status: int) -> None:
    """A refusal comes at once, and what may be tried again is so `max_retries` times."""
    failed: list[Came] = [(0, Head(status, {})), (0, b"")]
    world = World([failed] * 9)
    error = world.drive(stream_call(world, startup_timeout=600, max_retries=1))
    assert error is not None
    assert error.requests == (2 if error.retryable else 1)
    assert "Waited" not in str(error)


def test_each_wait_for_a_starting_server_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """To `on_retry` and to the log, as every retry is."""
    caplog.set_level("INFO", "datacrunch_tgi")
    world = World([*[loading()] * 3, GOOD])
    errors: list[DataCrunchError] = []
    assert world.drive(stream_call(world, startup_timeout=60, on_retry=errors.append)) is None
    assert [error.requests for error in errors] == [1, 2, 3]
    assert caplog.messages == [
        f"ServerError: retrying in {seconds} s" for seconds in ("0.4", "0.9", "1.8")
    ]
    assert "currently loading" in str(errors[0])
