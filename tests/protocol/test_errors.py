"""Errors have the server's message and the right class, whatever gateway is in between."""

import json
import math
from typing import Any

import pytest

from datacrunch_tgi import (
    APIError,
    AuthenticationError,
    ConnectError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    ServerError,
)
from datacrunch_tgi._protocol._api_errors import api_error
from datacrunch_tgi._protocol._responses import (
    Head,
    not_a_stream,
    read_event,
    read_info,
    read_response,
)

JSON = {"content-type": "application/json"}
STARTING_HINT = "If the server is still starting, set startup_timeout to wait for it."


def error_of(said: Any, status: int = 401, **headers: str) -> APIError:
    error = api_error(status, headers, "application/json", json.dumps(said).encode())
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
    """The reason is found in the error bodies of gateways too."""
    error = error_of(said)
    assert error.server_message == words
    assert error.message == ": ".join(filter(None, ("401 Unauthorized", words)))


def test_a_text_in_the_place_of_an_answer_is_no_servers_error() -> None:
    """A text with status 200 is a malformed response, not an error of the server."""
    with pytest.raises(MalformedResponseError):
        read_response(Head(200, JSON), b'"a text"')
    with pytest.raises(MalformedResponseError):
        read_event(b'"a text"')


@pytest.mark.parametrize("words", ["word " * 20_000, "x" * 100_000])
def test_an_endless_reason_is_cut_between_words(words: str) -> None:
    """A long reason is cut between words, so that no part of a key is shown."""
    with pytest.raises(APIError) as caught:
        read_event(json.dumps({"error": words}).encode())
    for error in (caught.value, error_of({"error": words})):
        assert len(error.message) < 330
        assert len(error.server_message) <= 2000
        assert error.message.endswith(("word…", ": …")) or error.message == "…"


@pytest.mark.parametrize("status", [201, 202, 204, 206, 299])
def test_another_success_is_no_answer_and_not_tried_again(status: int) -> None:
    """Another 2xx status is a malformed response and is not retried."""
    head = Head(status, JSON)
    for read in (read_response, read_info):
        with pytest.raises(MalformedResponseError, match=str(status)):
            read(head, b"")
    error = not_a_stream(head, b'{"message": "still loading"}')
    assert isinstance(error, MalformedResponseError)
    assert error.message == f"expected 200 with an answer, got {status}: still loading"
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, NotFoundError) for status in (300, 301, 307, 399, 404, 405)),
        *((status, AuthenticationError) for status in (401, 403, 407)),
        *((status, InvalidRequestError) for status in (400, 402, 413, 415, 422, 426, 499)),
        *((status, ServerError) for status in (199, 408, 409, 425, 500, 503, 599)),
        (424, GenerationError),
        (429, OverloadedError),
    ],
)
def test_the_status_decides_the_class(status: int, expected: type[APIError]) -> None:
    """The status selects the class if `error_type` is missing or unknown."""
    for said in ({"error": "no"}, {"error": "no", "error_type": "gateway.v2:no-key"}):
        error = error_of(said, status)
        assert type(error) is expected
        assert (error.status, error.server_message) == (status, "no")
        assert error.error_type == said.get("error_type")


