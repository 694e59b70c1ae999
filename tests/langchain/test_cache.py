"""Everything that may change an answer is part of the cache key, wherever it is set."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache

from datacrunch_tgi import ArgumentError, ChatTemplate
from datacrunch_tgi._protocol._parameters import PARAMETERS
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM

Call = Callable[..., Awaitable[Any]]
REGEX = {"type": "regex", "value": ".*"}
TWO_VALUES: dict[str, tuple[Any, Any]] = {
    "do_sample": (None, True),
    "max_new_tokens": (5, 6),
    "repetition_penalty": (1.1, 1.2),
    "return_full_text": (None, True),
    "stop": (["a"], ["a", "b"]),
    "seed": (1, 2),
    "temperature": (0.5, 0.6),
    "top_k": (5, 6),
    "top_p": (0.5, 0.6),
    "truncate": (5, 6),
    "typical_p": (0.5, 0.6),
    "best_of": (None, 1),
    "watermark": (None, True),
    "details": (None, False),
    "decoder_input_details": (None, True),
    "frequency_penalty": (0.1, 0.2),
    "top_n_tokens": (1, 2),
    "grammar": (None, REGEX),
    "adapter_id": ("one", "two"),
}
TWO_VALUES |= {"model": ("one", "two"), "extra_parameters": ({"new": 1}, {"new": 2})}
WITHOUT_EFFECT: dict[str, tuple[Any, Any]] = {
    "connect_timeout": (5.0, 6.0),
    "first_token_timeout": (50.0, 60.0),
    "idle_timeout": (50.0, 60.0),
    "deadline": (50.0, 60.0),
    "pool_timeout": (50.0, 60.0),
    "startup_timeout": (50.0, 60.0),
    "server_hostname": ("one", "two"),
    "engine": (None, "fast"),
    "max_retries": (0, 1),
    "max_connections": (5, 6),
    "max_stop_sequences": (2, 3),
    "tokenizer": (str.split, list),
    "streaming": (False, True),
    "api_key": ("sk-1", "sk-2"),
    "headers": ({"X-Team": "a"}, {"X-Team": "b"}),
}
EACH_FIELD = pytest.mark.parametrize("name", TWO_VALUES)


def test_every_parameter_is_tried() -> None:
    """These tests cover every parameter."""
    assert {*TWO_VALUES} == {*PARAMETERS, "model", "extra_parameters"}


@pytest.mark.parametrize("kind", [DataCrunchLLM, ChatDataCrunch])
@pytest.mark.parametrize("name", WITHOUT_EFFECT)
async def test_what_does_not_change_an_answer_is_no_part_of_the_key(
    endpoint: EmulatedEndpoint, cache: InMemoryCache, call: Call, name: str, kind: Any
) -> None:
    """Time limits, functions and connections are not part of the cache key."""
    for value in WITHOUT_EFFECT[name]:
        model = kind(base_url=endpoint.url, model="llama-2-13b-chat", cache=cache, **{name: value})
        await call(model, "invoke", "How are you")
        if name in kind._call_arguments:  # noqa: SLF001 -- of calls, not all fields
            await call(model, "invoke", "How are you", **{name: value})
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("chat_template", ("llama-2", "chatml", ChatTemplate("{{ messages[0].content }}"))),
        ("logprobs", (False, True)),
        ("top_logprobs", (None, 2)),
        ("temperature", (None, 0.5)),
    ],
)
async def test_a_chats_key_has_what_changes_its_message(
    endpoint: EmulatedEndpoint, cache: InMemoryCache, call: Call, name: str, values: Any
) -> None:
    """Options of a chat that change its message are part of the cache key."""
    for value in values * 2:
        chat = ChatDataCrunch(
            base_url=endpoint.url, **{"model": "llama-2-13b-chat", "cache": cache, name: value}
        )
        await call(chat, "invoke", "How are you")
    assert len(endpoint.requests) == len(values)


@pytest.fixture
def cache() -> InMemoryCache:
    return InMemoryCache()


@EACH_FIELD
async def test_models_that_differ_in_one_field_share_no_answer(
    endpoint: EmulatedEndpoint, cache: InMemoryCache, call: Callable[..., Awaitable[Any]], name: str
) -> None:
    """Every parameter of the model is part of the cache key."""
    for value in TWO_VALUES[name] * 2:
        llm = DataCrunchLLM(base_url=endpoint.url, cache=cache, **{name: value})
        await call(llm, "invoke", "How are you")
    assert len(endpoint.requests) == 2


@EACH_FIELD
async def test_calls_that_differ_in_one_field_share_no_answer(
    endpoint: EmulatedEndpoint, cache: InMemoryCache, call: Callable[..., Awaitable[Any]], name: str
) -> None:
    """Every parameter of a call is part of the cache key."""
    llm = DataCrunchLLM(base_url=endpoint.url, cache=cache)
    for value in TWO_VALUES[name] * 2:
        await call(llm, "invoke", "How are you", **{name: value})
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("method", ["invoke", "generate", "batch"])
async def test_bound_parameters_are_part_of_the_key_on_every_path(
    endpoint: EmulatedEndpoint,
    cache: InMemoryCache,
    call: Callable[..., Awaitable[Any]],
    method: str,
) -> None:
    """Bound parameters are part of the cache key in invoke, batch and generate."""
    llm = DataCrunchLLM(base_url=endpoint.url, cache=cache, do_sample=True)
    for seed in (1, 2, 1, 2):
        if method == "generate":
            await call(llm, "generate", ["Hi"], seed=seed)
        else:
            await call(llm.bind(seed=seed), method, ["Hi"] if method == "batch" else "Hi")
    assert [request.json["parameters"]["seed"] for request in endpoint.requests] == [1, 2]


async def test_a_stop_string_of_the_model_and_the_same_of_the_call_are_one_key(
    endpoint: EmulatedEndpoint, cache: InMemoryCache, call: Callable[..., Awaitable[Any]]
) -> None:
    """The same stop string gives the same cache key, on the model or in the call."""
    one = DataCrunchLLM(base_url=endpoint.url, cache=cache, stop=["friend"])
    other = DataCrunchLLM(base_url=endpoint.url, cache=cache)
    assert await call(one, "invoke", "Hi") == "Hello there, my "
    assert await call(other, "invoke", "Hi", stop=["friend"]) == "Hello there, my "
    assert await call(other, "invoke", "Hi") == "Hello there, my friend"
    assert len(endpoint.requests) == 2


async def test_models_and_endpoints_share_no_answer(
    serve: Callable[..., EmulatedEndpoint],
    cache: InMemoryCache,
    call: Callable[..., Awaitable[Any]],
) -> None:
    """URL, model and extra parameters are part of the cache key."""
    one, other = serve(answers="one"), serve(answers="other")
    for endpoint in (one, other):
        for model in ("a", "b"):
            for extra in ({}, {"new": 1}):
                llm = DataCrunchLLM(
                    base_url=endpoint.url, model=model, extra_parameters=extra, cache=cache
                )
                for _ in range(2):
                    expected = "one" if endpoint is one else "other"
                    assert await call(llm, "invoke", "Hi") == expected
    assert (len(one.requests), len(other.requests)) == (4, 4)


async def test_callbacks_get_the_parameters_of_the_call(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """Callbacks get the parameters of the call, not only the model's."""
    config = {"callbacks": [remembering]}
    for method in ("invoke", "stream"):
        await call(llm, method, "Hi", config=config, temperature=0.5, stop=["x"])
    for reported, metadata in zip(remembering.invocation_params, remembering.metadata, strict=True):
        assert (reported["temperature"], reported["stop"]) == (0.5, ["x"])
        assert metadata["ls_temperature"] == 0.5


async def test_a_mistyped_parameter_is_refused_although_the_answer_is_known(
    llm: DataCrunchLLM, cache: InMemoryCache, call: Callable[..., Awaitable[Any]]
) -> None:
    """A misspelt parameter is refused even if the answer is cached."""
    llm.cache = cache
    await call(llm, "invoke", "Hi")
    with pytest.raises(ArgumentError, match=r"temprature.*did you mean 'temperature'"):
        await call(llm, "invoke", "Hi", temprature=0.5)


async def test_an_answer_from_the_cache_is_the_answer(
    llm: DataCrunchLLM, cache: InMemoryCache, call: Callable[..., Awaitable[Any]]
) -> None:
    """A cached result equals the generated one and counts no usage."""
    llm.cache = cache
    first = await call(llm, "generate", ["Hi", "Ho"])
    again = await call(llm, "generate", ["Hi", "Ho"])
    assert again.generations == first.generations
    assert again.llm_output == {}  # nothing was generated


async def test_a_call_leaves_the_model_as_it_was(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]]
) -> None:
    """Parameters of a call do not change the model."""
    before = llm.model_dump()
    await call(llm, "invoke", "Hi", temperature=0.5, stop=["x"])
    assert llm.model_dump() == before
