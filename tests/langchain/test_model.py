"""The model itself: fields, dumps, and counting tokens."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from langchain_core.language_models.llms import LLM
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.version import VERSION
from pydantic import ValidationError

from datacrunch_tgi import ArgumentError, OverloadedError, RequestTimeoutError
from datacrunch_tgi._protocol._parameters import PARAMETERS
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM, __version__


def test_it_is_an_llm_with_a_version() -> None:
    """`DataCrunchLLM` is a LangChain LLM, and the package has a version."""
    assert issubclass(DataCrunchLLM, LLM)
    assert __version__


def test_traces_carry_the_versions_of_core_and_package() -> None:
    """Metadata has the versions of langchain-core and of this package."""
    llm = DataCrunchLLM(base_url="http://localhost", metadata={"mine": 1})
    assert llm.metadata is not None
    assert llm.metadata["mine"] == 1
    versions = {"langchain-core": VERSION, "datacrunch-tgi": __version__}
    assert llm.metadata["lc_versions"].items() >= versions.items()


async def test_langchains_standard_names_work(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """LangChain's standard parameter names set the request."""
    llm = DataCrunchLLM(
        model="m",
        api_key="sk-1",
        base_url=endpoint.url,
        timeout=7,
        max_retries=0,
        max_tokens=2,
        temperature=0.5,
        stop=["x"],
    )
    assert (llm.timeout, llm.first_token_timeout, llm.max_tokens) == (7.0, 7.0, 2)
    assert await call(llm, "invoke", "Hi") == "Hello there"
    (request,) = endpoint.requests
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.json == {
        "model": "m",
        "inputs": "Hi",
        "parameters": {"max_new_tokens": 2, "temperature": 0.5, "stop": ["x"], "details": True},
    }
    nothing: Any = {"timeout": None, "max_retries": None, "max_tokens": None}
    unset = DataCrunchLLM(base_url=endpoint.url, **nothing)
    assert (unset.timeout, unset.max_retries, unset.max_tokens) == (120.0, 2, None)
    with pytest.raises(
        ValidationError, match=r"timeout=5.*cannot be combined with first_token_timeout"
    ):
        DataCrunchLLM(base_url=endpoint.url, timeout=5, first_token_timeout=6)


async def test_a_call_may_have_settings_of_its_own(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """Settings of a call, such as `model`, take precedence."""
    for method in ("invoke", "stream", "generate"):
        prompt = ["Hi"] if method == "generate" else "Hi"
        result = await call(llm, method, prompt, model="other", max_retries=0)
        if method == "generate":
            ((generation,),) = result.generations
            assert generation.generation_info["model_name"] == "other"
        await call(llm.bind(model="bound"), "invoke", "Hi")
        sent = [request.json["model"] for request in endpoint.requests[-2:]]
        assert sent == ["other", "bound"]
    endpoint.fail_next(status=429)
    with pytest.raises(OverloadedError):
        await call(llm, "invoke", "Hi", max_retries=0)
    endpoint.fail_next(delay=0.5)
    with pytest.raises(RequestTimeoutError, match=r"Raise first_token_timeout \(0\.1 seconds\)"):
        await call(llm, "invoke", "Hi", timeout=0.1)
    with pytest.raises(ArgumentError, match="idle_timeout=-1"):
        await call(llm, "invoke", "Hi", idle_timeout=-1)
    assert llm.model == "llama"


async def test_calls_with_settings_of_their_own_take_the_models_connection(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """Calls with other settings share the model's connection."""
    for name in ("one", "two", "three"):
        await call(llm, "invoke", "Hi", model=name)
    assert endpoint.peak_open_connections == 1


@pytest.mark.parametrize("name", ["api_key", "headers", "proxy", "client_certificate"])
async def test_a_secret_is_no_argument_of_a_call_which_tracers_are_shown(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]], name: str
) -> None:
    """A secret as an argument of a call is refused and not shown."""
    with pytest.raises(ArgumentError, match=f"^{name}: can only be set on the model") as caught:
        await call(llm, "invoke", "Hi", **{name: "sk-secret-too"})
    assert "sk-secret-too" not in f"{caught.value!r}"


def test_a_mistyped_argument_is_refused_with_the_nearest_name() -> None:
    """A misspelt argument is refused with the nearest name."""
    with pytest.raises(ValidationError, match="did you mean 'temperature'"):
        DataCrunchLLM(base_url="http://localhost", temprature=0.5)  # type: ignore[call-arg]


@pytest.mark.parametrize("greedy", [0, 0.0])
async def test_temperature_zero_is_greedy(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], greedy: float
) -> None:
    """`temperature=0` in a call turns sampling off, for that call only."""
    llm = DataCrunchLLM(base_url=endpoint.url, temperature=0.7, top_k=5)
    await call(llm, "invoke", "Hi", temperature=greedy)
    await call(llm, "invoke", "Hi")
    greedily, sampled = (request.json["parameters"] for request in endpoint.requests)
    assert greedily == {"max_new_tokens": 512, "details": True}
    assert sampled == {**greedily, "temperature": 0.7, "top_k": 5}


