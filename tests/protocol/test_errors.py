"""What goes wrong is told in the server's own words, and as what it is, whoever stood in between."""

import json
from typing import Any

import pytest

from datacrunch_tgi import APIError, MalformedResponseError, OverloadedError
from datacrunch_tgi._protocol._http import (
    Head,
    api_error,
    not_a_stream,
    read_event,
    read_info,
    read_response,
)

JSON = {"content-type": "application/json"}


def error_of(said: Any, status: int = 401, **headers: str) -> APIError:
    error = api_error(Head(status, JSON | headers), json.dumps(said).encode())
    assert isinstance(error, APIError)
    return error


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"error": "TGI's", "error_type": "validation", "message": "more"}, "TGI's"),
        ({"error": "TGI's"}, "TGI's"),
        ({"error": {"message": "OpenAI's", "type": "x", "http_status_code": 401}}, "OpenAI's"),
        ({"statusCode": 401, "message": "no such key", "error": "Unauthorized"}, "no such key"),
        ({"title": "Unauthorized", "detail": "no such key"}, "no such key"),
        ({"message": None, "error": "Unauthorized"}, "Unauthorized"),
        ("no such key", "no such key"),
        ([{"error": {"message": "no such key"}}], "no such key"),
        ({"errors": [{"message": "no such key"}, {"message": "another"}]}, "no such key"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"errors": ["no such key"]}, "no such key"),
        ({"errors": []}, ""),
        ({"message": 5}, ""),
        (None, ""),
    ],
)
def test_the_reason_is_found_wherever_a_gateway_puts_it(said: Any, words: str) -> None:
    error = error_of(said)
    assert error.server_message == words
    assert error.message == ": ".join(filter(None, ("401 Unauthorized", words)))


def test_a_text_in_the_place_of_an_answer_is_no_servers_error() -> None:
    """Only an object tells an error where the status tells none."""
    with pytest.raises(MalformedResponseError):
        read_response(Head(200, JSON), b'"a text"')
    with pytest.raises(MalformedResponseError):
        read_event(b'"a text"')


@pytest.mark.parametrize("words", ["word " * 20_000, "x" * 100_000])
def test_an_endless_reason_is_cut_between_words(words: str) -> None:
    """Half a word might be half a key."""
    with pytest.raises(APIError) as caught:
        read_event(json.dumps({"error": words}).encode())
    for error in (caught.value, error_of({"error": words})):
        assert len(error.message) < 330
        assert len(error.server_message) <= 2000
        assert error.message.endswith(("word…", ": …")) or error.message == "…"


@pytest.mark.parametrize("status", [201, 202, 204, 206, 299])
def test_another_success_is_no_answer_and_not_tried_again(status: int) -> None:
    head = Head(status, JSON)
    for read in (read_response, read_info):
        with pytest.raises(MalformedResponseError, match=str(status)):
            read(head, b"")
    error = not_a_stream(head, b'{"message": "still loading"}')
    assert isinstance(error, MalformedResponseError)
    assert "still loading" in str(error)
    assert not error.retryable


def test_a_type_stands_over_the_status() -> None:
    said = {"error": "busy", "error_type": "overloaded"}
    assert isinstance(error_of(said, status=202), OverloadedError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +99999999999999"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT",
                "date": f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT",
            },
            None,
        ),
    ],
)
def test_a_wait_that_cannot_be_read_is_none(headers: dict[str, str], seconds: float | None) -> None:
    assert error_of("busy", 429, **headers).retry_after == seconds
