"""Faults are injected as requested, and into no other request."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

RECORDINGS = Path(__file__).parent.parent / "recordings"

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]


def recorded(name: str) -> Any:
    """The status and the JSON, or the last event's JSON, of a recorded fault."""
    response = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))["response"]
    return response["status"], json.loads(response["chunks"][-1]["text"].removeprefix("data:"))


def test_a_status_is_answered_once(emulated_endpoint: Start, ask: Ask) -> None:
    """One fault affects one request; the next is normal."""
    endpoint = emulated_endpoint(answers="Hello")

    endpoint.fail_next(status=503, body="<h1>Sorry</h1>", headers={"retry-after": "3"})

    spoilt, healthy = ask(endpoint), ask(endpoint)
    assert (spoilt.status_code, spoilt.text) == (503, "<h1>Sorry</h1>")
    assert spoilt.headers["retry-after"] == "3"
    assert healthy.json() == {"generated_text": "Hello"}
    assert [request.status for request in endpoint.requests] == [503, 200]


def test_faults_wait_in_line(emulated_endpoint: Start, ask: Ask) -> None:
    """Faults are used in order, each as often as requested."""
    endpoint = emulated_endpoint(answers="Hello")

    endpoint.fail_next(2, status=500)
    endpoint.fail_next(status=502)

    assert [ask(endpoint).status_code for _ in range(4)] == [500, 500, 502, 200]


def test_faults_leave_other_routes_alone(emulated_endpoint: Start, http: httpx.Client) -> None:
    """Only generating requests fail; a health check uses no fault."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(status=500)

    assert http.get(f"{endpoint.url}/health").status_code == 200
    assert http.get(f"{endpoint.url}/info").status_code == 200
    assert http.post(endpoint.url, json={"inputs": "Hi"}).status_code == 500


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
@pytest.mark.parametrize(
    ("status", "name"), [(424, "fault-generation-failed"), (429, "overloaded"), (503, "unhealthy")]
)
def test_a_status_says_what_the_server_says(
    emulated_endpoint: Start, ask: Ask, dialect: str, status: int, name: str
) -> None:
    """By default, the body of an error is that of a real server."""
    folder = {"1.1.1": "fork-1.1.1", "3.3.7": "tgi-3.3.7"}[dialect]
    endpoint = emulated_endpoint(answers="Hello", dialect=dialect)

    endpoint.fail_next(status=status)

    answer = ask(endpoint)
    assert (answer.status_code, answer.json()) == recorded(f"{folder}/{name}")
    assert answer.headers["content-type"] == "application/json"


def test_a_body_may_be_json_or_bytes(emulated_endpoint: Start, ask: Ask) -> None:
    """A gateway's error can be imitated, whatever it is made of."""
    endpoint = emulated_endpoint(answers="Hello")

    endpoint.fail_next(status=401, body={"message": "No"})
    endpoint.fail_next(status=400, body=b"\xff", headers={"content-type": "image/png"})
    endpoint.fail_next(status=418)

    json_body, bytes_body, no_body = ask(endpoint), ask(endpoint), ask(endpoint)
    assert json_body.json() == {"message": "No"}
    assert (bytes_body.content, bytes_body.headers["content-type"]) == (b"\xff", "image/png")
    assert (no_body.status_code, no_body.content) == (418, b"")


def test_a_delay_comes_first(emulated_endpoint: Start, ask: Ask) -> None:
    """Nothing is answered before the delay has passed."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(delay=0.1)

    start = time.perf_counter()

    assert ask(endpoint).json() == {"generated_text": "Hello"}
    assert time.perf_counter() - start >= 0.1


@pytest.mark.parametrize("route", ["/generate", "/generate_stream"])
def test_hanging_up_gives_no_byte(emulated_endpoint: Start, ask: Ask, route: str) -> None:
    """The connection is closed before an answer begins."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(hang_up=True)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(endpoint, route=route)

    assert endpoint.requests[0].status is None
    assert not endpoint.requests[0].left_early


