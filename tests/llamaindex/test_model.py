"""The model itself: arguments, metadata, copies, dumps and help()."""

import copy
import inspect
import json
import pickle
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms import CustomLLM
from pydantic import BaseModel, ValidationError

import llamaindex_datacrunch
from datacrunch_tgi import ArgumentError, __version__
from datacrunch_tgi._integration._arguments import CallArguments
from datacrunch_tgi._settings import SettingsArguments
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch
from llamaindex_datacrunch._arguments import ChatCall, CompletionCall, DataCrunchArguments

COPIES: dict[str, Callable[[DataCrunch], DataCrunch]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "model_copy": lambda model: model.model_copy(),
    "deep model_copy": lambda model: model.model_copy(deep=True),
}
DUMPS: dict[str, Callable[[DataCrunch], DataCrunch]] = {
    "dict": lambda model: DataCrunch.from_dict(model.to_dict()),
    "json": lambda model: DataCrunch.from_json(model.to_json()),
    "pydantic": lambda model: DataCrunch.model_validate(model.model_dump()),
    "pydantic json": lambda model: DataCrunch.model_validate_json(model.model_dump_json()),
}


@pytest.fixture
def locked(serve: Callable[..., EmulatedEndpoint]) -> EmulatedEndpoint:
    """An endpoint that asks for the key."""
    return serve(answers="Hello there, my friend", api_key="sk-secret")


@pytest.fixture
def model(locked: EmulatedEndpoint) -> DataCrunch:
    return DataCrunch(
        base_url=locked.url,
        api_key="sk-secret",
        headers={"X-Tenant": "sk-tenant"},
        model="llama",
        max_tokens=3,
        stop=["friend"],
        context_window=2048,
        ca_bundle=Path("authorities.pem"),
    )


def test_it_is_an_llm_of_llamaindex() -> None:
    """`DataCrunch` is a LlamaIndex LLM."""
    assert issubclass(DataCrunch, CustomLLM)
    assert BaseLLM.__name__ in [base.__name__ for base in DataCrunch.__mro__]
    assert DataCrunch.class_name() == "DataCrunch"


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
async def test_a_copy_works_as_the_model_does(
    model: DataCrunch, locked: EmulatedEndpoint, copied: Callable[[DataCrunch], DataCrunch]
) -> None:
    """Copies and pickles send the same requests."""
    model.complete("Hi")  # with a connection open, which a copy cannot take along
    other = copied(model)
    assert other.complete("Hi").text == "Hello there,"
    assert (await other.acomplete("Hi")).text == "Hello there,"
    first, *others = [request.json for request in locked.requests]
    assert others == [first, first]
    assert other.metadata == model.metadata


