"""The routes: what is sent, and what a response means."""

import json

import pytest

from datacrunch_tgi import (
    ArgumentError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    ServerError,
)
from datacrunch_tgi._protocol._requests import Request, json_request
from datacrunch_tgi._protocol._responses import (
    Head,
    is_stream,
    not_a_stream,
    read_health,
    read_info,
    read_prompt_tokens,
    read_response,
)

JSON = {"content-type": "application/json"}


def test_a_request_is_compact_json_in_utf_8() -> None:
    """The prompt is kept beside it, to take it out of errors."""
    body = {"inputs": "é", "parameters": {"max_new_tokens": 1}}
    sent = '{"inputs":"é","parameters":{"max_new_tokens":1}}'.encode()
    assert json_request("/generate", body) == Request("POST", "/generate", sent, "é")


def test_what_json_cannot_express_is_refused_also_without_parameters() -> None:
    """It can only be an extra parameter."""
    with pytest.raises(ArgumentError) as caught:
        json_request("/generate", {"inputs": "x", "new": {1j}})
    assert caught.value.message == (
        "extra_parameters: must be JSON: Object of type set is not JSON serializable"
    )


def test_health_is_a_status() -> None:
    """503 is a server that cannot generate now; a gateway without the route is an error that says so."""
    assert read_health(Head(200, {}), b"")
    assert not read_health(Head(503, {}), b'{"error": "unhealthy"}')
    with pytest.raises(NotFoundError) as caught:
        read_health(Head(404, {}), b"")
    assert caught.value.hint == "This server, or a gateway in front of it, has no /health."


@pytest.mark.parametrize("body", [b'[{"generated_text": "Hi"}]', b' \n[{"generated_text": "Hi"}] '])
def test_the_root_routes_answer_is_a_list_of_one(body: bytes) -> None:
    """White space before it, as JSON allows it."""
    assert read_response(Head(200, JSON), body).generated_text == "Hi"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"generated_text": 1}'])
def test_another_body_is_named_an_answer(body: bytes) -> None:
    """In the error, whatever the route."""
    for read in (read_response, read_info):
        with pytest.raises(MalformedResponseError, match=r"^the answer is not TGI's: "):
            read(Head(200, JSON), body)


def test_a_route_that_a_server_does_not_have_is_named() -> None:
    """`/info` is missing in gateways that pass only `/generate` on."""
    with pytest.raises(NotFoundError) as caught:
        read_info(Head(404, JSON), b"{}")
    assert caught.value.hint == "This server, or a gateway in front of it, has no /info."


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("text/event-stream", True), ("Text/Event-Stream; charset=utf-8", True), (None, True), ("application/json", False)],
)  # fmt: skip
def test_a_stream_is_what_is_called_one_or_nothing(kind: str | None, *, expected: bool) -> None:
    """Servers and gateways may leave out the type."""
    headers = {"content-type": kind} if kind else {}
    assert is_stream(Head(200, headers)) is expected
    assert not is_stream(Head(201, headers))


def test_prompt_tokens_are_read_or_refused() -> None:
    """As TGI 1.4 and newer report them."""
    tokens = [{"id": 1, "text": "x", "start": 0, "stop": 1}]
    (token,) = read_prompt_tokens(Head(200, JSON), json.dumps(tokens).encode())
    assert (token.id, token.text) == (1, "x")
    with pytest.raises(MalformedResponseError) as caught:
        read_prompt_tokens(Head(200, JSON), b'[{"text": "x"}]')
    assert caught.value.message == "the answer is not TGI's: 0.id: Field required"
    with pytest.raises(NotFoundError) as missing:
        read_prompt_tokens(Head(404, JSON), b"{}")
    assert missing.value.hint == "This server, or a gateway in front of it, has no /tokenize."


def test_what_comes_instead_of_a_stream_is_its_error_or_its_kind() -> None:
    """An error with status 200 is read like any other."""
    busy = b'{"error": "busy", "error_type": "overloaded"}'
    assert isinstance(not_a_stream(Head(200, JSON), busy), OverloadedError)
    error = not_a_stream(Head(200, {"content-type": "text/html; charset=utf-8"}), b"<p>")
    assert error.message == "expected a stream of events, got: text/html"


def test_json_without_a_message_is_not_shown_as_a_page() -> None:
    """A page is what is neither JSON nor an event."""
    for head, message in (
        (Head(500, JSON), "500 Internal Server Error"),
        (Head(500, {}), '500 Internal Server Error: {"code": 1}'),
    ):
        with pytest.raises(ServerError) as caught:
            read_health(head, b'{"code": 1}')
        assert caught.value.message == message
