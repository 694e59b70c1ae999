"""Scripted answers: the user's text, split and counted as by a server."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint, ReceivedRequest

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]


def test_a_text_answers_every_prompt(emulated_endpoint: Start, ask: Ask) -> None:
    """A single text is the exact answer to every prompt."""
    text = "  Olá — 日本語です。\n\tIt's 3.5 °C  \U0001f30c\u200d\u2028!"
    endpoint = emulated_endpoint(answers=text)

    assert ask(endpoint).json() == {"generated_text": text}
    assert ask(endpoint, prompt="Something else").json() == {"generated_text": text}


def test_several_texts_answer_in_turn(emulated_endpoint: Start, ask: Ask) -> None:
    """Texts come in their order, and the last one again and again."""
    endpoint = emulated_endpoint(answers=["one", "two"])

    assert [ask(endpoint).json()["generated_text"] for _ in range(4)] == [
        "one",
        "two",
        "two",
        "two",
    ]


def test_texts_by_prompt(emulated_endpoint: Start, ask: Ask) -> None:
    """The prompt itself counts more than a pattern, and the first pattern more than the next."""
    endpoint = emulated_endpoint(
        answers={re.compile("joke"): "pattern", re.compile("."): "any", "a joke": "prompt"}
    )

    prompts = ("a joke", "another joke", "Hi")
    texts = [ask(endpoint, prompt=prompt).json()["generated_text"] for prompt in prompts]
    assert texts == ["prompt", "pattern", "any"]


def test_a_prompt_without_an_answer_is_refused(emulated_endpoint: Start, ask: Ask) -> None:
    """The error shows the prompt that the script forgot, and is none that is tried again."""
    endpoint = emulated_endpoint(answers={"a": "b"})

    refused = ask(endpoint, prompt="Who?")

    assert refused.status_code == 422
    assert refused.json()["error_type"] == "validation"
    assert "'Who?'" in refused.json()["error"]


def test_a_function_answers(emulated_endpoint: Start, ask: Ask) -> None:
    """A function gets the prompt and returns the text."""
    endpoint = emulated_endpoint(answers=str.upper)

    assert ask(endpoint, prompt="Hi there").json() == {"generated_text": "HI THERE"}


def test_a_function_that_takes_its_time_blocks_nobody(
    emulated_endpoint: Start, http: httpx.Client, ask: Ask
) -> None:
    """Other routes answer while a function computes its answer."""
    health: list[int] = []

    def answer(_: str) -> str:
        health.append(http.get(f"{endpoint.url}/health").status_code)
        return "done"

    endpoint = emulated_endpoint(answers=answer)

    assert ask(endpoint).json() == {"generated_text": "done"}
    assert health == [200]


def test_a_function_of_the_request_answers(emulated_endpoint: Start, ask: Ask) -> None:
    """`respond` gets what was received: route, headers and the whole body."""

    def respond(request: ReceivedRequest) -> str:
        return f"{request.path} {request.headers['x-who']} {request.json['parameters']['seed']}"

    endpoint = emulated_endpoint(respond=respond)

    answer = ask(endpoint, headers={"x-who": "Ada"}, seed=5)
    streamed = ask(endpoint, route="/generate_stream", headers={"x-who": "Ada"}, seed=6)

    assert answer.json() == {"generated_text": "/generate Ada 5"}
    assert '"generated_text":"/generate_stream Ada 6"' in streamed.text


def test_no_text_is_no_script() -> None:
    """A script without answers is refused by the constructor."""
    with pytest.raises(ValueError, match="at least one text"):
        EmulatedEndpoint(answers=[])


def test_details_agree_with_the_text(emulated_endpoint: Start, ask: Ask) -> None:
    """Words with the space before them are tokens, the end is one more, all are counted."""
    endpoint = emulated_endpoint(answers="Hello there, you")

    answer = ask(endpoint, details=True)

    details = answer.json()["details"]
    tokens = details["tokens"]
    assert [token["text"] for token in tokens] == ["Hello", " there", ",", " you", "</s>"]
    assert [token["special"] for token in tokens] == [False] * 4 + [True]
    assert all(token["logprob"] < 0 for token in tokens)
    assert (details["finish_reason"], details["generated_tokens"]) == ("eos_token", 5)
    assert (details["seed"], details["prefill"]) == (None, [])
    assert answer.headers["x-prompt-tokens"] == "2"
    assert answer.headers["x-generated-tokens"] == "5"


def test_the_same_script_gives_the_same_tokens(emulated_endpoint: Start, ask: Ask) -> None:
    """Ids do not depend on what was asked before, nor on the endpoint."""
    first, second = (emulated_endpoint(answers="All's well that ends well") for _ in range(2))
    ask(second, prompt="Words that come first here")

    assert ask(first, details=True).json() == ask(second, details=True).json()


@pytest.mark.parametrize(
    ("parameters", "text", "ending"),
    [
        ({"max_new_tokens": 2}, "one two", ("length", 2)),
        ({"max_new_tokens": 7}, "one two three. four", ("eos_token", 6)),
        ({"max_new_tokens": 6}, "one two three. four", ("length", 6)),
        ({"max_new_tokens": 5}, "one two three. four", ("length", 5)),
        ({"stop": ["two"]}, "one two", ("stop_sequence", 2)),
        ({"stop": ["never", "e."]}, "one two three.", ("stop_sequence", 4)),
        ({"stop": ["thr"]}, "one two three. four", ("eos_token", 6)),
        ({"stop": ["one"], "max_new_tokens": 1}, "one", ("length", 1)),
        ({"return_full_text": True, "max_new_tokens": 1}, "Hione", ("length", 1)),
    ],
)
def test_parameters_end_the_answer(
    emulated_endpoint: Start,
    ask: Ask,
    parameters: dict[str, Any],
    text: str,
    ending: tuple[str, int],
) -> None:
    """Length comes before the end and that before stop texts, which count where a token ends."""
    endpoint = emulated_endpoint(answers="one two three. four")

    answer = ask(endpoint, details=True, **parameters).json()

    details = answer["details"]
    assert answer["generated_text"] == text
    assert (details["finish_reason"], details["generated_tokens"]) == ending


def test_a_stream_has_the_same_content(emulated_endpoint: Start, ask: Ask, events: Events) -> None:
    """Streamed or not, an answer has the same tokens, alternatives, text and ending."""
    endpoint = emulated_endpoint(answers="Hello there")
    wanted: dict[str, Any] = {"details": True, "top_n_tokens": 3, "seed": 7, "do_sample": True}

    whole = ask(endpoint, **wanted).json()
    stream = events(ask(endpoint, route="/generate_stream", **wanted))

    assert [event["token"] for event in stream] == whole["details"]["tokens"]
    assert [event["top_tokens"] for event in stream] == whole["details"]["top_tokens"]
    assert [event["index"] for event in stream] == [1, 2, 3]
    assert [event["generated_text"] for event in stream] == [None, None, "Hello there"]
    assert stream[-1]["details"] == {
        "finish_reason": "eos_token",
        "generated_tokens": 3,
        "seed": 7,
        "input_length": 2,
    }


def test_alternatives_begin_with_the_token(emulated_endpoint: Start, ask: Ask) -> None:
    """There are as many as asked for, each another token and less likely than the one before."""
    endpoint = emulated_endpoint(answers="of the")

    for ranked in ask(endpoint, details=True, top_n_tokens=5).json()["details"]["top_tokens"]:
        assert len({token["id"] for token in ranked}) == 5
        logprobs = [token["logprob"] for token in ranked]
        assert logprobs == sorted(logprobs, reverse=True)


def test_prompt_tokens_are_reported_on_demand(emulated_endpoint: Start, ask: Ask) -> None:
    """`decoder_input_details` alone brings details; the first token of a prompt has no logprob."""
    endpoint = emulated_endpoint(answers="Hello")

    prefill = ask(endpoint, prompt="Hi you", decoder_input_details=True).json()["details"][
        "prefill"
    ]

    assert [token["text"] for token in prefill] == ["<s>", "Hi", " you"]
    assert [token["logprob"] is None for token in prefill] == [True, False, False]


def test_truncation_keeps_the_end_of_the_prompt(emulated_endpoint: Start, ask: Ask) -> None:
    """A long prompt loses its first words, not the token that begins every prompt."""
    endpoint = emulated_endpoint(answers="Hello")

    answer = ask(
        endpoint, prompt="one two three four", truncate=3, decoder_input_details=True
    ).json()

    assert [token["text"] for token in answer["details"]["prefill"]] == ["<s>", " three", " four"]


def test_the_best_of_two_is_reported_with_the_other(emulated_endpoint: Start, ask: Ask) -> None:
    """Both are the script's text, each with a seed of its own."""
    endpoint = emulated_endpoint(answers="Hello")

    answer = ask(endpoint, best_of=2, do_sample=True, details=True).json()

    (other,) = answer["details"]["best_of_sequences"]
    assert answer["generated_text"] == other["generated_text"] == "Hello"
    assert answer["details"]["seed"] != other["seed"]


