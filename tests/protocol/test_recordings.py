"""Every exchange recorded from a real server is read to a value or a typed error, however it is cut."""

import base64
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from datacrunch_tgi import (
    APIError,
    DataCrunchError,
    DisconnectedError,
    MalformedResponseError,
    NotFoundError,
)
from datacrunch_tgi._protocol._answer import RequestContext, build_answer
from datacrunch_tgi._protocol._call import StreamCall, UnaryCall
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import (
    Head,
    read_health,
    read_info,
    read_prompt_tokens,
    read_response,
)
from datacrunch_tgi._protocol._steps import CallLimits, Close, Compute, Open, Read, Sleep

FOLDER = Path(__file__).parents[1] / "recordings"
NAMES = [f"{path.parent.name}/{path.stem}" for path in sorted(FOLDER.glob("*/*.json"))]

LIMITS = CallLimits(
    connect_timeout=10, first_token_timeout=120, idle_timeout=60, deadline=300, max_retries=0
)
READERS: dict[str, Callable[[Head, bytes], Any]] = {
    "/info": read_info,
    "/health": read_health,
    "/tokenize": read_prompt_tokens,
}

Chunks = list[bytes]


class Recorded:
    """One recorded exchange, as a call sees it."""

    def __init__(self, exchange: dict[str, Any]) -> None:
        response = exchange["response"]
        self.sent = exchange["request"].get("json") or {}
        self.path: str = exchange["request"]["path"]
        self.complete: bool = response["complete"]
        self.head = Head(
            response["status"], {name.lower(): value for name, value in response["headers"]}
        )
        chunks = [
            base64.b64decode(chunk["base64"]) if "base64" in chunk else chunk["text"].encode()
            for chunk in response["chunks"]
        ]
        if self.head.headers.get("content-encoding") == "gzip":
            inflate = zlib.decompressobj(wbits=31)
            chunks = [piece for chunk in chunks if (piece := inflate.decompress(chunk))]
        self.chunks = chunks

    @property
    def asked(self) -> RequestContext:
        parameters = self.sent.get("parameters") or {}
        inputs = self.sent.get("inputs")
        return RequestContext(
            inputs=inputs if isinstance(inputs, str) else "",
            return_full_text=bool(parameters.get("return_full_text")),
            details=bool(parameters.get("details")),
        )

    @property
    def reader(self) -> Callable[[Head, bytes], Any]:
        """What reads the body: the routes beside /generate have their own."""
        route = READERS.get(self.path)
        return route or (
            lambda head, body: build_answer(read_response(head, body), self.asked, head.headers)
        )

    def play(self, chunks: Chunks) -> Any:
        """Drive a call over the recorded bytes; return the answer and the text of the events."""
        request = Request("POST", self.path)
        call: UnaryCall[Any] | StreamCall
        if "event-stream" in self.head.content_type:
            call = StreamCall(request, LIMITS, self.asked)
        else:
            call = UnaryCall(request, LIMITS, self.reader)
        texts: list[str] = []
        rest = iter(chunks)
        steps = call.steps()
        step = next(steps)
        try:
            while True:
                match step:
                    case Open():
                        step = steps.send(self.head)
                    case Read():
                        chunk = next(rest, None)
                        if chunk is None and not self.complete:
                            step = steps.throw(DisconnectedError("the body has no end"))
                        else:
                            step = steps.send(chunk or b"")
                    case Close():
                        step = next(steps)
                    case Sleep() | Compute():
                        raise AssertionError("nothing is to be tried again or counted")
                    case events:
                        texts += [event.text for event in events]
                        step = next(steps)
        except StopIteration:
            return call.result, texts
        except DataCrunchError as error:
            return error, texts


@pytest.fixture
def recorded(request: pytest.FixtureRequest, recordings: dict[str, dict[str, Any]]) -> Recorded:
    return Recorded(recordings[request.param])


def outcome(result: Any, texts: list[str]) -> Any:
    """What a user sees of a call, in a form that can be compared."""
    if isinstance(result, DataCrunchError):
        return type(result), str(result), result.text, texts
    return TypeAdapter(type(result)).dump_json(result), texts


@pytest.mark.parametrize("recorded", NAMES, indirect=True)
def test_an_exchange_is_read_the_same_however_its_bytes_arrive(recorded: Recorded) -> None:
    """Whole, as it came, byte by byte, and cut in two at a sample of places: one outcome."""
    body = b"".join(recorded.chunks)
    expected = outcome(*recorded.play([body] if body else []))
    assert outcome(*recorded.play(recorded.chunks)) == expected
    assert outcome(*recorded.play([body[i : i + 1] for i in range(len(body))])) == expected
    places = range(1, len(body))
    for place in random.Random(body).sample(places, k=min(len(places), 8)):
        assert outcome(*recorded.play([body[:place], body[place:]])) == expected


