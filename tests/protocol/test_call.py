"""What one call asks of its driver, and what its errors say. In simulated time."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from datacrunch_tgi import (
    APIError,
    ConnectError,
    DataCrunchError,
    DisconnectedError,
    GenerationError,
    MalformedResponseError,
    OverloadedError,
    RequestTimeoutError,
    StreamNotEndedError,
)
from datacrunch_tgi._protocol._call import UnaryCall
from datacrunch_tgi._protocol._redact import Redactor
from datacrunch_tgi._protocol._responses import Head
from tests.simulated import (
    COMMENT,
    GOOD,
    LAST,
    OVERLOADED,
    REQUEST,
    STREAM,
    TOKEN,
    Came,
    World,
    limits,
    stream_call,
    whole_call,
)


def test_the_prompt_is_prepared_once_before_the_first_request() -> None:
    """So that no answer is lost if that fails; a retry has it already."""
    world = World([[(0, ConnectError)], GOOD])
    prepared: list[int] = []
    call = stream_call(world, prepare=lambda: prepared.append(len(world.sent)))
    assert (dict(call.headers), call.text, call.started) == ({}, "", False)
    assert world.drive(call) is None
    assert (prepared, len(world.sent)) == ([0], 2)


def test_a_retry_that_comes_too_late_is_not_sent() -> None:
    """If what `on_retry` calls takes until the deadline, the call ends there and says so."""
    for late in (298.5625, 1000):
        world = World([[(1, ConnectError)], GOOD])

        def wait(_: DataCrunchError, world: World = world, late: float = late) -> None:
            world.now += late

        error = world.drive(stream_call(world, on_retry=wait))
        assert isinstance(error, RequestTimeoutError)
        assert str(error).startswith("timed out waiting for the first token (1 request sent).")
        assert (error.setting, error.requests, world.sent) == ("deadline", 1, [0])
    world = World([[(1, ConnectError)], GOOD])
    assert world.drive(stream_call(world, deadline=1.9)) is None  # half a second is time


def unary(world: World, **injected: Any) -> UnaryCall[bytes]:
    return UnaryCall(REQUEST, limits(), lambda _, body: body, clock=lambda: world.now, **injected)


def test_the_largest_body_is_read_and_one_byte_more_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the pieces, and without reading the rest."""
    monkeypatch.setattr("datacrunch_tgi._protocol._call.LARGEST_BODY", 8)
    world = World([[(0, STREAM), (0, b"12345"), (0, b"678"), (0, b"")]])
    call = unary(world)
    assert world.drive(call) is None
    assert call.result == b"12345678"
    world = World([[(0, STREAM), (0, b"12345"), (0, b"6789"), (100, b"")]])
    error = world.drive(unary(world))
    assert isinstance(error, MalformedResponseError)
    assert error.message == "the body has more than 8 bytes"
    assert (world.now, world.open) == (0, False)


@pytest.mark.parametrize("make", [stream_call, whole_call])
@pytest.mark.parametrize("status", [299, 300, 422])
def test_an_error_whose_body_breaks_is_known_by_its_status(make: Any, status: int) -> None:
    """What has arrived of its message is shown; a success whose body breaks is no answer."""
    head = Head(status, {"content-type": "text/plain"})
    world = World([[(0, head), (0, b"half a"), (0, DisconnectedError)]])
    error = world.drive(make(world, max_retries=0))
    if status == 299:
        assert type(error) is DisconnectedError
    else:
        assert isinstance(error, APIError)
        assert (error.status, error.server_message) == (status, "half a")


@pytest.mark.parametrize("make", [stream_call, whole_call])
def test_an_error_has_the_url_and_nothing_of_the_request(make: Any) -> None:
    """URL and text are shown; the key that a server repeats is hidden, and no traceback has the body."""
    redactor = Redactor([("authorization", SecretStr("Bearer sk-0123456789"))])
    body = b'{"error":"no sk-0123456789","error_type":"validation"}'
    world = World([[(0, Head(422, {"x-echo": "sk-0123456789"})), (0, body), (0, b"")]])
    error = world.drive(make(world, base_url="http://h.invalid/p", redactor=redactor))
    assert error is not None
    assert error.url == "http://h.invalid/p/x"
    assert "no ********** (http://h.invalid/p/x; 1 request sent)" in str(error)
    assert error.headers["x-echo"] == "**********"
    assert error.__context__ is None


def test_headers_are_of_the_last_attempt() -> None:
    """An answer's headers are of the response that it came with, without secrets."""
    redactor = Redactor([("authorization", SecretStr("Bearer sk-0123456789"))])
    head = Head(200, {**STREAM.headers, "x-request-id": "id-1", "x-echo": "sk-0123456789"})
    world = World([[(0, Head(503, {"x-node": "1"})), (0, b"")], [(0, head), (0, LAST), (0, b"")]])
    call = stream_call(world, redactor=redactor)
    assert world.drive(call) is None
    assert call.answer.headers is call.headers
    assert (call.answer.request_id, call.headers["x-echo"]) == ("id-1", "**********")
    assert "x-node" not in call.headers


