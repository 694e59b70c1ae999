"""Bad input is refused before any request, by an error that names field, value and rule."""

import math
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, Client
from datacrunch_tgi._protocol._parameters import check_parameters, check_prompt

PROMPT = "the prompt, which no error shows"
EMPTY = "must not be empty: it would end every answer after one token"
GRAMMAR = "must have the keys 'type', one of json, json_object, json_schema, regex, and 'value'"
CLIENTS = [Client, AsyncClient]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"best_of": 0}, "best_of=0: must be greater than or equal to 1"),
    ({"best_of": 2, "do_sample": True, "seed": 1}, "seed=1: must not be set when best_of > 1"),
    ({"best_of": 2}, "best_of=2: needs sampling when > 1: set do_sample=True"),
    ({"temperature": -1}, "temperature=-1: must be 0 (greedy) or greater"),
    ({"temperature": 1e300}, "temperature=1e+300: must be finite as a 32-bit float"),
    ({"temperature": math.nan}, "temperature=nan: must be a finite number"),
    ({"temperature": math.inf}, "temperature=inf: must be a finite number"),
    ({"repetition_penalty": 0}, "repetition_penalty=0: must be greater than 0"),
    ({"repetition_penalty": 1e-50}, "repetition_penalty=1e-50: must be greater than 0"),
    ({"frequency_penalty": 2.5}, "frequency_penalty=2.5: must be less than or equal to 2"),
    ({"frequency_penalty": math.nan}, "frequency_penalty=nan: must be less than or equal to 2"),
    ({"top_p": 0.0}, "top_p=0.0: must be greater than 0.0 and at most 1.0"),
    ({"top_p": 1.1}, "top_p=1.1: must be greater than 0.0 and at most 1.0"),
    ({"typical_p": -1}, "typical_p=-1: must be greater than 0.0 and at most 1.0"),
    ({"top_k": 0}, "top_k=0: must be greater than or equal to 1"),
    ({"top_k": 10.0}, "top_k=10.0: must be a valid integer"),
    ({"top_k": 2**31}, "top_k=2147483648: must be less than or equal to 2147483647"),
    ({"max_new_tokens": 0}, "max_new_tokens=0: must be greater than or equal to 1"),
    ({"max_new_tokens": "50"}, "max_new_tokens='50': must be a valid integer"),
    ({"max_new_tokens": True}, "max_new_tokens=True: must be a valid integer"),
    ({"seed": -1}, "seed=-1: must be greater than or equal to 0"),
    (
        {"seed": 2**64},
        "seed=18446744073709551616: must be less than or equal to 18446744073709551615",
    ),
    ({"truncate": 0}, "truncate=0: must be greater than or equal to 1"),
    ({"top_n_tokens": -1}, "top_n_tokens=-1: must be greater than or equal to 0"),
    ({"stop": 7}, "stop=7: must be a list of strings"),
    ({"stop": {"a"}}, "stop={'a'}: must be a list of strings"),
    ({"stop": ""}, f"stop[0]='': {EMPTY}"),
    ({"stop": ["a", ""]}, f"stop[1]='': {EMPTY}"),
    ({"stop": [1]}, "stop[0]=1: must be a valid string"),
    (
        {"stop": ["\ud800"]},
        "stop[0]='\\ud800': must not contain lone surrogates, which JSON cannot encode",
    ),
    ({"do_sample": "true"}, "do_sample='true': must be a valid boolean"),
    ({"watermark": 1}, "watermark=1: must be a valid boolean"),
    (
        {"grammar": {"type": "xml", "value": ""}},
        f"grammar={{'type': 'xml', 'value': ''}}: {GRAMMAR}",
    ),
    ({"temperatur": 1.0}, "temperatur: no such parameter; did you mean 'temperature'?"),
    ({"stop_sequences": ["a"]}, "stop_sequences: no such parameter; did you mean 'stop'?"),
    ({"max_tokens": 0}, "max_tokens=0: must be greater than or equal to 1"),
    (
        {"max_tokens": 5, "max_new_tokens": 6},
        "max_tokens=5: cannot be combined with max_new_tokens",
    ),
    (
        {"extra_parameters": {"new": math.nan}},
        "new: must be JSON: Out of range float values are not JSON compliant…",
    ),
    (
        {"extra_parameters": {("a",): 1}},
        "extra_parameters: must be JSON: keys must be str, int, float, bool or None, not tuple",
    ),
    (
        {"grammar": {"type": "json", "value": Client}, "extra_parameters": {"new": 1}},
        "grammar: must be JSON: Object of type type is not JSON serializable",
    ),
]

