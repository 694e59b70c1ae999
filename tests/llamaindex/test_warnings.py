"""What the log says once, at WARNING: chats without a template, and usage that a server does not report."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from datacrunch_tgi._integration._warnings import warn_once
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

Ask = Callable[..., Awaitable[list[Any]]]
Serve = Callable[..., EmulatedEndpoint]


@pytest.fixture(autouse=True)
def _nothing_logged_yet() -> Iterator[None]:
    warn_once.cache_clear()
    yield
    warn_once.cache_clear()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


async def test_a_chat_without_a_template_says_so_once(
    endpoint: EmulatedEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the model and the settings that help; with one of them, nothing is said."""
    llm = DataCrunch(base_url=endpoint.url, model="mine", tokenizer=str.split)
    for _ in range(2):
        llm.chat([ChatMessage("Hi")])
        await llm.achat([ChatMessage("Hi")])
    (said,) = warnings(caplog)
    assert "no chat template is known for model 'mine'" in said
    assert "set chat_template to the model's own, as the path of its tokenizer_config.json" in said
    assert "fetch_server_limits" in said
    caplog.clear()
    for options in ({"chat_template": "llama-2"}, {"messages_to_prompt": lambda _: "Hi"}):
        known = DataCrunch(base_url=endpoint.url, model="other", tokenizer=str.split, **options)
        known.chat([ChatMessage("Hi")])
    llm.complete("Hi")
    assert warnings(caplog) == []


async def test_usage_that_is_not_reported_is_said_once(
    serve: Serve, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """The fork reports no prompt tokens; the warning says how to count them."""
    endpoint = serve(answers="Hello", dialect="1.1.1")
    for _ in range(2):
        await ask(DataCrunch(base_url=endpoint.url, chat_template="llama-2"))
    (said,) = warnings(caplog)
    assert endpoint.url in said
    assert "`tokenizer`" in said
    caplog.clear()
    other = serve(answers="Hello", dialect="1.1.1")
    await ask(DataCrunch(base_url=other.url, chat_template="llama-2", tokenizer=str.split))
    assert warnings(caplog) == []


@pytest.mark.parametrize("way", ["fetch_server_limits", "afetch_server_limits"])
async def test_the_servers_limits_bring_its_models_template(serve: Serve, way: str) -> None:
    """Only where nothing is set or known, and nothing is requested before."""
    endpoint = serve(answers="Hello", model_id="meta-llama/Llama-2-7b-chat-hf")

    async def fetch(**options: Any) -> DataCrunch:
        made: Any = getattr(DataCrunch(base_url=endpoint.url, **options), way)()
        llm: DataCrunch = await made if hasattr(made, "__await__") else made
        return llm

    llm = await fetch()
    assert llm.metadata.is_chat_model
    llm.chat([ChatMessage("Hi")])
    assert endpoint.requests[-1].json["inputs"] == "[INST] Hi [/INST]"
    assert DataCrunch.from_dict(llm.to_dict()).metadata.is_chat_model
    assert (await fetch(chat_template="chatml")).chat_template == "chatml"
    assert (await fetch(messages_to_prompt=lambda _: "Hi")).template is None
    assert (await fetch(is_chat_model=False)).metadata.is_chat_model is False
