"""Tests of the helpdesk, without a model. The package provides the fixture `emulated_endpoint`."""
# ruff: noqa: S101 -- assert is how pytest works

from collections.abc import Callable

from helpdesk import helpdesk

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

Start = Callable[..., EmulatedEndpoint]


def test_the_answer_is_its_first_line(emulated_endpoint: Start) -> None:
    endpoint = emulated_endpoint(answers=" Send the key.\nAnything else?")
    llm = DataCrunchLLM(base_url=endpoint.url)
    assert helpdesk(llm, "How do I authenticate?") == "Send the key."


def test_the_prompt_has_the_format_of_the_model(emulated_endpoint: Start) -> None:
    endpoint = emulated_endpoint(answers="Hello")
    helpdesk(DataCrunchLLM(base_url=endpoint.url), "Hi")
    assert endpoint.requests[0].json["inputs"] == "[INST] Hi [/INST]"


def test_a_failure_is_an_apology(emulated_endpoint: Start) -> None:
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(status=503)
    llm = DataCrunchLLM(base_url=endpoint.url, max_retries=0)
    assert "try again later" in helpdesk(llm, "Hi")
