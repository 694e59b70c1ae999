"""What a response holds, the same for completions and chats, whole and streamed, sync and async."""

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from datacrunch_tgi import DisconnectedError, GenerationError, MalformedResponseError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]


async def test_the_last_response_is_the_complete_answer(model: DataCrunch, ask: Ask) -> None:
    """The last response of every method has the complete answer."""
    last = (await ask(model))[-1]
    assert last.text == "Hello there, my friend"
    assert last.raw["generated_text"] == "Hello there, my friend"
    assert last.raw["finish_reason"] == "stop"
    assert last.raw["details"]["generated_tokens"] == 6
    assert last.raw["usage"]["completion_tokens"] == 6


async def test_the_raw_response_is_plain_json(model: DataCrunch, ask: Ask) -> None:
    """`raw` has JSON types only."""
    for said in await ask(model, top_n_tokens=2):
        assert json.loads(json.dumps(said.raw)) == said.raw


async def test_nothing_is_said_where_the_next_prompt_would_show_it(
    model: DataCrunch, ask: Ask
) -> None:
    """`additional_kwargs` is empty, because LlamaIndex may send it back."""
    assert all(not said.additional_kwargs for said in await ask(model))


async def test_a_stream_adds_up_to_its_text(model: DataCrunch, ask_streamed: Ask) -> None:
    """The deltas of a stream add up to its text."""
    chunks = await ask_streamed(model)
    assert [chunk.delta for chunk in chunks] == ["Hello", " there", ",", " my", " friend", "", ""]
    text = ""
    for chunk in chunks:
        text += chunk.delta
        assert chunk.text == text


async def test_streamed_or_not_an_answer_is_the_same(
    model: DataCrunch, ask: Ask, ask_whole: Ask
) -> None:
    """An answer is the same whether it is streamed or not."""
    streamed, whole = (await ask(model))[-1], (await ask_whole(model))[-1]
    assert (streamed.text, streamed.logprobs) == (whole.text, whole.logprobs)
    for name in ("generated_text", "finish_reason"):
        assert streamed.raw[name] == whole.raw[name]


@pytest.mark.parametrize(
    "name",
    [
        f"{server}/{stream}"
        for server in ("fork-1.1.1", "tgi-3.3.7")
        for stream in ("ask-stop-stream", "top-n-tokens-stream")
    ],
)
async def test_a_chunk_holds_the_event_that_the_server_sent(
    model: DataCrunch,
    endpoint: EmulatedEndpoint,
    ask_streamed: Ask,
    recordings: dict[str, Any],
    name: str,
) -> None:
    """`raw` of a chunk is the event as the server sent it."""
    chunks = recordings[name]["response"]["chunks"]
    sent = [json.loads(chunk["text"].removeprefix("data:")) for chunk in chunks]
    assert await raws(model, endpoint, ask_streamed, sent) == sent


async def test_a_chunk_holds_fields_that_no_server_sends_yet(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask_streamed: Ask
) -> None:
    """`raw` of a chunk keeps unknown fields."""
    token = {"id": 5, "text": "Yes", "logprob": -0.5, "special": False}
    plain = {"index": 1, "token": token, "generated_text": None, "details": None}
    sent = [plain, {**plain, "took": 3}, {**plain, "token": {**token, "rank": 2}}]
    sent.append({**plain, "generated_text": "YesYesYesYes"})
    assert await raws(model, endpoint, ask_streamed, sent) == sent


