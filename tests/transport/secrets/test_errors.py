"""No error shows the key, whatever went wrong, also where the server repeats it; nor the prompt."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import DataCrunchError

KEY = "sk-0123456789/abcdefghij"
PASSWORD = "the-proxys-password"  # noqa: S105 -- made up, and so are all
TOKEN = "another-header-value"  # noqa: S105
PROMPT = "My name is Olivier and I"

pytestmark = pytest.mark.usefixtures("without_waits")

FAULTS: dict[str, Callable[[Any], Any]] = {
    "401": lambda http: http.response(401),
    "422": lambda http: http.json(422, {"error": "no", "error_type": "validation"}),
    "500": lambda http: http.response(500),
    "redirect": lambda http: http.response(302, location="http://elsewhere.invalid/"),
    "garbage": lambda http: http.response(200, b"{", content_type="text/event-stream"),
    "reset": lambda _: lambda peer: peer.reset(),
    "reset in body": lambda http: lambda peer: (peer.send(http.head() + b"5\r\nda"), peer.reset()),
    "silence": lambda _: lambda peer: peer.wait_until_left(),
    "not http": lambda _: lambda peer: (peer.send(b"220 ESMTP\r\n"), peer.close()),
    "event": lambda http: http.stream(http.data({"error": "no", "error_type": "generation"})),
}
ECHOES: dict[str, Callable[[Any], Any]] = {
    "text": lambda http: http.response(401, f"Invalid key {KEY}!", content_type="text/plain"),
    "at the cut": lambda http: http.response(401, "x " * 145 + KEY, content_type="text/plain"),
    "long before": lambda http: http.response(401, "<p " + "x" * 4080 + f">{KEY}</p>"),
    "html": lambda http: http.response(403, f"<b>{KEY}</b>", content_type="text/html"),
    "json": lambda http: http.json(401, {"error": f"Bearer {KEY} is unknown"}),
    "escaped": lambda http: http.response(401, json.dumps({"error": KEY}).replace("/", "\\/")),
    "type": lambda http: http.json(401, {"error": "no", "error_type": KEY}),
    "echo in an event": lambda http: http.stream(
        http.data({"error": KEY, "error_type": "validation"})
    ),
}


@pytest.mark.parametrize("route", ["generate", "stream"])
@pytest.mark.parametrize("fault", [*FAULTS, *ECHOES])
def test_no_error_holds_a_secret(
    *, fault: str, route: str, http: Any, serve: Any, caller: Any, shown: Any
) -> None:
    """No error contains a secret, in attributes, traceback, pickle or copy."""
    server = serve({**FAULTS, **ECHOES}[fault](http))
    settings = {"api_key": KEY, "headers": {"X-Token": TOKEN}, "max_retries": 1}
    limit = 0.5 if fault == "silence" else 30
    caller = caller(server.url, first_token_timeout=limit, deadline=limit, **settings)
    error = caller.ask(route, PROMPT).error
    assert isinstance(error, DataCrunchError)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert not shown.secrets(shown.own(error) + shown.trace(error))
    assert PROMPT not in shown.own(error)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("route", ["generate", "stream"])
@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:1", "http://nowhere.invalid", "https://nowhere.invalid"]
)
@pytest.mark.parametrize("proxy", [None, f"http://user:{PASSWORD}@127.0.0.1:1"])
def test_no_error_of_connecting_holds_a_secret(
    *, base_url: str, proxy: str | None, route: str, caller: Any, shown: Any
) -> None:
    """No connection error contains the key or the proxy's password."""
    error = caller(base_url, api_key=KEY, proxy=proxy, max_retries=0).ask(route, PROMPT).error
    assert not shown.secrets(shown.own(error) + shown.trace(error))
    assert PROMPT not in shown.own(error)


@pytest.mark.parametrize("route", ["generate", "stream"])
def test_no_redirect_shows_a_secret(
    *, route: str, http: Any, serve: Any, caller: Any, shown: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of a redirect does not show a secret in its address."""
    caplog.set_level(logging.INFO, "httpcore")  # which logs the headers of every response at DEBUG
    server = serve(http.response(302, location=f"http://user:{KEY}@h.invalid/?key={KEY}"))
    error = caller(server.url, api_key=KEY).ask(route, PROMPT).error
    assert "h.invalid" in error.hint
    assert not shown.secrets(shown.own(error) + shown.trace(error))