@pytest.mark.parametrize(
    ("said", "expected", "status", "message"),
    [
        ({"error": "busy", "error_type": "overloaded"}, OverloadedError, 429, "busy"),
        ({"error": "long", "error_type": "validation"}, InvalidRequestError, 422, "long"),
        ({"error": "out", "error_type": "generation"}, GenerationError, 424, "out"),
        (
            {"error": "", "error_type": "incomplete_generation"},
            GenerationError,
            500,
            "Internal Server Error",
        ),
        ({"error": "no", "error_type": "template_error"}, InvalidRequestError, 422, "no"),
        ({"error_type": "tool_error"}, InvalidRequestError, 422, "Unprocessable Content"),
        ({"error": {"message": "no", "http_status_code": 404}}, NotFoundError, 404, "no"),
        ({"error": {"type": "odd", "http_status_code": 599}}, ServerError, 599, "error"),
        ({"error": {"message": "no", "http_status_code": "404"}}, ServerError, 500, "no"),
        ({"error": "no", "error_type": 5}, ServerError, 500, "no"),
        ({"error": "no", "error_type": "another"}, ServerError, 500, "no"),
        ({"message": "no"}, ServerError, 500, "no"),
    ],
)
def test_an_error_in_the_place_of_an_event_has_the_status_of_its_type(
    said: dict[str, Any], expected: type[APIError], status: int, message: str
) -> None:
    """The same as without a stream; a message without one is the status's own words."""
    with pytest.raises(APIError) as caught:
        read_event(b" \n" + json.dumps(said).encode())
    error = caught.value
    assert type(error) is expected
    assert (error.status, error.message, error.retry_after) == (status, message, None)
    within = said.get("error")
    kind = within.get("type") if isinstance(within, dict) else said.get("error_type")
    assert error.error_type == (kind if isinstance(kind, str) else None)


def test_an_error_in_the_place_of_an_event_may_say_how_long_to_wait() -> None:
    """`estimated_time` in a stream's error is `retry_after`."""
    with pytest.raises(ServerError) as caught:
        read_event(b'{"error": "loading", "estimated_time": 20.5}')
    assert caught.value.retry_after == 20.5


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b'{"token": {"id": "x", "text": "y"}}', "token.id: Input should be a valid integer"),
        (b"<p>", "Invalid JSON: expected value at line 1 column 1"),
        (b"[]", "Input should be an object"),
    ],
)
def test_what_is_neither_an_event_nor_an_error_is_named_with_the_rule(
    data: bytes, rule: str
) -> None:
    """An invalid event is reported with the rule and the place of the fault."""
    with pytest.raises(MalformedResponseError) as caught:
        read_event(data)
    assert caught.value.message.startswith(f"the event of the stream is not TGI's: {rule}")
    with pytest.raises(MalformedResponseError) as caught:
        read_info(Head(200, JSON), data.replace(b"token", b"x"))
    assert caught.value.message.startswith("the answer is not TGI's: ")


def test_a_type_stands_over_the_status() -> None:
    """`error_type` takes precedence over the status."""
    said = {"error": "busy", "error_type": "overloaded"}
    assert isinstance(error_of(said, status=202), OverloadedError)


DATE = "Wed, 21 Oct 2026 07:27:00 GMT"
TOO_FAR = f"Wed, 21 Oct {'9' * 30} 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0.2", 0.2),
        (" 5 ", 5.0),
        ("5s", 5.0),
        ("5 seconds", 5.0),
        ("5, 120 ,7", 120.0),
        ("9999999999", 9_999_999_999.0),
        ("1" + "0" * 400, math.inf),
        ("2000010112345", 2_000_010_112_345.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2026", 60.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT, Wed, 21 Oct 2026 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2026 09:28:00 +0200", 60.0),
        ("Wed, 21 Oct 2026 07:28:00", 60.0),
        ("2026-10-21T07:28:00Z", 60.0),
        ("2026-10-21T07:28:00", 60.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("1e9999", None),
        (TOO_FAR, None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999", None),
    ],
)
def test_a_wait_is_read_in_every_form(value: str, seconds: float | None) -> None:
    """Retry-After in seconds or as a date, which counts from the server's own clock."""
    error = error_of("busy", 429, **{"retry-after": value, "date": DATE})
    assert error.retry_after == seconds
    if seconds:
        assert f"asks to wait {seconds:g} seconds" in str(error)


@pytest.mark.parametrize("date", [None, TOO_FAR])
def test_a_date_counts_from_this_clock_where_the_server_has_none(date: str | None) -> None:
    """A date in Retry-After counts from the local clock if the server sends no valid Date."""
    headers = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"} | ({"date": date} if date else {})
    assert error_of("busy", 429, **headers).retry_after == 0.0