def test_tokenize_reports_byte_offsets(emulated_endpoint: Start, http: httpx.Client) -> None:
    """Places are counted in bytes of UTF-8, and cover the text."""
    endpoint = emulated_endpoint(answers="Hello")

    pieces = http.post(f"{endpoint.url}/tokenize", json={"inputs": "Hyvää yötä"}).json()

    assert [(piece["text"], piece["start"], piece["stop"]) for piece in pieces] == [
        ("", 0, 0),
        ("Hyvää", 0, 7),
        (" yötä", 7, 14),
    ]


@pytest.mark.parametrize(
    ("dialect", "reason"), [("1.1.1", "stop_sequence"), ("3.3.7", "eos_token")]
)
def test_a_long_stop_text_is_forgotten(
    emulated_endpoint: Start, ask: Ask, dialect: str, reason: str
) -> None:
    """TGI 3.3.7 keeps the last 200 to 300 characters, and finds no longer stop string."""
    long = "a long story " * 25
    endpoint = emulated_endpoint(answers=f"{long}. And so on.", dialect=dialect)

    answer = ask(endpoint, stop=[f"{long}."], details=True).json()

    assert answer["details"]["finish_reason"] == reason


def test_a_pace_is_kept(emulated_endpoint: Start, ask: Ask) -> None:
    """Tokens are not faster than set, streamed or not."""
    endpoint = emulated_endpoint(answers="one two three four", tokens_per_second=50)

    for route in ("/generate", "/generate_stream"):
        start = time.perf_counter()
        ask(endpoint, route=route)
        assert time.perf_counter() - start >= 5 / 50