async def raws(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask_streamed: Ask, sent: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Let the endpoint send these events, and see what the chunks hold."""
    body = "".join(f"data:{json.dumps(event)}\n\n" for event in sent)
    endpoint.fail_next(status=200, body=body, headers={"content-type": "text/event-stream"})
    return [chunk.raw for chunk in (await ask_streamed(model))[:-1]]


async def test_what_is_done_to_a_chunk_does_not_change_the_answer(
    model: DataCrunch, stream: Callable[..., AsyncIterator[Any]]
) -> None:
    """Changing a chunk does not change the answer."""
    async for chunk in stream(model):
        if token := chunk.raw.get("token"):
            token["text"] = "mine"
    assert chunk.text == "Hello there, my friend"
    assert [one.token for (one,) in chunk.logprobs[:2]] == ["Hello", " there"]


async def test_each_generated_token_has_its_log_probability(model: DataCrunch, ask: Ask) -> None:
    """`logprobs` has each generated token."""
    logprobs = (await ask(model))[-1].logprobs
    assert [one.token for (one,) in logprobs] == ["Hello", " there", ",", " my", " friend", "</s>"]
    assert {one.logprob for (one,) in logprobs} == {-0.25}
    assert bytes(logprobs[1][0].bytes) == b" there"


async def test_alternatives_follow_the_token_that_was_chosen(model: DataCrunch, ask: Ask) -> None:
    """With `top_n_tokens`, alternatives follow the chosen token."""
    logprobs = (await ask(model, top_n_tokens=3))[-1].logprobs
    assert [one.token for one in logprobs[1]] == [" there", " the", ","]


async def test_without_details_the_text_is_there_and_nothing_is_made_up(
    model: DataCrunch, ask: Ask
) -> None:
    """With `details=False`, only the text is reported."""
    last = (await ask(model, details=False))[-1]
    assert (last.text, last.raw["finish_reason"]) == ("Hello there, my friend", None)
    assert last.logprobs is None


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [("3.3.7", "completion_tokens prompt_tokens total_tokens"), ("1.1.1", "completion_tokens")],
)
async def test_what_the_server_does_not_report_is_left_out_of_usage(
    serve: Callable[..., EmulatedEndpoint], ask: Ask, dialect: str, expected: str
) -> None:
    """Usage has only what the server reports."""
    model = DataCrunch(base_url=serve(answers="Hello", dialect=dialect).url)
    usage = (await ask(model))[-1].raw["usage"]
    assert usage["completion_tokens"] == 2
    assert " ".join(sorted(usage)) == expected


async def test_a_tokenizer_counts_the_prompt_where_the_server_does_not(
    serve: Callable[..., EmulatedEndpoint], ask: Ask
) -> None:
    """`tokenizer` counts the prompt if the server does not."""
    url = serve(answers="Hello", dialect="1.1.1").url
    model = DataCrunch(
        base_url=url,
        tokenizer=str.split,
        messages_to_prompt=lambda messages: str(messages[0].content),
    )
    usage = (await ask(model, "one two three"))[-1].raw["usage"]
    assert usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


async def test_an_answer_without_a_word_is_an_answer(
    serve: Callable[..., EmulatedEndpoint], ask: Ask
) -> None:
    """An empty answer is a response with a finish reason."""
    responses = await ask(DataCrunch(base_url=serve(answers="").url))
    assert responses
    assert {said.text for said in responses} == {""}
    assert responses[-1].raw["finish_reason"] == "stop"


async def test_the_stop_text_ends_an_answer_and_is_no_part_of_it(
    model: DataCrunch, ask: Ask
) -> None:
    """An answer ends before a stop string, also inside a token."""
    for stop in ([", my"], "ere"):  # between tokens, and within one
        last = (await ask(model, stop=stop))[-1]
        assert (
            last.text
            == "Hello there, my friend".partition(stop if isinstance(stop, str) else stop[0])[0]
        )
        assert (last.raw["finish_reason"], last.raw["tgi_finish_reason"]) == (
            "stop",
            "stop_sequence",
        )


async def test_a_body_in_a_list_is_read_like_any_other(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask_whole: Ask
) -> None:
    """A response inside a list is accepted."""
    token = {"id": 5, "text": "Yes", "logprob": None, "special": False}
    details = {"finish_reason": "length", "generated_tokens": 1, "seed": None, "tokens": [token]}
    endpoint.fail_next(status=200, body=[{"generated_text": "Yes", "details": details}])
    (said,) = await ask_whole(model)
    assert (said.text, said.raw["usage"]) == ("Yes", {"completion_tokens": 1})
    assert math.isnan(said.logprobs[0][0].logprob)


async def test_an_error_in_a_stream_comes_after_what_was_said_before_it(
    model: DataCrunch, endpoint: EmulatedEndpoint, stream: Callable[..., AsyncIterator[Any]]
) -> None:
    """An error in a stream is raised after its tokens and has their text."""
    endpoint.fail_next(error_after=3)
    said = stream(model)
    assert [(await anext(said)).delta for _ in range(3)] == ["Hello", " there", ","]
    with pytest.raises(GenerationError, match="out of memory") as caught:
        await anext(said)
    assert caught.value.text == "Hello there,"
    assert len(endpoint.requests) == 1


async def test_a_stream_that_breaks_off_is_no_answer(
    model: DataCrunch, endpoint: EmulatedEndpoint, stream: Callable[..., AsyncIterator[Any]]
) -> None:
    """A stream without an end raises `DisconnectedError`."""
    endpoint.fail_next(cut_after=2)
    said = stream(model)
    assert [(await anext(said)).delta for _ in range(2)] == ["Hello", " there"]
    with pytest.raises(DisconnectedError):
        await anext(said)


async def test_something_else_than_an_answer_is_an_error(
    model: DataCrunch, endpoint: EmulatedEndpoint, ask: Ask
) -> None:
    """A body of another API raises `MalformedResponseError`."""
    endpoint.fail_next(status=200, body={"choices": []})
    with pytest.raises(MalformedResponseError):
        await ask(model)
