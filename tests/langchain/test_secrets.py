"""The key goes to the endpoint and nowhere else."""

import json
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumpd, dumps, load
from pydantic import BaseModel, ValidationError

from datacrunch_tgi import ArgumentError, NotFoundError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

KEY = "sk-secret"
PASSWORD = "hunter2"  # noqa: S105 -- made up, and looked for in what must not hold it


@pytest.fixture
def secretive(endpoint: EmulatedEndpoint) -> DataCrunchLLM:
    """A model with a secret in each setting that may hold one."""
    return DataCrunchLLM(
        base_url=endpoint.url,
        api_key=KEY,
        headers={"X-Key": PASSWORD},
        client_certificate=("cert.pem", "key.pem", PASSWORD),
    )


async def test_the_endpoint_gets_the_key_that_was_given(
    endpoint: EmulatedEndpoint,
    call: Callable[..., Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The given key is sent, and no key of the environment."""
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "DATACRUNCH_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-environment")
    llm = DataCrunchLLM(base_url=endpoint.url, api_key=KEY)
    await call(llm, "invoke", "Hi")
    await call(llm, "stream", "Hi")
    for request in endpoint.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert "sk-of-the-environment" not in f"{request.headers}{request.body!r}"


async def test_without_a_key_no_other_variable_is_sent(
    endpoint: EmulatedEndpoint,
    call: Callable[..., Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys for other services are never sent."""
    for name in ("HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-of-another")
    await call(DataCrunchLLM(base_url=endpoint.url), "invoke", "Hi")
    assert "authorization" not in endpoint.requests[0].headers


async def test_a_redirect_does_not_carry_the_key_elsewhere(
    endpoint: EmulatedEndpoint,
    serve: Callable[..., EmulatedEndpoint],
    secretive: DataCrunchLLM,
    call: Callable[..., Awaitable[Any]],
) -> None:
    """A redirect is not followed, so the key does not reach another host."""
    elsewhere = serve(answers="Thank you")
    endpoint.fail_next(status=307, headers={"Location": f"{elsewhere.url}/generate"})
    llm = DataCrunchLLM(base_url=endpoint.url, api_key=secretive.api_key)
    with pytest.raises(NotFoundError, match="Redirect"):
        await call(llm, "invoke", "Hi")
    assert not elsewhere.requests


def test_nothing_that_shows_or_stores_a_model_shows_the_key(
    secretive: DataCrunchLLM, tmp_path: Path
) -> None:
    """No representation or dump of a model contains the key."""
    secretive.save(tmp_path / "model.yaml")
    secretive.save(tmp_path / "model.json")
    shown = [
        repr(secretive),
        str(secretive),
        repr(secretive.model_dump()),
        secretive.model_dump_json(),
        repr(secretive.asdict()),
        dumps(secretive),
        dumps(secretive | str.upper),
        (tmp_path / "model.yaml").read_text(encoding="utf-8"),
        (tmp_path / "model.json").read_text(encoding="utf-8"),
    ]
    for text in shown:
        assert KEY not in text
        assert PASSWORD not in text


async def test_no_callback_gets_the_key(
    endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]], remembering: Any
) -> None:
    """Callbacks get neither the key nor the headers."""
    llm = DataCrunchLLM(base_url=endpoint.url, api_key=KEY, headers={"X-Key": PASSWORD})
    for method in ("invoke", "stream"):
        await call(llm, method, "Hi", config={"callbacks": [remembering]})
    reported = repr([remembering.serialized, remembering.invocation_params, remembering.metadata])
    assert endpoint.url in reported
    assert KEY not in reported
    assert PASSWORD not in reported


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_a_dump_is_loaded_with_the_key_of_the_environment(
    endpoint: EmulatedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump is loaded with the key of the environment."""
    llm = DataCrunchLLM(
        base_url=endpoint.url,
        api_key=KEY,
        model="llama",
        max_tokens=7,
        temperature=0,
        stop=["a", "b"],
        extra_parameters={"new": 1},
        streaming=True,
        max_retries=0,
    )
    dumped = dumpd(llm)
    secret = {"lc": 1, "type": "secret", "id": ["DATACRUNCH_API_KEY"]}
    assert dumped["kwargs"]["api_key"] == secret
    monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-of-the-environment")
    loaded = load(
        json.loads(json.dumps(dumped)),
        allowed_objects=[DataCrunchLLM],
        valid_namespaces=["langchain_datacrunch"],
        secrets_from_env=True,
    )
    assert isinstance(loaded, DataCrunchLLM)
    assert loaded.api_key is not None
    assert loaded.api_key.get_secret_value() == "sk-of-the-environment"
    assert dumpd(loaded) == dumped
    assert loaded.model_dump() == llm.model_dump()


async def test_a_pickle_works_elsewhere_and_holds_the_key(
    llm: DataCrunchLLM, endpoint: EmulatedEndpoint, call: Callable[..., Awaitable[Any]]
) -> None:
    """Pickles and deep copies work and contain the key."""
    await call(llm, "invoke", "Hi")  # with open connections too
    for copied in (pickle.loads(pickle.dumps(llm)), llm.model_copy(deep=True)):
        assert await call(copied, "invoke", "Hi") == "Hello there, my friend"
        assert endpoint.requests[-1].headers["authorization"] == f"Bearer {KEY}"


class _Pipeline(BaseModel):
    llm: DataCrunchLLM


@pytest.mark.parametrize(
    "make",
    [
        lambda given: DataCrunchLLM(**given),
        DataCrunchLLM.model_validate,
        lambda given: DataCrunchLLM.model_validate_json(json.dumps(given)),
        lambda given: _Pipeline.model_validate({"llm": given}),
    ],
    ids=["init", "model_validate", "model_validate_json", "within another"],
)
@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        ({"temprature": 1}, "temprature: no such parameter"),
        ({"temperature": -1}, "temperature=-1: must be"),
        ({"connect_timeout": -1}, "connect_timeout"),
        ({"streaming": "perhaps"}, "streaming"),
        ({"api_key": f"{KEY}\n"}, "api_key: must not contain white space"),
        ({"api_key": [KEY]}, "api_key"),
        ({"headers": {"X-Key": [PASSWORD]}}, "headers"),
    ],
)
def test_what_is_refused_holds_no_secret(
    make: Callable[[dict[str, Any]], Any], wrong: dict[str, Any], reported: str
) -> None:
    """Neither the refused value nor those beside it, however the error is looked at."""
    given: dict[str, Any] = {
        "base_url": "http://localhost",
        "api_key": KEY,
        "proxy": f"http://user:{PASSWORD}@localhost",
        "headers": {"X-Key": PASSWORD},
        "client_certificate": ("cert.pem", "key.pem", PASSWORD),
    }
    with pytest.raises(ValidationError) as caught:
        make(given | wrong)
    error = caught.value
    assert reported in str(error)
    assert error.__cause__ is error.__context__ is None
    for shown in (str(error), repr(error), repr(error.errors()), error.json()):
        assert KEY not in shown
        assert PASSWORD not in shown


def test_a_refusal_has_the_argument_error_behind_it() -> None:
    """A `ValidationError` has the `ArgumentError` in its context."""
    with pytest.raises(ValidationError) as caught:
        DataCrunchLLM(base_url="http://localhost", temperature=-1.0)
    (reported,) = caught.value.errors()
    assert reported["type"] == "value_error"
    behind = reported["ctx"]["error"]
    assert isinstance(behind, ArgumentError)
    assert (behind.field, behind.value) == ("temperature", "-1.0")