@pytest.mark.parametrize(
    ("estimate", "seconds"),
    [
        (20.5, 20.5),
        (0, 0.0),
        (86_400, 86_400.0),
        (86_401, None),
        (-1, None),
        (True, None),
        ("20", None),
        (1e300, None),
    ],
)
def test_an_estimate_of_the_loading_time_is_a_wait(estimate: Any, seconds: float | None) -> None:
    """`estimated_time` is `retry_after`, unless the header Retry-After is set."""
    said = {"error": "Model m is currently loading", "estimated_time": estimate}
    assert error_of(said, 503).retry_after == seconds
    assert error_of(said, 503, **{"retry-after": "3"}).retry_after == 3.0


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_may_be_starting_names_the_setting_that_waits_for_it(status: int) -> None:
    """Errors of a server that may be starting name `startup_timeout`."""
    assert "set startup_timeout" in str(error_of("Model m is currently loading", status))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (413, "413 Content Too Large"),
        (422, "422 Unprocessable Content"),
        (499, "499"),
        (799, "799"),
    ],
)
def test_a_status_has_the_same_words_on_every_python(status: int, words: str) -> None:
    """Reason phrases do not depend on the version of Python."""
    assert error_of(None, status).message == words


def test_an_error_says_where_the_request_went_and_how_often() -> None:
    """The URL is added to the message, unless the message has the host already."""
    error = error_of("no such key")
    error.url, error.requests = "http://host.invalid/v1/generate", 1
    assert str(error) == (
        "401 Unauthorized: no such key (http://host.invalid/v1/generate; 1 request sent). "
        "Check api_key, or the variable DATACRUNCH_API_KEY."
    )
    refused = ConnectError("no connection to http://host.invalid/v1", said="Connection refused")
    refused.url, refused.requests = error.url, 3
    assert str(refused) == (
        "no connection to http://host.invalid/v1: Connection refused (3 requests sent). "
        "Check base_url, the proxy, and that the server is running."
    )


def test_html_is_read_as_a_person_sees_it() -> None:
    """HTML error pages are reported without tags, with entities resolved."""
    error = api_error(502, {}, "text/html", b"<h1>can&#39;t &amp; won&#39;t</h1>")
    assert isinstance(error, APIError)
    assert error.server_message == "can't & won't"


@pytest.mark.parametrize(
    ("status", "headers", "hint"),
    [
        (429, {}, ""),
        (429, {"retry-after": "7"}, "The server asks to wait 7 seconds."),
        (503, {}, STARTING_HINT),
        (
            503,
            {"retry-after": "0"},
            f"The server asks to wait 0 seconds. {STARTING_HINT}",
        ),
        (407, {}, "Check the user and password in the proxy's URL."),
        (403, {}, "Check api_key, or the variable DATACRUNCH_API_KEY."),
        (
            307,
            {"location": "https://user:pw@h.invalid/v1?key=x#y"},
            "Redirects are not followed. Set base_url to the new location: https://h.invalid/v1",
        ),
        (404, {}, "Check that base_url is the URL prefix of /generate and /generate_stream."),
        (400, {"location": "https://h.invalid"}, ""),
    ],
)
def test_the_hint_says_what_to_do(status: int, headers: dict[str, str], hint: str) -> None:
    """In whole sentences, for each error that something can be done about."""
    assert error_of("no", status, **headers).hint == hint


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<script>a</script><STYLE>b</STYLE>c<!-- d -->e", "c e"),
        (b"no\n\t such   key", "no such key"),
        (b"<p\nclass='x'>no</p><br/>such", "no such"),
        (b"<script type='x'>\nno </script>such<script></script> key", "such key"),
        (b"\xffno", "\ufffdno"),
    ],
)
def test_a_page_is_its_visible_text(body: bytes, words: str) -> None:
    """One space between words, whatever markup there is."""
    assert api_error(502, {}, "text/html", body).message == f"502 Bad Gateway: {words}"


def test_a_long_page_is_cut_between_words() -> None:
    """4,096 bytes of it are read, and half a word might be half a key."""
    page = b"<i>" + b" " * 4000 + b"no such " + b"x" * 85
    for end, words in ((b"", f"no such {'x' * 85}"), (b"x", "no such")):
        error = api_error(502, {}, "text/html", page + end)
        assert error.message == f"502 Bad Gateway: {words}"
