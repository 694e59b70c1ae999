"""What an answer says of itself: its text, finish reason, usage and details, streamed or not."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from datacrunch_tgi import Answer, Usage
from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext, build_answer
from datacrunch_tgi._protocol._schema import GenerateResponse, StreamEvent

END = "<|im_end|>"
HEADERS = {"x-request-id": "id-1"}


def tokens_of(*texts: str) -> list[dict[str, Any]]:
    return [
        {"id": place, "text": text, "logprob": -0.5, "special": text.startswith(("<|", "["))}
        for place, text in enumerate(texts)
    ]


def context_of(**changed: Any) -> RequestContext:
    return RequestContext(inputs="p ", **changed)


def whole(
    texts: list[str],
    context: RequestContext,
    details: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] = HEADERS,
) -> Answer:
    """The answer of `/generate`; `details` are what the server reports."""
    tokens = tokens_of(*texts)
    body: dict[str, Any] = {
        "generated_text": context.prefix + "".join(t["text"] for t in tokens if not t["special"])
    }
    if details is not None:
        body["details"] = {**details, "tokens": tokens}
    return build_answer(GenerateResponse.model_validate(body), context, headers)


def accumulate(
    texts: list[str],
    context: RequestContext,
    details: Mapping[str, Any] | None = None,
    top_tokens: list[dict[str, Any]] | None = None,
) -> tuple[AnswerAccumulator, list[str]]:
    """Push the events of a stream up to the end of the answer; return their texts too."""
    accumulator, shown = AnswerAccumulator(context), []
    for left, token in zip(range(len(texts))[::-1], tokens_of(*texts), strict=True):
        content: dict[str, Any] = {"token": token, "top_tokens": top_tokens or []}
        if not left:
            content |= {"generated_text": "as sent", "details": details}
        data = json.dumps(content).encode()
        event = StreamEvent.model_validate_json(data)
        accumulator.push(event, data)
        shown.append(event.text)
        if accumulator.finished:
            break
    return accumulator, shown


def streamed(
    texts: list[str], context: RequestContext, details: Mapping[str, Any] | None = None
) -> Answer:
    return accumulate(texts, context, details)[0].finish(HEADERS)


Read = Callable[..., Answer]
DETAILS = {"finish_reason": "length", "generated_tokens": 3, "seed": 7}


@pytest.mark.parametrize("read", [whole, streamed])
@pytest.mark.parametrize(
    ("texts", "stop", "text", "reason"),
    [
        (["Hi", " you", "!"], [], "Hi you!", "length"),
        (["Hi", END, "!"], [], "Hi!", "length"),
        (["Hi", END, "!"], ["x"], "Hi!", "length"),
        (["Hi", " you", END, "!"], [END], "Hi you", "stop_sequence"),
        (["Hi", "!", END], [END], "Hi!", "length"),
        (["Hi", " you", "!"], ["you"], "Hi ", "stop_sequence"),
        (["Hi", " yo", "!"], ["you"], "Hi yo!", "length"),
        (["[THINK]", "Hm", "[/THINK]", "!"], [END], "[THINK]Hm[/THINK]!", "length"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_an_answer_has_its_text_and_why_it_ended(
    *, read: Read, texts: list[str], stop: list[str], text: str, reason: str, full: bool
) -> None:
    """A stop string ends it, also as a special token that is not the last; marks of reasoning are text."""
    context = context_of(stop=stop, return_full_text=full, details=True)
    answer = read(texts, context, DETAILS)
    assert answer.text == ("p " if full else "") + text
    assert answer.finish_reason == reason
    assert answer.request_id == "id-1"
    details = answer.details
    assert details is not None
    assert details.finish_reason == reason
    assert [token.text for token in details.tokens] == texts[: len(details.tokens)]


@pytest.mark.parametrize("read", [whole, streamed])
def test_details_are_as_reported(read: Read) -> None:
    """Counts, seed and tokens; the end token counts but is not shown."""
    answer = read(["Hi", "!", END], context_of(), {**DETAILS, "input_length": 5})
    details = answer.details
    assert details is not None
    assert (details.generated_tokens, details.seed, details.input_length) == (3, 7, 5)
    assert [token.id for token in details.tokens] == [0, 1, 2]
    assert [list(each) for each in details.top_tokens] == []
    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=3, total_tokens=8)


def test_text_as_the_server_sent_it_is_kept() -> None:
    """With what the request's stop strings end; None if the client ended the stream."""
    context = context_of(stop=["!"], return_full_text=True)
    assert whole(["Hi", "!", "x"], context).generated_text == "p Hi!x"
    assert streamed(["Hi", "!"], context).generated_text == "as sent"
    assert streamed(["Hi", "!", "x"], context).generated_text is None


def test_an_answer_without_details_has_none() -> None:
    """No finish reason but a stop string, and no details unless they were requested of a stream."""
    for read in (whole, streamed):
        answer = read(["Hi", "!", "x"], context_of())
        assert (answer.text, answer.finish_reason, answer.details) == ("Hi!x", None, None)
        answer = read(["Hi", "!", "x"], context_of(stop=["!"]))
        assert (answer.text, answer.finish_reason, answer.details) == ("Hi", "stop_sequence", None)