REFUSED_IN_STREAMS: list[tuple[dict[str, Any], str]] = [
    ({"best_of": 2, "do_sample": True}, "best_of=2: must be 1 when streaming"),
    ({"decoder_input_details": True}, "decoder_input_details=True: must be False when streaming"),
]

PROMPTS: list[tuple[object, str]] = [
    ("", "inputs: cannot be empty"),
    (["a list"], "inputs: must be a string, not list"),
    ("\ud800", "inputs: must not contain lone surrogates"),
]


@pytest.fixture(params=["generate", "stream"])
def route(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def refusal(
    client_class: type[Client | AsyncClient], route: str, inputs: object, given: dict[str, Any]
) -> str:
    """The error of a call to an address where nobody listens: it never gets that far."""
    client: Any = client_class(base_url="http://127.0.0.1:9", max_retries=0)

    async def call() -> None:
        result = getattr(client, route)(inputs, **given)
        if route == "generate":
            await result

    with pytest.raises(ArgumentError) as caught:
        await call()
    assert isinstance(caught.value, ValueError)
    assert PROMPT not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("client_class", CLIENTS)
@pytest.mark.parametrize(("given", "words"), REFUSED)
async def test_what_a_client_can_know_is_refused_before_a_request(
    client_class: type[Client | AsyncClient], route: str, given: dict[str, Any], words: str
) -> None:
    """Invalid parameters are refused before any request, in every method."""
    if route == "stream" and given.get("best_of") == 2:
        words = "best_of=2: must be 1 when streaming"
    said = await refusal(client_class, route, PROMPT, given)
    assert said == words or (words.endswith("…") and said.startswith(words[:-1]))


@pytest.mark.parametrize("client_class", CLIENTS)
@pytest.mark.parametrize(("given", "words"), REFUSED_IN_STREAMS)
async def test_what_a_stream_cannot_do_is_refused_before_a_request(
    client_class: type[Client | AsyncClient], given: dict[str, Any], words: str
) -> None:
    """Parameters that a stream does not support are refused before any request."""
    assert await refusal(client_class, "stream", PROMPT, given) == words


@pytest.mark.parametrize("client_class", CLIENTS)
@pytest.mark.parametrize(("inputs", "words"), PROMPTS)
async def test_a_prompt_that_no_server_takes_is_refused_and_not_shown(
    client_class: type[Client | AsyncClient], route: str, inputs: object, words: str
) -> None:
    """An invalid prompt is refused, and the error does not contain it."""
    assert await refusal(client_class, route, inputs, {}) == words + (
        ", which JSON cannot encode" if "surrogates" in words else ""
    )


def test_the_api_pages_own_example_is_accepted_as_it_stands() -> None:
    """All fifteen parameters, None where the page has null; None is not sent."""
    page = {
        "best_of": 1,
        "decoder_input_details": True,
        "details": True,
        "do_sample": False,
        "max_new_tokens": 20,
        "repetition_penalty": 1.03,
        "return_full_text": False,
        "seed": None,
        "stop": ["photographer"],
        "temperature": 0.5,
        "top_k": 10,
        "top_p": 0.95,
        "truncate": None,
        "typical_p": 0.95,
        "watermark": True,
    }
    sent = check_parameters(page, streaming=False)
    assert sent == {name: value for name, value in page.items() if value is not None}


def test_max_new_tokens_is_always_sent() -> None:
    """`max_new_tokens` is sent even if no parameter is set."""
    assert check_parameters({}, streaming=True) == {"max_new_tokens": 512}


def test_limits_that_depend_on_the_server_are_left_to_it() -> None:
    """Limits that depend on the server are not checked by the client."""
    given = {"top_n_tokens": 99, "stop": list("abcdef"), "truncate": 10**6, "max_new_tokens": 10**6}
    assert check_parameters(given, streaming=False) == given


@pytest.mark.parametrize(
    "given",
    [
        {"best_of": 1, "seed": 1},
        {"best_of": 2, "do_sample": True},
        {"best_of": 2, "temperature": 0.5},
        {"best_of": 2, "typical_p": 0.5},
    ],
)
def test_the_best_of_several_answers_needs_sampling_of_any_kind(given: dict[str, Any]) -> None:
    """And a single one needs none."""
    assert check_parameters(given, streaming=False) == {"max_new_tokens": 512, **given}


def test_a_prompt_in_any_language_is_accepted() -> None:
    """Surrogates are refused where they stand alone."""
    assert check_prompt("é 漢 😀") == "é 漢 😀"