def test_events_are_passed_as_they_arrive_and_at_most_16_at_once() -> None:
    """All of a read, in order; the last one when the answer is complete."""
    world = World([[(0, STREAM), (1, TOKEN * 40), (1, TOKEN + LAST), (0, b"")]])
    assert world.drive(stream_call(world)) is None
    assert [len(texts) for texts, _ in world.shown] == [16, 16, 8, 1, 1]
    assert world.first_token == 1
    world = World([[(0, STREAM), (1, TOKEN * 2 + LAST + TOKEN), (0, b"")]])
    call = stream_call(world)
    assert world.drive(call) is None
    assert (call.text, [len(texts) for texts, _ in world.shown]) == ("xxx", [2, 1])


def test_the_answer_is_there_with_the_last_event() -> None:
    """Until then reading it is an error that has the text so far."""
    call = stream_call(World([]))
    with pytest.raises(
        StreamNotEndedError, match="only after the stream has been fully read"
    ) as caught:
        _ = call.answer
    assert (caught.value.text, call.finished) == ("", False)
    steps: Any = call.steps()
    next(steps)
    steps.send(STREAM)
    first = steps.send(TOKEN + LAST)
    assert (len(first), call.finished) == (1, False)
    last = next(steps)
    assert (len(last), call.finished) == (1, True)
    assert call.answer.text == "xx"


def test_a_stop_string_closes_the_connection_before_the_last_events_are_passed() -> None:
    """So the server stops while they are read; a stream that ended itself is read to its end instead."""
    world = World([[(0, STREAM), (0, TOKEN * 3)]])
    call = stream_call(world, stop=["xxx"])
    assert world.drive(call) is None
    assert world.shown == [(["", ""], False), ([""], False)]
    assert (call.answer.finish_reason, call.answer.generated_text) == ("stop_sequence", None)
    world = World([[(0, STREAM), (0, TOKEN + LAST), (0.5, COMMENT), (0.25, b""), (0, b"x")]])
    assert world.drive(stream_call(world)) is None
    assert world.shown == [(["x"], True), (["x"], True)]
    assert world.now == 0.75


@pytest.mark.parametrize(
    ("rest", "now"),
    [
        ([(0.4, COMMENT), (0.4, COMMENT), (0.4, COMMENT)], 1),
        ([(0.5, COMMENT), (0.5, COMMENT)], 1),
        ([(5, b"")], 1),
        ([(0.25, DisconnectedError)], 0.25),
    ],
)
def test_the_end_of_the_body_is_waited_for_a_second(rest: list[Came], now: float) -> None:
    """Then the call ends; the answer is complete in any case."""
    world = World([[(0, STREAM), (0, LAST), *rest]])
    call = stream_call(world)
    assert world.drive(call) is None
    assert (call.answer.text, world.now) == ("x", now)


@pytest.mark.parametrize(
    ("rest", "kind", "words", "text"),
    [
        ([TOKEN, b""], DisconnectedError, "the stream ended without its last event", "x"),
        ([TOKEN * 2 + OVERLOADED], OverloadedError, "Model is overloaded", "xx"),
        (
            [TOKEN, b"data:?\n\n"],
            MalformedResponseError,
            "the event of the stream is not TGI's",
            "x",
        ),
        (
            [TOKEN * 20 + b'data:{"error":"Oops","error_type":"generation"}\n\n' + TOKEN],
            GenerationError,
            "Oops",
            "x" * 20,
        ),
    ],
)
def test_what_came_before_an_error_is_passed_and_kept(
    *, rest: list[bytes], kind: type[DataCrunchError], words: str, text: str
) -> None:
    """Each event first, then the error, which has the text."""
    world = World([[(0, STREAM), *[(0.0, each) for each in rest]]])
    call = stream_call(world)
    error = world.drive(call)
    assert type(error) is kind
    assert error.message.startswith(words)
    assert "".join(shown for texts, _ in world.shown for shown in texts) == text
    assert (error.text, call.text, call.text_of(1), world.open) == (text, text, "x", False)


def test_an_answer_has_the_tokens_of_its_events() -> None:
    """As the server sent them, if it reports details."""
    last = {"finish_reason": "length", "generated_tokens": 2, "seed": None}
    event = {"token": {"id": 2, "text": "y"}, "generated_text": "xy", "details": last}
    sent = TOKEN + b"data:%s\n\n" % json.dumps(event).encode()
    world = World([[(0, STREAM), (0, sent), (0, b"")]])
    call = stream_call(world)
    assert world.drive(call) is None
    assert call.answer.details is not None
    assert [(token.id, token.text) for token in call.answer.details.tokens] == [(1, "x"), (2, "y")]


def test_what_carries_no_token_is_skipped() -> None:
    """OpenAI's end of a stream, which some gateways add, is no event."""
    world = World([[(0, STREAM), (0, TOKEN + b"data:[DONE]\n\n" + LAST), (0, b"")]])
    call = stream_call(world)
    assert world.drive(call) is None
    assert (call.text, [texts for texts, _ in world.shown]) == ("xx", [["x"], ["x"]])