def test_details_of_a_stream_that_the_client_ended_are_of_what_arrived() -> None:
    """The server's last event, which would have them, is not waited for."""
    answer = streamed(["Hi", "!", "x", "y"], context_of(stop=["!"], details=True))
    details = answer.details
    assert details is not None
    assert (details.finish_reason, details.generated_tokens) == ("stop_sequence", 2)
    assert (details.seed, details.input_length, details.top_tokens) == (None, None, [])
    assert [token.text for token in details.tokens] == ["Hi", "!"]


def test_a_stream_reports_the_likeliest_tokens_where_the_server_does() -> None:
    """As many lists as tokens."""
    top = tokens_of("Hi", "Ho")
    answer = accumulate(["Hi", "!"], context_of(), DETAILS, top)[0].finish()
    assert answer.details is not None
    assert [[token.text for token in each] for each in answer.details.top_tokens] == [
        ["Hi", "Ho"]
    ] * 2
    assert dict(answer.headers) == {}


PREFILL = [{"id": 1, "text": "p", "logprob": None}, {"id": 2, "text": " ", "logprob": -0.5}]


@pytest.mark.parametrize(
    ("details", "headers", "counted", "expected"),
    [
        (None, {}, None, (None, None, None)),
        (None, {}, 9, (9, None, None)),
        (None, {"x-prompt-tokens": "4", "x-generated-tokens": "2"}, 9, (4, 2, 6)),
        (None, {"x-prompt-tokens": "0", "x-generated-tokens": "0"}, 9, (0, 0, 0)),
        (None, {"x-generated-tokens": "2"}, None, (None, 2, None)),
        (None, {"x-prompt-tokens": "-4", "x-generated-tokens": "2.0"}, None, (None, None, None)),
        (None, {"x-prompt-tokens": "", "x-generated-tokens": "9" * 19}, None, (None, None, None)),
        (None, {"x-generated-tokens": "9" * 18}, None, (None, int("9" * 18), None)),
        (DETAILS, {}, None, (None, 3, None)),
        (DETAILS, {}, 9, (9, 3, 12)),
        (DETAILS, {"x-prompt-tokens": "4", "x-generated-tokens": "2"}, 9, (4, 3, 7)),
        ({**DETAILS, "input_length": 5}, {}, 9, (5, 3, 8)),
        ({**DETAILS, "prefill": PREFILL}, {}, 9, (2, 3, 5)),
        ({**DETAILS, "input_length": 5, "prefill": PREFILL}, {}, None, (5, 3, 8)),
        ({**DETAILS, "input_length": 5}, {"x-prompt-tokens": "4"}, None, (4, 3, 7)),
    ],
)
def test_usage_is_what_the_server_reports_or_the_tokenizer_counts(
    *,
    details: Mapping[str, Any] | None,
    headers: dict[str, str],
    counted: int | None,
    expected: tuple[int | None, ...],
) -> None:
    """From headers and details; the count of the user's tokenizer is used where the server has none."""
    usage = whole(["Hi"], context_of(prompt_tokens=counted), details, headers).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == expected


@pytest.mark.parametrize(
    ("details", "counted", "expected"),
    [
        (None, None, (None, 2, None)),
        (None, 9, (9, 2, 11)),
        (DETAILS, 9, (9, 3, 12)),
        ({**DETAILS, "input_length": 5}, 9, (5, 3, 8)),
    ],
)
def test_usage_of_a_stream_counts_its_events(
    *, details: Mapping[str, Any] | None, counted: int | None, expected: tuple[int | None, ...]
) -> None:
    """Unless the server reports the number of tokens."""
    usage = streamed(["Hi", "!"], context_of(prompt_tokens=counted), details).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == expected


def test_the_text_so_far_is_that_of_the_events_read() -> None:
    """Events that have arrived and were not read yet do not count; the prompt is in the first."""
    context = context_of(stop=["xyz"], return_full_text=True)
    accumulator, shown = accumulate(["Hi", "x", "y", "!"], context)
    assert shown == ["p Hi", "", "", "xy!"]
    assert [accumulator.text_of(number) for number in range(5)] == [
        "",
        "p Hi",
        "p Hi",
        "p Hi",
        "p Hixy!",
    ]
    assert accumulator.text == "p Hixy!"


def test_a_stop_token_shows_what_was_held_back() -> None:
    """Text that could have become a stop string is certain when the turn ends."""
    accumulator, shown = accumulate(["Hi", "x", END, "!"], context_of(stop=["xyz", END]))
    assert shown == ["Hi", "", "x"]
    assert (accumulator.finished, accumulator.received_last) == (True, False)


def test_one_space_is_dropped_once_from_the_first_text() -> None:
    """Where a chat template leads to one: not from tokens without text, and not again later."""
    _, shown = accumulate(["<|s|>", " Hi", " you"], context_of(strip_leading_space=True))
    assert shown == ["", "Hi", " you"]
