"""Silence ends in time, at the limit that is named, whatever the server does meanwhile."""

import threading
import time
from typing import Any

import pytest

from datacrunch_tgi import Client, RequestTimeoutError
from tests.transport.conftest import PATIENCE

ROUTES = ("generate", "stream")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("silent_at", ["head", "body"])
def test_silence_ends_in_time_and_names_the_limit(
    route: str, silent_at: str, http: Any, serve: Any, caller: Any
) -> None:
    """The first token's limit holds for the head and the body; the connection is closed, nothing is sent again."""

    def silent(peer: Any) -> None:
        if silent_at == "body":
            peer.send(http.head() + http.chunk(b":\n\n"))
        assert peer.wait_until_left()

    server = serve(http.answer(), silent)
    asking = caller(server.url, first_token_timeout=0.2)
    while asking.ask("generate").error:  # it may take longer, on a busy machine
        server.requests.clear()
    begin = time.monotonic()
    error = asking.ask(route).error
    assert type(error) is RequestTimeoutError
    assert (error.setting, error.seconds, error.requests) == ("first_token_timeout", 0.2, 1)
    assert 0.2 <= time.monotonic() - begin < PATIENCE
    server.wait_until_ended()


def test_silence_after_a_token_is_another_limit(http: Any, serve: Any, caller: Any) -> None:
    """The idle limit holds between events; the text so far is there."""

    def stall(peer: Any) -> None:
        peer.send(http.head() + http.chunk(http.event("Hi")))
        assert peer.wait_until_left()

    taken = caller(serve(stall).url, idle_timeout=0.2).ask("stream")
    assert type(taken.error) is RequestTimeoutError
    assert (taken.error.setting, taken.error.text, taken.text) == ("idle_timeout", "Hi", "Hi")


@pytest.mark.parametrize("route", ROUTES)
def test_a_response_that_trickles_ends_in_time(
    route: str, http: Any, serve: Any, caller: Any
) -> None:
    """A byte now and then is no life: the limit until the first token counts from the sending."""

    def trickle(peer: Any) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"o" * 1000:
            peer.send(bytes([byte]))
            if peer.wait_until_left(0.02):
                return

    server = serve(
        http.answer() if route == "generate" else http.stream(http.events("Hi", " you")), trickle
    )
    used = caller(server.url)
    assert used.ask(route).text == "Hi you"
    used.client = used.client.with_settings(first_token_timeout=0.2)
    for client in (used, caller(server.url, first_token_timeout=0.2)):  # its connection, a new one
        begin = time.monotonic()
        assert type(client.ask(route).error) is RequestTimeoutError
        assert time.monotonic() - begin < PATIENCE


@pytest.mark.parametrize("route", ROUTES)
def test_the_shortest_limits_are_limits_too(route: str, serve: Any, caller: Any) -> None:
    """Even the shortest time limit raises `RequestTimeoutError`."""

    def silent(peer: Any) -> None:
        assert peer.wait_until_left()

    server = serve(silent)
    for limit in (1e-9, 1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 1e-3):
        error = caller(server.url, first_token_timeout=limit, max_retries=0).ask(route).error
        assert isinstance(error, RequestTimeoutError)


def test_a_last_event_is_an_end_though_the_server_goes_on(
    http: Any, serve: Any, caller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments without end after the last event hold nobody up; the connection is closed."""
    monkeypatch.setattr("datacrunch_tgi._protocol._call.END_OF_BODY_TIMEOUT", 0.1)

    def chatter(peer: Any) -> None:
        peer.send(http.head() + http.chunk(http.events("Hi", " you")))
        while not peer.wait_until_left(0.05):
            peer.send(http.chunk(b":\n\n"))

    server = serve(chatter)
    begin = time.monotonic()
    assert caller(server.url).ask("stream").text == "Hi you"
    assert time.monotonic() - begin < PATIENCE
    server.wait_until_ended()


def test_a_stop_string_stops_the_server_before_it_is_shown(http: Any, serve: Any) -> None:
    """The server does not look for it, here; its work ends while the user reads the last event."""
    left = threading.Event()

    def endless(peer: Any) -> None:
        peer.send(http.head() + http.chunk(http.event("Hi") + http.event(" you") + http.event("!")))
        assert peer.wait_until_left()
        left.set()

    with Client(base_url=serve(endless).url, max_stop_sequences=0) as client:
        events = client.stream("Hello", stop=["you"])
        assert [next(events).text for _ in range(2)] == ["Hi", " "]
        assert left.wait(PATIENCE)
        assert list(events) == []
        assert events.answer.text == "Hi "