async def test_the_parameters_of_a_call_stand_over_the_models(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """Parameters of a call take precedence over the model's."""
    llm = DataCrunchLLM(base_url=endpoint.url, max_tokens=9, extra_parameters={"new": 1})
    for method in ("invoke", "stream"):
        await call(llm, method, "Hi", max_tokens=3, details=False)
    for request in endpoint.requests:
        assert request.json["parameters"] == {"max_new_tokens": 3, "details": False, "new": 1}


async def test_the_extra_parameters_of_a_call_are_added_to_the_models(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """Extra parameters of a call are added to the model's."""
    llm = DataCrunchLLM(base_url=endpoint.url, extra_parameters={"new": 1, "newer": 1})
    llm.callbacks = [remembering]
    for method in ("invoke", "stream"):
        await call(llm, method, "Hi", extra_parameters={"newer": 2, "newest": 3})
        sent = endpoint.requests[-1].json["parameters"]
        assert sent == {
            "details": True,
            "max_new_tokens": 512,
            "new": 1,
            "newer": 2,
            "newest": 3,
        }
    for reported in remembering.invocation_params:
        assert reported["extra_parameters"] == {"new": 1, "newer": 2, "newest": 3}
    assert llm.extra_parameters == {"new": 1, "newer": 1}
    with pytest.raises(ArgumentError, match="extra_parameters=5: must be a dict"):
        await call(llm, "invoke", "Hi", extra_parameters=5)


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_tracers_get_what_is_sent(
    endpoint: EmulatedEndpoint,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
) -> None:
    """Tracers get the parameters that are sent."""
    llm = DataCrunchLLM(base_url=endpoint.url, model="m", stop=["a"], max_tokens=5, seed=1)
    config = {"callbacks": [remembering]}
    await call(llm, method, "Hi", stop=["b"], max_tokens=6, temperature=0.5, config=config)
    (reported,), (metadata,) = remembering.invocation_params, remembering.metadata
    sent = endpoint.requests[-1].json["parameters"]
    assert sent.pop("details")
    assert sent["stop"] == ["a", "b"]
    where = {"base_url": endpoint.url, "model": "m", "_type": "datacrunch"}
    assert reported == where | sent
    assert metadata["ls_stop"] == ["a", "b"]
    assert (metadata["ls_temperature"], metadata["ls_max_tokens"]) == (0.5, 6)


async def test_what_the_user_configures_is_sent(
    llm: DataCrunchLLM, call: Callable[..., Awaitable[Any]]
) -> None:
    """`configurable_fields` accepts both names of a parameter."""
    config = {"configurable": {"most": 2}}
    for name in ("max_new_tokens", "max_tokens"):
        configurable = llm.configurable_fields(**{name: ConfigurableField(id="most")})
        chain = PromptTemplate.from_template("{text}") | configurable
        assert await call(chain, "invoke", {"text": "Hi"}, config=config) == "Hello there"


def test_identifying_parameters_are_all_that_is_set_as_json(tmp_path: Path) -> None:
    """`_identifying_params` has every field that is set, as JSON types."""
    parameters: dict[str, Any] = {
        "do_sample": True,
        "max_new_tokens": 5,
        "repetition_penalty": 1.1,
        "return_full_text": True,
        "stop": ("a", "b"),
        "seed": 2**64 - 1,
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 0.5,
        "truncate": 5,
        "typical_p": 0.5,
        "best_of": 1,
        "watermark": True,
        "details": True,
        "decoder_input_details": True,
        "frequency_penalty": 0.1,
        "top_n_tokens": 1,
        "grammar": {"type": "regex", "value": "a"},
        "adapter_id": "one",
    }
    assert parameters.keys() == set(PARAMETERS)
    llm = DataCrunchLLM(
        base_url="http://localhost:8080", model="m", extra_parameters={"new": [1]}, **parameters
    )
    reported = {
        **parameters,
        "stop": ["a", "b"],
        "base_url": "http://localhost:8080",
        "model": "m",
        "extra_parameters": {"new": [1]},
        "_type": "datacrunch",
    }
    assert llm.asdict() == reported
    llm.save(tmp_path / "model.yaml")
    llm.save(tmp_path / "model.json")
    assert yaml.safe_load((tmp_path / "model.yaml").read_text(encoding="utf-8")) == reported
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8")) == reported


@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("name", ["max_tokens", "max_new_tokens"])
async def test_tracers_get_provider_model_and_parameters(
    endpoint: EmulatedEndpoint,
    call: Callable[..., Awaitable[Any]],
    remembering: Any,
    method: str,
    name: str,
) -> None:
    """Tracers get provider, model and parameters, also from a subclass."""

    class Mine(DataCrunchLLM):
        """A subclass, whose name is no provider's."""

    llm = cast("type[DataCrunchLLM]", Mine)(
        base_url=endpoint.url, model="m", temperature=0.5, max_tokens=5
    )
    config = {"callbacks": [remembering]}
    await call(llm, method, "Hi", stop=["x"], config=config)
    await call(llm, method, "Hi", config=config, **{name: 6})
    of_model, of_call = remembering.metadata
    reported = {key: value for key, value in of_model.items() if key.startswith("ls_")}
    assert reported == {
        "ls_provider": "datacrunch",
        "ls_model_type": "llm",
        "ls_model_name": "m",
        "ls_temperature": 0.5,
        "ls_max_tokens": 5,
        "ls_stop": ["x"],
    }
    assert of_call["ls_max_tokens"] == 6


def test_langchains_names_can_be_assigned_and_left_out() -> None:
    """The aliases `max_tokens` and `timeout` can be assigned."""
    llm = DataCrunchLLM(base_url="http://localhost", max_tokens=5, max_new_tokens=None)
    assert llm.max_tokens == 5
    llm.max_tokens, llm.timeout = 6, 7.0
    assert (llm.max_new_tokens, llm.first_token_timeout) == (6, 7.0)
