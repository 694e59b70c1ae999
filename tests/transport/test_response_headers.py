"""Answers, streams and errors have the headers of their response, and the id that support asks for."""

import copy
import pickle
from collections.abc import Mapping
from typing import Any, cast

import pytest
from pydantic import SecretStr

from datacrunch_tgi import Answer, APIError, Client, DataCrunchError, DisconnectedError
from datacrunch_tgi._protocol._redact import Redactor
from datacrunch_tgi._protocol._response_headers import ResponseHeaders

KEY = "sk-0123456789/abcdefghij"
PROMPT = "My name is Olivier and I"
ROUTES = pytest.mark.parametrize("route", ["generate", "stream"])


def respond(http: Any, route: str, **headers: str) -> bytes:
    """An answer with headers, as the route sends it."""
    if route == "generate":
        return cast("bytes", http.answer(**headers))
    return cast("bytes", http.stream(http.events("Hi", " you"), **headers))


def ask(caller: Any, route: str) -> Answer:
    answer = caller.ask(route, PROMPT).answer
    assert isinstance(answer, Answer)
    return answer


@ROUTES
@pytest.mark.parametrize(
    "recorded",
    ["gateway/gateway-seed-generate", "tgi-3.3.7/seed-generate", "fork-1.1.1/ask-details"],
)
def test_an_answer_has_every_header_that_a_real_server_sent(
    *, route: str, recorded: str, recordings: Any, http: Any, serve: Any, caller: Any
) -> None:
    """Under names in any case; framing is the connection's own."""
    own = {"Content-Length", "Content-Type", "Connection", "Transfer-Encoding"}
    sent = {
        name: value
        for name, value in recordings[recorded]["response"]["headers"]
        if name.title() not in own
    }
    assert len(sent) > 2
    headers = ask(caller(serve(respond(http, route, **sent)).url), route).headers
    assert {name: headers[name] for name in sent} == sent
    assert repr(headers) == repr(dict(headers))
    assert {name.upper(): headers[name.upper()] for name in headers} == {
        name.upper(): value for name, value in headers.items()
    }


@ROUTES
def test_a_request_id_is_read_and_survives_copies(
    *, route: str, http: Any, serve: Any, caller: Any
) -> None:
    """`request_id` is copied, but neither dumped nor compared."""
    ids: tuple[dict[str, str], ...] = ({"X-Request-Id": "id-1"}, {"X-Request-Id": "id-2"}, {})
    caller = caller(serve(*(respond(http, route, **each) for each in ids)).url)
    first, second, third = (ask(caller, route) for _ in range(3))
    assert [first.request_id, second.request_id, third.request_id] == ["id-1", "id-2", None]
    assert first == second == third
    assert first != first.model_copy(update={"text": "other"})
    for other in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first), first.model_copy()):
        assert other.headers == first.headers
        assert other.request_id == "id-1"
    assert "id-1" not in first.model_dump_json() + repr(first)
    with pytest.raises(TypeError):
        cast("Any", first.headers)["X-Request-Id"] = "other"


def test_a_stream_has_its_headers_from_the_first_event_on(
    http: Any, serve: Any, engine: str
) -> None:
    """Before its answer, and also where it is left or breaks."""
    start = http.head(x_request_id="id-1") + http.chunk(http.event("Hi"))
    server = serve(lambda peer: (peer.send(start), peer.wait_until_left()))
    with Client(base_url=server.url) as client, client.stream(PROMPT) as events:
        assert client.settings.engine == engine
        assert (dict(events.headers), events.request_id) == ({}, None)
        next(events)
        assert events.headers["Content-Type"] == "text/event-stream"
        assert events.request_id == "id-1"