@pytest.mark.parametrize("recorded", NAMES, indirect=True)
def test_an_exchange_that_breaks_off_is_an_error_with_the_text_so_far(recorded: Recorded) -> None:
    """A body without its end is never taken for an answer."""
    body = b"".join(recorded.chunks)
    whole, texts = recorded.play([body] if body else [])
    streamed = "event-stream" in recorded.head.content_type
    recorded.complete = False
    places = range(1, len(body))
    for place in random.Random(body).sample(places, k=min(len(places), 8)):
        result, shown = recorded.play([body[:place]])
        if isinstance(result, DataCrunchError):
            assert result.text == "".join(shown)
            assert "".join(texts).startswith(result.text)
        else:  # the last event had arrived, or the status of the health check says everything
            assert streamed or recorded.head.status != 200
            assert outcome(result, shown) == outcome(whole, texts)


def test_every_file_of_the_recordings_is_read(recordings: dict[str, dict[str, Any]]) -> None:
    """These tests read every recording."""
    assert len(NAMES) == len(recordings) == 737


def assert_route_is_read(recorded: Recorded, result: Any) -> None:
    said = json.loads(b"".join(recorded.chunks) or "null")
    match recorded.path:
        case "/info":
            limits = (result.version, result.max_input_tokens, result.max_total_tokens)
            assert limits == (said["version"], 1024, 2048)
        case "/health":
            assert result is (recorded.head.status == 200)
        case _ if recorded.head.status == 404:
            assert isinstance(result, NotFoundError)
            assert "has no /tokenize" in str(result)
        case _:
            assert [token.model_dump() for token in result] == said


@pytest.mark.parametrize("recorded", NAMES, indirect=True)
def test_what_the_server_said_is_what_the_user_gets(recorded: Recorded) -> None:
    """Answers have the server's words, errors its status, type and message."""
    result, texts = recorded.play(recorded.chunks)
    said = b"".join(recorded.chunks).decode(errors="replace")
    if recorded.path in READERS:
        assert_route_is_read(recorded, result)
    elif not recorded.complete:
        assert isinstance(result, DisconnectedError)
        assert "".join(texts) == result.text
    elif recorded.head.status != 200:
        assert isinstance(result, APIError)
        assert result.status == recorded.head.status
        if recorded.head.content_type == "application/json":
            error = json.loads(said)
            assert (result.server_message, result.error_type) == (
                error["error"],
                error.get("error_type"),
            )
        else:
            # Text of unlimited length is cut at its end.
            shown = result.server_message.removesuffix("…")
            assert shown in " ".join(said.split()) or "<html>" in said
    elif recorded.path.startswith("/v1/chat"):
        assert isinstance(result, MalformedResponseError)
    elif '"error":' in said:
        error = json.loads(said.strip().splitlines()[-1].removeprefix("data:"))
        assert isinstance(result, APIError)
        assert (result.server_message, result.error_type) == (error["error"], error["error_type"])
        assert result.text == "".join(texts)
    else:
        assert not isinstance(result, DataCrunchError)
        assert json.dumps(result.generated_text, ensure_ascii=False) in said
        if "event-stream" in recorded.head.content_type:
            assert result.text == "".join(texts)


SAMPLED = (
    "do-sample",
    "temperature",
    "top-",
    "typical-p",
    "seed-",
    "all-parameters",
    "parameters-absent",
)
PAIRS = [
    name
    for name in NAMES
    if f"{name}-stream" in NAMES
    and not name.partition("/")[2].startswith((*SAMPLED, "error", "fault", "overloaded", "gateway"))
]


@pytest.mark.parametrize("name", PAIRS)
def test_an_answer_reads_the_same_streamed_or_not(
    name: str, recordings: dict[str, dict[str, Any]]
) -> None:
    """A recorded answer is the same whether it was streamed or not."""
    once, _ = Recorded(recordings[name]).play(Recorded(recordings[name]).chunks)
    streamed, _ = Recorded(recordings[f"{name}-stream"]).play(
        Recorded(recordings[f"{name}-stream"]).chunks
    )
    if isinstance(once, DataCrunchError):
        assert type(streamed) is type(once)
        return
    if once.details is None:
        assert once.text == streamed.generated_text
        return
    assert (once.text, once.finish_reason) == (streamed.text, streamed.finish_reason)
    assert once.usage.completion_tokens == streamed.usage.completion_tokens
    assert [token.id for token in once.details.tokens] == [
        token.id for token in streamed.details.tokens
    ]
