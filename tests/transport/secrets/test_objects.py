"""No client, setting or answer shows the key, nor any refusal of a setting that was secret."""

from typing import Any

import pytest
from rich.pretty import pretty_repr

from datacrunch_tgi import ArgumentError, AsyncClient, Client, Settings

KEY = "sk-0123456789/abcdefghij"
PASSWORD = "the-proxys-password"  # noqa: S105 -- made up, and so is the next
TOKEN = "another-header-value"  # noqa: S105
PROMPT = "My name is Olivier and I"


@pytest.mark.parametrize("make", [Client, AsyncClient, Settings])
def test_no_object_shows_a_secret(make: Any, shown: Any) -> None:
    """A client or settings, printed by whatever means."""
    proxy = f"http://user:{PASSWORD}@127.0.0.1:1"
    certificate = ("file.pem", "key.pem", PASSWORD)
    thing = make(
        base_url="https://h.invalid", api_key=KEY, proxy=proxy, client_certificate=certificate, headers={"X-Token": TOKEN}
    )  # fmt: skip
    for text in (str(thing), repr(thing), pretty_repr(thing)):
        assert not shown.secrets(text)
    assert not shown.secrets(shown.own(thing))
    assert not shown.secrets(shown.own(getattr(thing, "settings", thing)))


def test_no_answer_or_event_holds_the_key(http: Any, serve: Any, caller: Any, shown: Any) -> None:
    """Answers and events do not contain the key, printed, dumped or pickled."""
    server = serve(http.answer(), http.stream(http.events("Hi", " you")))
    caller = caller(server.url, api_key=KEY)
    for route in ("generate", "stream"):
        answer = caller.ask(route, PROMPT).answer
        text = shown.own(answer) + answer.model_dump_json()
        assert KEY not in text
        assert PROMPT not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY} "},
        {"api_key": f"{KEY}\u2028"},
        {"api_key": [KEY]},
        {"api_key": KEY.encode()},
        {"headers": {"X-Token": f"{TOKEN}\n"}},
        {"headers": {f"{TOKEN}:": "x"}},
        {"headers": {"X-Token": [TOKEN]}},
        {"headers": TOKEN},
        {"base_url": f"http://user:{PASSWORD}@h.invalid"},
        {"base_url": f"http://{PASSWORD}@h.invalid:port"},
        {"proxy": [f"http://user:{PASSWORD}@h.invalid"]},
        {"proxy": f"user:{PASSWORD}@h.invalid"},
        {"proxy": f"ftp://user:{PASSWORD}@h.invalid"},
        {"proxy": f"http://user:{PASSWORD}@h.invalid:port"},
        {"client_certificate": ["file", "key", PASSWORD, "more"]},
    ],
)
def test_no_refused_setting_is_shown(settings: dict[str, Any], shown: Any) -> None:
    """An invalid secret is not shown."""
    with pytest.raises(ArgumentError) as caught:
        Client(**{"base_url": "http://127.0.0.1:1", **settings})
    assert caught.value.__cause__ is None
    assert not shown.secrets(shown.own(caught.value))
    field = next(iter(settings))
    assert field in str(caught.value)