FAULTS: dict[str, Any] = {
    "status": lambda http: http.json(422, {"error": "no"}, x_request_id="id-1"),
    "event": lambda http: http.stream(http.data({"error": "no", "error_type": "validation"}), x_request_id="id-1"),
    "break": lambda http: lambda peer: (peer.send(http.head(x_request_id="id-1") + http.chunk(http.event("Hi"))), peer.close()),
    "page": lambda http: http.response(200, "<p>Welcome</p>", content_type="text/html", x_request_id="id-1"),
    "silence": lambda http: lambda peer: (peer.send(http.head(x_request_id="id-1") + http.chunk(http.event("Hi"))), peer.wait_until_left()),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_has_the_headers_of_its_response(
    *, fault: str, http: Any, serve: Any, caller: Any
) -> None:
    """An error has the headers of its response, and its text has the request id."""
    server = serve(FAULTS[fault](http))
    error = caller(server.url, idle_timeout=0.2, max_retries=0).ask("stream", PROMPT).error
    assert isinstance(error, DataCrunchError)
    assert error.headers["X-Request-ID"] == error.request_id == "id-1"
    assert "1 request sent; request id id-1)" in str(error)
    assert pickle.loads(pickle.dumps(error)).request_id == "id-1"


@pytest.mark.usefixtures("without_waits")
@ROUTES
def test_an_error_has_the_id_of_the_last_request_only(
    *, route: str, http: Any, serve: Any, caller: Any
) -> None:
    """An error has the request id of its own attempt only."""
    server = serve(http.response(503, x_request_id="id-1"), lambda peer: peer.close())
    reported: list[DataCrunchError] = []
    caller = caller(server.url, max_retries=1)
    error = caller.ask(route, PROMPT, on_retry=reported.append).error
    assert [each.request_id for each in reported] == ["id-1"]
    assert isinstance(error, DisconnectedError)
    assert (error.request_id, dict(error.headers)) == (None, {})
    assert "request id" not in str(error)


def everything(headers: Mapping[str, str]) -> str:
    return f"{dict(headers)}{headers!r}{pickle.dumps(headers)!r}"


SECRET_HEADERS = {
    "Set-Cookie": "session=0123456789",
    "X-Auth-Token": "0123456789-abc",
    "X-Echo": f"Bearer {KEY}",
    "X-Escaped": KEY.replace("/", "%2F"),
    "Location": f"https://user:0123456789@h.invalid/a?next={KEY}",
}


@ROUTES
@pytest.mark.parametrize("status", [200, 422])
def test_no_header_shows_a_secret(
    *, route: str, status: int, http: Any, serve: Any, caller: Any
) -> None:
    """A cookie is left out; what is secret by its name, or repeats the client's key, is hidden."""
    sent = {"X-Request-Id": "id-1", "X-Prompt-Tokens": "1234567890", **SECRET_HEADERS}
    refused = http.response(422, "no", **sent)
    server = serve(refused if status == 422 else respond(http, route, **sent))
    taken = caller(server.url, api_key=KEY).ask(route, PROMPT)
    headers = (taken.answer or taken.error).headers
    assert not [secret for secret in (KEY, KEY[:12], "0123456789") if secret in everything(headers)]
    assert "Set-Cookie" not in headers
    assert headers["X-Auth-Token"] == "**********"
    assert headers["X-Echo"] == "Bearer **********"
    assert headers["Location"] == "https://h.invalid/a"
    assert headers["X-Prompt-Tokens"] == "1234567890"


def test_no_header_of_an_error_shows_the_prompt(http: Any, serve: Any, caller: Any) -> None:
    """Errors are logged, so what a server repeats of the prompt is hidden."""
    server = serve(http.response(422, "no", X_Request_Id=PROMPT, X_Echo=f"was: {PROMPT}"))
    error = caller(server.url).ask("generate", PROMPT).error
    assert isinstance(error, APIError)
    assert error.headers["X-Echo"] == "was: **********"
    assert PROMPT not in everything(error.headers) + str(error)


def test_a_header_of_an_error_that_is_too_long_is_hidden(
    http: Any, serve: Any, caller: Any
) -> None:
    """A header that is too long to be searched for the prompt is redacted."""
    sent = {"X-Long": f"{'o' * 4096}{PROMPT}", "X-Echo": PROMPT, "X-Node": "gpu-node-17"}
    error = caller(serve(http.response(422, "no", **sent)).url).ask("generate", PROMPT).error
    shown = [error.headers[name] for name in sent]
    assert shown == ["**********", "**********", "gpu-node-17"]


def test_headers_of_an_error_have_as_many_characters_as_are_searched() -> None:
    """All together 4,096; after that a value is hidden, unless it still fits."""
    sent = {"x-a": "a" * 4090, "x-b": "b" * 7, "x-c": "c" * 6, "x-d": "d"}
    shown = {**sent, "x-b": "**********", "x-d": "**********"}
    assert dict(ResponseHeaders(sent).shortened()) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("x-auth-token", "abcdef7", "abcdef7"),
        ("x-auth-token", "abcdefg8", "**********"),
        ("x-limit-tokens", "1234567.25", "1234567.25"),
        ("www-authenticate", 'Bearer realm="tgi"', 'Bearer realm="tgi"'),
        ("x-next", "https://h.invalid/a?b=c", "https://h.invalid/a?b=c"),
        ("content-location", "https://user@h.invalid/a?b=c", "https://h.invalid/a"),
        ("location", "https://[h.invalid/a", ""),
        ("x-echo", f"was {KEY}", "was **********"),
        ("date", f"was {KEY}", f"was {KEY}"),
    ],
)
def test_what_a_header_shows_is_decided_by_its_name_and_value(
    name: str, value: str, shown: str
) -> None:
    """A short value or a number is no secret, and a server's own headers repeat none."""
    redact = Redactor([("authorization", SecretStr(f"Bearer {KEY}"))]).redact
    headers = ResponseHeaders({name: value, "set-cookie": "a=b"}, redact)
    assert headers[name.upper()] == shown
    assert len(headers) == 1
    with pytest.raises(KeyError, match="set-cookie"):
        headers["Set-Cookie"]
    again = headers.with_redacted(lambda text: text.replace("was ", ""))
    assert dict(again) == {name: shown.replace("was ", "")}


@pytest.mark.parametrize("key", [KEY, "12345678901234567890"])
def test_no_header_of_an_error_shows_the_key(
    *, key: str, http: Any, serve: Any, caller: Any
) -> None:
    """Whatever the header's name, and also if the key looks like a number of tokens."""
    names = ("X-Echo", "X-Max-Tokens", "Content-Type", "Server")
    refused = http.response(422, "no", **dict.fromkeys(names, key))
    error = caller(serve(refused).url, api_key=key).ask("generate", PROMPT).error
    assert {error.headers[name] for name in names} == {"**********"}
    assert key not in everything(error.headers)
