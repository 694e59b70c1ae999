"""A model creates its clients once, and again only if its settings change."""

import pickle
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from datacrunch_tgi import Client
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

NOBODY = "http://127.0.0.1:9"
"""An address where no proxy is."""


def _clients_made_by(action: Callable[[], Any]) -> int:
    """How many clients for threads an action makes."""
    made = 0

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal made
        if event == "call" and frame.f_code is Client._connect.__code__:  # noqa: SLF001 -- every client is made there
            made += isinstance(frame.f_locals["self"], Client)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        action()
    finally:
        sys.setprofile(before)
    return made


@pytest.mark.parametrize(
    "settings",
    [{}, {"connect_timeout": 5, "deadline": 60}, {"ca_bundle": Path("authorities.pem")}],
    ids=["defaults", "whole seconds", "path"],
)
@pytest.mark.parametrize("proxy", [None, "http://user:password@127.0.0.1:9"])
def test_a_model_makes_one_client(
    settings: dict[str, Any], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model creates its clients once, whatever its settings."""
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)

    def make_and_use() -> None:
        llm = DataCrunchLLM(base_url="http://model.invalid/", api_key="key", **settings)
        assert llm.client is llm.client
        assert llm.async_client is llm.model_copy(update={"seed": 1}).async_client

    assert _clients_made_by(make_and_use) == 1


def test_calls_share_one_client_after_a_setting_has_changed(endpoint: EmulatedEndpoint) -> None:
    """After a setting is assigned, all calls share one new client."""
    llm: Any = DataCrunchLLM(base_url=endpoint.url)
    before = llm.client
    llm.connect_timeout = 5
    llm.ca_bundle = Path("authorities.pem")

    def call() -> None:
        for seed in range(3):
            llm.invoke("Hi", seed=seed)

    assert _clients_made_by(call) == 1
    assert llm.client is not before
    assert llm.client.settings.connect_timeout == 5


def test_copies_share_the_clients_until_their_settings_differ() -> None:
    """A copy shares the clients unless its settings differ."""
    llm = DataCrunchLLM(base_url="http://model.invalid", api_key="key")
    assert llm.model_copy().client is llm.client
    other = llm.model_copy(update={"model": "other"})
    assert (llm.client.model, other.client.model) == ("tgi", "other")
    again = pickle.loads(pickle.dumps(llm))
    assert again.client is again.client is not llm.client


async def test_the_environments_proxy_is_chosen_for_each_address(
    endpoint: EmulatedEndpoint,
    call: Callable[..., Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_PROXY is applied again when `base_url` changes."""
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    llm: Any = DataCrunchLLM(base_url="http://model.invalid", max_retries=0)
    assert llm.proxy is None
    copy = llm.model_copy(update={"base_url": endpoint.url})
    assert await call(copy, "invoke", "Hi") == "Hello there, my friend"
    llm.base_url = endpoint.url
    assert await call(llm, "invoke", "Hi") == "Hello there, my friend"