@pytest.mark.parametrize(("cut_after", "expected"), [(0, 0), (2, 2), (99, 3)])
def test_a_cut_stream_ends_before_its_end(
    emulated_endpoint: Start, http: httpx.Client, cut_after: int, expected: int
) -> None:
    """`cut_after` closes a stream after that number of events, before its end."""
    endpoint = emulated_endpoint(answers="one two")
    endpoint.fail_next(cut_after=cut_after)
    received: list[bytes] = []

    with http.stream("POST", f"{endpoint.url}/generate_stream", json={"inputs": "Hi"}) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            received.extend(response.iter_raw())

    assert b"".join(received).count(b"data:") == expected
    endpoint.wait_until_idle()
    (request,) = endpoint.requests
    assert (request.events, request.finished, request.left_early) == (expected, False, False)


def test_an_answer_is_cut_in_its_middle(emulated_endpoint: Start, ask: Ask) -> None:
    """`cut_after` closes the connection before the promised end of the body."""
    endpoint = emulated_endpoint(answers="one two")
    endpoint.fail_next(cut_after=1)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(endpoint)


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
def test_an_error_event_ends_a_stream(
    emulated_endpoint: Start, ask: Ask, events: Events, dialect: str
) -> None:
    """After that number of events the model fails, with a real server's message, and the body is complete."""
    endpoint = emulated_endpoint(answers="one two three", dialect=dialect)
    endpoint.fail_next(error_after=2)

    stream = events(ask(endpoint, route="/generate_stream"))

    assert [event["token"]["text"] for event in stream[:-1]] == ["one", " two"]
    assert stream[-1] == recorded("fork-1.1.1/fault-generation-failed")[1]
    assert endpoint.requests[0].finished


def test_an_error_event_can_be_written(emulated_endpoint: Start, ask: Ask, events: Events) -> None:
    """The user's own error, at the latest in place of the end."""
    endpoint = emulated_endpoint(answers="one")
    error = {"error": "Incomplete generation stream", "error_type": "incomplete_generation_stream"}
    endpoint.fail_next(error_after=99, body=error)

    assert events(ask(endpoint, route="/generate_stream"))[-1] == error


def test_an_error_replaces_an_answer(emulated_endpoint: Start, ask: Ask) -> None:
    """What is an event in a stream is a status elsewhere."""
    endpoint = emulated_endpoint(answers="one")
    endpoint.fail_next(error_after=3)

    answer = ask(endpoint)

    assert (answer.status_code, answer.json()) == recorded("fork-1.1.1/fault-generation-failed")


@pytest.mark.parametrize("stall_after", [0, 2])
def test_a_silent_stream_sends_comments(
    emulated_endpoint: Start, ask: Ask, stall_after: int
) -> None:
    """Silence is filled with comments, between events, and everything comes in the end."""
    endpoint = emulated_endpoint(answers="one two", keep_alive_interval=0.02)
    endpoint.fail_next(stall=0.1, stall_after=stall_after)

    lines = ask(endpoint, route="/generate_stream").content.split(b"\n\n")

    kinds = "".join("e" if line.startswith(b"data:") else "c" for line in lines[:-1])
    comments_before = kinds.split("e")
    assert len(comments_before) == 3 + 1
    assert comments_before[stall_after]
    assert endpoint.requests[0].events == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": 500, "cut_after": 1},
        {"hang_up": True, "error_after": 1},
        {"body": "alone"},
        {"headers": {"retry-after": "1"}},
    ],
)
def test_contradictions_are_refused(emulated_endpoint: Start, arguments: dict[str, Any]) -> None:
    """Combinations that are impossible for one request are refused."""
    endpoint = emulated_endpoint(answers="Hello")

    with pytest.raises(ValueError, match=r"one way only|belongs? to"):
        endpoint.fail_next(**arguments)


def test_a_sick_server_says_so(emulated_endpoint: Start, http: httpx.Client) -> None:
    """`healthy = False` makes `/health` answer 503."""
    endpoint = emulated_endpoint(answers="Hello")

    endpoint.healthy = False

    answer = http.get(f"{endpoint.url}/health")
    assert (answer.status_code, answer.json()) == recorded("tgi-3.3.7/unhealthy")
