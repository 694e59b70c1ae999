"""A value of another library is taken where its meaning is plain, and refused by name where it is not."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pydantic
import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, Client
from datacrunch_tgi._protocol._parameters import check_parameters
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from llamaindex_datacrunch import DataCrunch

URL = "http://127.0.0.1:9"
MODELS: list[Any] = [DataCrunchLLM, ChatDataCrunch, DataCrunch]

TRUE = np.asarray(1, dtype=bool)[()]

PLAIN: list[tuple[str, Any, Any]] = [
    ("seed", np.int64(3), 3),
    ("seed", np.uint8(3), 3),
    ("seed", Decimal(2**64 - 1), 2**64 - 1),
    ("temperature", np.float64(0.5), 0.5),
    ("temperature", np.float32(0.5), 0.5),
    ("temperature", np.array(0.5), 0.5),
    ("temperature", Decimal("0.7"), 0.7),
    ("temperature", Fraction(1, 2), 0.5),
    ("do_sample", TRUE, True),
    ("stop", np.array(["a", "b"]), ["a", "b"]),
    ("stop", ("a", "b"), ["a", "b"]),
]
REFUSED: list[tuple[str, Any, str]] = [
    ("seed", True, "seed=True: must be a valid integer"),
    ("seed", TRUE, "seed=True: must be a valid integer"),
    ("seed", Decimal("3.5"), "seed=3.5: must be a valid integer"),
    ("temperature", True, "temperature=True: must be a valid number"),
    ("temperature", np.array([0.5]), "temperature=[0.5]: must be a valid number"),
    ("temperature", Decimal("1e999999"), "temperature=inf: must be a finite number"),
    ("temperature", Decimal("sNaN"), "temperature=Decimal('sNaN'): must be a valid number"),
    ("do_sample", 1, "do_sample=1: must be a valid boolean"),
    ("stop", 5, "stop=5: must be a list of strings"),
    ("stop", b"x", "stop=b'x': must be a list of strings"),
    ("stop", ["x", 5], "stop[1]=5: must be a valid string"),
    ("stop", [["x"]], "stop[0]=['x']: must be a valid string"),
]


@pytest.mark.parametrize(("name", "value", "sent"), PLAIN)
def test_a_number_of_another_library_is_sent_as_pythons_own(
    name: str, value: Any, sent: Any
) -> None:
    """Numbers of other libraries are sent as JSON numbers."""
    checked = check_parameters({name: value}, streaming=False)[name]
    checked = list(checked) if name == "stop" else checked
    assert (type(checked), checked) == (type(sent), sent)


def ask_langchain(kind: Any) -> dict[str, Callable[[str, dict[str, Any]], Any]]:
    return {
        "field": lambda url, given: kind(base_url=url, **given).invoke("Hi"),
        "call": lambda url, given: kind(base_url=url).invoke("Hi", **given),
    }


CHAT = partial(ChatDataCrunch, model="llama-2-13b-chat")
WAYS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "Client": lambda url, given: Client(base_url=url).generate("Hi", **given),
    **{f"DataCrunchLLM-{name}": ask for name, ask in ask_langchain(DataCrunchLLM).items()},
    **{f"ChatDataCrunch-{name}": ask for name, ask in ask_langchain(CHAT).items()},
    "DataCrunch-field": lambda url, given: DataCrunch(base_url=url, **given).complete("Hi"),
    "DataCrunch-call": lambda url, given: DataCrunch(base_url=url).complete("Hi", **given),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(answers="Hello") as endpoint:
        yield endpoint


@pytest.mark.parametrize("way", WAYS)
def test_a_number_of_another_library_is_the_same_in_client_and_models(
    way: str, endpoint: EmulatedEndpoint
) -> None:
    """Clients and models accept the same numbers, as fields and arguments."""
    for name, value, sent in PLAIN:
        WAYS[way](endpoint.url, {name: value})
        parameters = endpoint.requests[-1].json["parameters"]
        got = parameters[name]
        assert (got[: len(sent)] if name == "stop" else got) == sent, (name, value)


@pytest.mark.parametrize("way", WAYS)
def test_what_has_no_plain_meaning_is_refused_by_client_and_models(
    way: str, endpoint: EmulatedEndpoint
) -> None:
    """Clients and models refuse the same values, in the same words."""
    before = len(endpoint.requests)
    for name, value, words in REFUSED:
        with pytest.raises((ArgumentError, pydantic.ValidationError)) as caught:
            WAYS[way](endpoint.url, {name: value})
        assert words in str(caught.value), (name, value)
    assert len(endpoint.requests) == before


@pytest.mark.parametrize(("name", "value", "words"), REFUSED)
def test_what_has_no_plain_meaning_is_refused(name: str, value: Any, words: str) -> None:
    """A refused value raises an error with field, value and rule."""
    with pytest.raises(ArgumentError) as caught:
        check_parameters({name: value}, streaming=False)
    assert str(caught.value).startswith(words)


def test_settings_take_the_same_numbers() -> None:
    """Settings accept numbers of other libraries too."""
    client = Client(base_url=URL, deadline=Decimal("3.5"), max_retries=np.int64(3))  # type: ignore[arg-type]
    assert (client.settings.deadline, client.settings.max_retries) == (3.5, 3)
    with pytest.raises(ArgumentError, match="max_retries=True: must be a valid integer"):
        Client(base_url=URL, max_retries=True)


BAD_SETTINGS: list[tuple[str, Any, str]] = [
    ("max_retries", True, "max_retries=True: must be a valid integer"),
    ("max_retries", "3", "max_retries='3': must be a valid integer"),
    ("max_connections", 3.0, "max_connections=3.0: must be a valid integer"),
    ("timeout", "3", "timeout='3': must be a valid number"),
    ("startup_timeout", False, "startup_timeout=False: must be a valid number"),
    ("ca_bundle", b"x", "ca_bundle=b'x': must be a valid string"),
    ("api_key", b"0123456789", "api_key: must be a valid string"),
    ("headers", 5, "headers: must be a valid"),
    ("headers", [["X-Env", "test"]], "headers: must be a valid"),
    ("headers", {b"X-Env": "test"}, "headers: must be a valid"),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient, *MODELS])
@pytest.mark.parametrize(("name", "value", "words"), BAD_SETTINGS)
def test_settings_of_another_type_are_refused_by_clients_and_models(
    kind: Any, name: str, value: Any, words: str
) -> None:
    """A setting of another type raises the same error in clients and models, before any request."""
    with pytest.raises((ArgumentError, pydantic.ValidationError)) as caught:
        kind(base_url=URL, **{name: value})
    assert words in str(caught.value)
    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient, *MODELS])
def test_files_of_a_certificate_may_be_a_list(kind: Any) -> None:
    """As JSON and YAML have no tuples."""
    made = kind(base_url=URL, client_certificate=["cert.pem", "key.pem"])
    assert getattr(made, "settings", made).client_certificate == ("cert.pem", "key.pem")


@pytest.mark.parametrize("kind", MODELS)
def test_settings_of_models_take_the_same_numbers(kind: Any) -> None:
    """Models accept numbers of other libraries as settings too."""
    model = kind(base_url=URL, deadline=Decimal("3.5"), max_retries=np.int64(3))
    assert (model.deadline, model.max_retries) == (3.5, 3)


def test_a_long_value_is_shown_in_part() -> None:
    """A refused value of any size makes an error of a readable one."""
    with pytest.raises(ArgumentError) as caught:
        check_parameters({"seed": "9" * 100_000}, streaming=False)
    assert len(str(caught.value)) < 300
    with pytest.raises(ArgumentError, match="seed=<int>: must be less than or equal to"):
        check_parameters({"seed": 10**5000}, streaming=False)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("name", "value"), [("base_url", "ftp://{error}"), ("max_new_tokens", "{error}")]
)
def test_braces_in_an_argument_are_shown_once(model: Any, name: str, value: str) -> None:
    """What was given is quoted in an error, and no template to be filled in."""
    with pytest.raises(pydantic.ValidationError) as caught:
        model(**{"base_url": URL, name: value})
    words = str(caught.value)
    assert words.count(f"{name}={value!r}: must") == words.count(value) == words.count("must") == 1