def test_a_copy_with_other_values_is_checked_as_a_model_is(
    model: DataCrunch, locked: EmulatedEndpoint
) -> None:
    """Every spelling is understood, and a misspelt or wrong value is refused."""
    other = model.model_copy(update={"max_tokens": 2, "timeout": 7.0, "stop": "you"})
    other.complete("Hi")
    parameters = locked.requests[-1].json["parameters"]
    assert (parameters["max_new_tokens"], parameters["stop"], other.timeout) == (2, ["you"], 7.0)
    assert (model.max_tokens, model.timeout) == (3, 120.0)
    for wrong in ({"max_token": 2}, {"max_tokens": -1}, {"timeout": "soon"}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            model.model_copy(update=wrong)


def test_a_pickle_does_not_change_by_use(model: DataCrunch) -> None:
    """What is found, counted and traced is no part of it."""
    model = model.model_copy(update={"chat_template": "llama-2", "tokenizer": str.split})
    before = pickle.dumps(model)
    assert model.chat([ChatMessage("Hi")]).message.content
    assert model.metadata.is_chat_model
    assert pickle.dumps(model) == before


def test_the_lists_of_arguments_agree() -> None:
    """What checkers and editors see is what a model, and a call, accepts."""
    aliases = {"max_tokens", "timeout"}
    assert {*get_type_hints(DataCrunchArguments)} == {*DataCrunch.model_fields} | aliases
    options = {"tools", "tool_choice", "tool_required", "allow_parallel_tool_calls", "tool_names"}
    accepted = DataCrunch._call_arguments  # noqa: SLF001 -- nothing public lists them
    assert {*get_type_hints(CompletionCall)} == accepted
    assert {*get_type_hints(ChatCall)} == accepted | options
    settings = get_type_hints(SettingsArguments)
    for name, hint in get_type_hints(CallArguments).items():
        assert settings.get(name, hint) == hint


def test_help_is_readable() -> None:
    """Every argument has a line; nothing but a signature is long, and no signature is very long."""
    plain = pydoc.plaintext  # type: ignore[attr-defined]  # typeshed lacks it
    shown = pydoc.render_doc(DataCrunch, renderer=plain).splitlines()
    signature = f"DataCrunch{inspect.signature(DataCrunch)}"
    assert signature.startswith("DataCrunch(*, base_url: str")
    assert len(signature) <= 2000
    long = [line for line in shown[:60] if len(line) > 200]  # Python 3.13 breaks a signature's line
    assert all(line.endswith(signature) for line in long)
    for name in get_type_hints(DataCrunchArguments).keys() - {
        "max_tokens",
        "timeout",
        "callback_manager",
    }:
        assert any(line.startswith(f" |      {name} (") for line in shown), name


@pytest.mark.parametrize("restored", DUMPS.values(), ids=DUMPS.keys())
def test_a_dump_gives_the_model_back_with_the_key_of_the_environment(
    model: DataCrunch,
    locked: EmulatedEndpoint,
    restored: Callable[[DataCrunch], DataCrunch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dump is loaded with the key of the environment."""
    monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-secret")
    assert restored(model).complete("Hi").text == "Hello there,"
    assert locked.requests[-1].json["parameters"] == {
        "details": True,
        "max_new_tokens": 3,
        "stop": ["friend"],
    }
    assert restored(model).metadata == model.metadata


def test_a_model_within_another_is_dumped_and_read_again(model: DataCrunch) -> None:
    """A model that is a field of another can be dumped and validated."""

    class Pipeline(BaseModel):
        model: DataCrunch

    pipeline = Pipeline.model_validate(Pipeline(model=model).model_dump())
    assert pipeline.model.base_url == model.base_url


def test_no_secret_is_shown_or_dumped(model: DataCrunch) -> None:
    """No representation or dump of a model contains a secret."""
    shown = (
        repr(model),
        str(model),
        f"{model.to_dict()}",
        model.to_json(),
        model.model_dump_json(),
        f"{model.to_payload()}",
        f"{model.metadata}",
        f"{model.client!r} {model.async_client!r}",
    )
    assert "sk-" not in "".join(shown)


def test_a_dump_holds_plain_json_alone(model: DataCrunch) -> None:
    """A dump has JSON types only."""
    dump = model.to_dict()
    assert repr(json.loads(json.dumps(dump))) == repr(dump)


@pytest.mark.parametrize(
    "make",
    [
        lambda given: DataCrunch(**given),
        DataCrunch.from_dict,
        DataCrunch.model_validate,
        lambda given: DataCrunch.from_json(json.dumps(given)),
    ],
    ids=["init", "from_dict", "model_validate", "from_json"],
)
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"api_key": "sk secret"}, "api_key: must not contain white space"),
        ({"temprature": 1}, "temprature: no such parameter"),
        ({"context_window": 5}, "less than context_window=5"),
        ({"is_chat_model": "perhaps"}, "is_chat_model"),
    ],
)
def test_a_refused_argument_is_named_and_no_secret_is_held(
    make: Callable[[dict[str, Any]], Any], wrong: dict[str, Any], expected: str
) -> None:
    """A `ValidationError` names the argument and contains no secret."""
    given = {
        "base_url": "http://127.0.0.1:9",
        "api_key": "sk-secret",
        "headers": {"X-Tenant": "sk-tenant"},
    }
    with pytest.raises(ValidationError, match=expected) as caught:
        make(given | wrong)
    error = caught.value
    assert "sk" not in f"{error} {error!r} {error.errors()} {error.json()}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"max_token": 5}, "max_token: no such parameter; did you mean 'max_tokens'"),
        ({"contxt_window": 5}, "did you mean 'context_window'"),
        ({"temperature": -1.0}, r"temperature=-1.0: must be 0 \(greedy\) or greater"),
        ({"context_window": 0}, "greater than 0"),
        ({"class_name": "OpenAI"}, "class_name: no such parameter"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_rule(
    arguments: dict[str, Any], expected: str
) -> None:
    """The constructor refuses an invalid argument with the rule."""
    with pytest.raises(ValidationError, match=expected):
        DataCrunch(base_url="http://127.0.0.1:9", **arguments)


def test_metadata_has_the_limits_that_prompts_are_sized_by(model: DataCrunch) -> None:
    """`metadata` has the context window, the output limit and the name."""
    expected = model.metadata
    assert (expected.context_window, expected.num_output, expected.model_name) == (2048, 3, "llama")
    assert not expected.is_chat_model
    assert not expected.is_function_calling_model
    unset = DataCrunch(base_url="http://127.0.0.1:9").metadata
    assert (unset.context_window, unset.num_output) == (DEFAULT_CONTEXT_WINDOW, 512)
    assert DataCrunch(base_url="http://127.0.0.1:9", is_chat_model=True).metadata.is_chat_model


@pytest.mark.parametrize(
    "arguments", [{"max_tokens": 2048, "context_window": 2048}, {"context_window": 512}]
)
def test_an_answer_that_leaves_no_room_for_a_prompt_is_refused(arguments: dict[str, Any]) -> None:
    """`max_new_tokens` must be less than `context_window`."""
    with pytest.raises(ValidationError, match=r"max_new_tokens=.*less than context_window="):
        DataCrunch(base_url="http://127.0.0.1:9", **arguments)


def test_making_a_model_and_asking_for_its_metadata_opens_nothing(locked: EmulatedEndpoint) -> None:
    """Creating a model and reading `metadata` opens no connection."""
    model = DataCrunch(base_url=locked.url)
    assert model.metadata.model_name == "tgi"
    assert model.to_payload()["class_name"] == "DataCrunch"
    assert (locked.requests, locked.peak_open_connections) == ([], 0)


def test_the_package_offers_what_it_lists() -> None:
    """Every name in `__all__` exists."""
    assert llamaindex_datacrunch.__all__ == sorted(llamaindex_datacrunch.__all__)
    assert llamaindex_datacrunch.__version__ == __version__
    assert all(hasattr(llamaindex_datacrunch, name) for name in llamaindex_datacrunch.__all__)


def test_without_llamaindex_the_import_says_what_to_install() -> None:
    """Without llama-index-core, the import error names the extra."""
    code = "import sys; sys.modules['llama_index'] = None; import llamaindex_datacrunch"
    folder = Path(llamaindex_datacrunch.__file__).parents[1]
    ran = subprocess.run(  # noqa: S603 -- the interpreter of the tests
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert ran.stderr.rstrip().endswith(
        'ImportError: llamaindex_datacrunch needs llama-index-core: pip install "datacrunch-tgi[llamaindex]"'
    )
