"""The text that a server sends is the text that a user gets, however it is cut into tokens and chunks."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from datacrunch_tgi import AsyncClient, Client, StreamEvent
from datacrunch_tgi._protocol._answer import RequestContext
from datacrunch_tgi._protocol._call import StreamCall
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import Head
from datacrunch_tgi._protocol._steps import CallLimits, Close, Open, Read

LIMITS = CallLimits()
HEAD = Head(200, {"content-type": "text/event-stream"})
TRICKY = '\u2028\u2029\x85\r\n\v\f\x00\ufeff\ufffd\u0301\U0001f468\u200d\U0001f469 "\\data:{}'
CHARACTERS = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(TRICKY))
MAX_BATCH = st.sampled_from("ab\u0301 ")
"""So few characters that stop strings occur, overlap and begin in vain."""


def body(
    tokens: list[str], line_end: bytes = b"\n", *, lines: bool = False, escaped: bool = False
) -> bytes:
    """The bytes of a stream; an event's data may stand on several lines."""
    events = []
    for place, token in enumerate(tokens, 1):
        last = place == len(tokens)
        event = {"token": {"id": 7, "text": token}, "generated_text": "" if last else None}
        data = json.dumps(event, ensure_ascii=escaped, indent=1 if lines else None)
        events += [*(b"data: " + line.encode() for line in data.split("\n")), b""]
    return b"".join(event + line_end for event in events)


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes anywhere."""
    places = sorted({place % (len(whole) + 1) for place in places} | {0, len(whole)})
    return [whole[begin:end] for begin, end in pairwise(places)]


def take(chunks: list[bytes], stop: list[str]) -> tuple[list[StreamEvent], StreamCall]:
    """Drive a call over the chunks of a body."""
    call = StreamCall(
        Request("POST", "/generate_stream"), LIMITS, RequestContext(inputs="x", stop=stop)
    )
    return [event for events in steps(call, chunks) for event in events], call


def steps(call: StreamCall, chunks: list[bytes]) -> Iterator[list[StreamEvent]]:
    rest = iter([chunk for chunk in chunks if chunk])
    doing = call.steps()
    step = next(doing, None)
    while step is not None:
        try:
            match step:
                case Open():
                    step = doing.send(HEAD)
                case Read():
                    step = doing.send(next(rest, b""))
                case list():
                    yield step
                    step = next(doing)
                case _:
                    assert isinstance(step, Close)
                    step = next(doing)
        except StopIteration:
            return


def before_first(text: str, stops: list[str]) -> str:
    """The text before the earliest stop string."""
    return text[
        : min([place for stop in stops if (place := text.find(stop)) >= 0], default=len(text))
    ]


TOKENS = st.lists(st.text(CHARACTERS, max_size=5), min_size=1, max_size=8)
FEW_TOKENS = st.lists(st.text(MAX_BATCH, max_size=3), min_size=1, max_size=8)
STOPS = st.lists(st.text(MAX_BATCH, min_size=1, max_size=5), max_size=4)
PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@given(
    TOKENS,
    PLACES,
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([{}, {"lines": True}, {"escaped": True}]),
)
@example(["a", "b"], list(range(1000)), b"\r\n", {"lines": True})
def test_text_in_is_text_out(
    tokens: list[str], places: list[int], line_end: bytes, written: dict[str, bool]
) -> None:
    """Every character of Unicode, cut into any tokens, framed in any chunks."""
    events, call = take(cut(body(tokens, line_end, **written), places), [])
    assert [event.text for event in events] == tokens
    assert call.text == call.answer.text == "".join(tokens)


@given(FEW_TOKENS, STOPS, PLACES)
@example(["a", "b", "c", "d"], ["abcd", "bc"], [])
@example(["abc", "d"], ["abcd", "bc"], [])
@example(["ab", "ce"], ["abcd", "bc"], [])
def test_an_answer_ends_before_the_earliest_stop_string(
    tokens: list[str], stop: list[str], places: list[int]
) -> None:
    """Nothing shown is taken back, and no more is held back than the longest stop string."""
    text = "".join(tokens)
    expected = before_first(text, stop)
    events, call = take(cut(body(tokens), places), stop)
    longest = max(map(len, stop), default=1)
    shown = sent = ""
    for event in events:
        shown += event.text
        sent += event.token.text
        assert expected.startswith(shown)
        if event.generated_text is None and expected != shown:
            assert len(before_first(sent, stop)) - len(shown) < longest
    assert shown == call.text == call.answer.text == expected
    assert (call.answer.finish_reason == "stop_sequence") == (expected != text)


@given(TOKENS, st.lists(st.text(CHARACTERS, min_size=1, max_size=3), max_size=3))
def test_stop_strings_of_any_characters(tokens: list[str], stop: list[str]) -> None:
    """Stop strings of any Unicode characters end an answer."""
    events, call = take([body(tokens)], stop)
    expected = before_first("".join(tokens), stop)
    assert "".join(event.text for event in events) == call.text == expected


async def test_the_text_of_a_stream_is_that_of_the_events_taken(http: Any, serve: Any) -> None:
    """`text` of a stream has only the events that were read."""
    words = ["one ", "two ", "three "]
    server = serve(*[http.stream(http.events(*words))] * 2)
    with Client(base_url=server.url) as client, client.stream("Hello") as events:
        shown = [events.text for _ in events]
    async with AsyncClient(base_url=server.url) as aclient, aclient.stream("Hello") as aevents:
        ashown = [aevents.text async for _ in aevents]
    assert shown == ashown == ["one ", "one two ", "one two three "]
