"""An answer ends before the earliest stop string, wherever tokens begin and end, on every path."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

ASK = "Say this after me:"


@pytest.fixture(scope="module")
def echo() -> Iterator[EmulatedEndpoint]:
    """An endpoint with scripted answers."""
    with EmulatedEndpoint(answers=lambda prompt: prompt.removeprefix(ASK)) as endpoint:
        yield endpoint


@settings(max_examples=60)
@given(
    text=st.text("ab .\n", min_size=1, max_size=40),
    defaults=st.lists(st.text("ab .\n", min_size=1, max_size=4), max_size=3),
    stop=st.lists(st.text("ab .\n", min_size=1, max_size=4), max_size=4),
)
def test_every_path_ends_at_the_earliest_stop_string(
    echo: EmulatedEndpoint, text: str, defaults: list[str], stop: list[str]
) -> None:
    """Every method ends an answer at the earliest stop string."""
    ends = {*defaults, *stop}
    # Inside a longer one, a server stops at the shorter one, and never says the rest of the longer.
    assume(not any(one != other and one in other for one in ends for other in ends))
    llm = DataCrunchLLM(base_url=echo.url, stop=defaults)
    prompt = ASK + text
    expected = min((text.partition(end)[0] for end in ends), key=len, default=text)

    async def astreamed() -> list[str]:
        return [part async for part in llm.astream(prompt, stop=stop)]

    assert llm.invoke(prompt, stop=stop) == expected
    assert "".join(llm.stream(prompt, stop=stop)) == expected
    assert asyncio.run(llm.ainvoke(prompt, stop=stop)) == expected
    assert "".join(asyncio.run(astreamed())) == expected


async def test_no_more_stop_strings_are_sent_than_the_server_takes_and_none_twice(
    echo: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """At most `max_stop_sequences` stop strings are sent, without duplicates."""
    llm = DataCrunchLLM(base_url=echo.url, stop=["A", "B"], streaming=True)
    seen = len(echo.requests)
    assert await call(llm, "invoke", ASK + "one F two", stop=["B", "C", "D", "E", "F"]) == "one "
    (request,) = echo.requests[seen:]
    assert request.json["parameters"]["stop"] == ["A", "B", "C", "D"]


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_a_stop_string_that_spans_tokens_is_not_shown(
    echo: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """No part of a stop string is shown, even if it spans tokens."""
    llm = DataCrunchLLM(base_url=echo.url)
    text = "I think\nObservation: 42"
    answer = await call(llm, method, ASK + text, stop=["\nObservation:"])
    assert "".join(answer) == "I think"


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_one_stop_string_may_be_given_without_a_list(
    echo: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], method: str
) -> None:
    """A single stop string is accepted without a list."""
    llm: Any = DataCrunchLLM(base_url=echo.url)
    answer = await call(llm, method, ASK + "one two", stop="two")
    assert "".join(answer) == "one "
    copy = llm.model_copy(update={"stop": "two"})
    llm.stop = "two"
    for model in (llm, copy, llm.bind(stop="three")):
        assert "".join(await call(model, method, ASK + "one two")) == "one "
        assert echo.requests[-1].json["parameters"]["stop"][0] == "two"
