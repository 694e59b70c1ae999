"""Settings come from arguments, then from the environment; wrong ones are refused by name."""

import copy
import pickle
import sys
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, Client, Settings
from datacrunch_tgi._secrets import reveal

KEY = "sk-secret-0123456789"
URL = "http://127.0.0.1:8080"


@pytest.fixture(params=[Client, AsyncClient, Settings])
def make(request: pytest.FixtureRequest) -> Any:
    """Make settings: on their own, or as a client has them."""
    made = request.param
    return made if made is Settings else lambda **given: made(**given).settings


def test_arguments_stand_over_the_environment(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments take precedence over environment variables."""
    monkeypatch.setenv("DATACRUNCH_BASE_URL", "http://from.environment/v1/")
    monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-from-environment")
    monkeypatch.setenv("DATACRUNCH_MODEL", "from-environment")
    reported = make()
    assert (reported.base_url, reported.model) == ("http://from.environment/v1", "from-environment")
    assert reported.api_key.get_secret_value() == "sk-from-environment"
    given = make(base_url=URL, api_key=KEY, model="given")
    assert (given.base_url, given.model, given.api_key.get_secret_value()) == (URL, "given", KEY)


def test_an_engine_whose_extra_is_missing_is_refused_with_what_installs_it(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing extra is reported when the client is created."""
    assert make(base_url=URL, engine="fast").engine == "fast"
    monkeypatch.setitem(sys.modules, "httptools", None)
    with pytest.raises(ArgumentError, match=r'pip install "datacrunch-tgi\[fast\]"'):
        make(base_url=URL, engine="fast")


def test_no_other_variable_is_read(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys for other services are not read."""
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, KEY)
    assert make(base_url=URL).api_key is None


def test_the_default_host_wants_key_and_model_by_name(make: Any) -> None:
    """DataCrunch's own host requires key and model, and the error says how to pass them."""
    with pytest.raises(ArgumentError, match=r"api_key.*pass api_key=.*DATACRUNCH_API_KEY"):
        make()
    with pytest.raises(ArgumentError, match=r"model.*pass model=.*DATACRUNCH_MODEL"):
        make(api_key=KEY)
    ours = make(api_key=KEY, model="llama-2-13b-chat")
    assert ours.base_url == "https://inference.datacrunch.io/v1/completions"


def test_elsewhere_key_and_model_may_be_left_out(make: Any) -> None:
    """Other hosts require neither key nor model."""
    elsewhere = make(base_url=URL)
    assert (elsewhere.api_key, elsewhere.model) == (None, "tgi")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"base_url": "ftp://host"}, "base_url='ftp://host': must begin with http:// or https://"),
        ({"base_url": "host:8080"}, "base_url='host:8080': must begin with http:// or https://"),
        ({"base_url": "http://"}, "base_url='http://': must begin with http:// or https://"),
        ({"base_url": "http://host:port"}, "base_url: is not a valid URL"),
        ({"base_url": "http://[::1]x"}, "base_url: is not a valid URL"),
        ({"base_url": "http://h[::1]"}, "base_url: is not a valid URL"),
        ({"base_url": "http://[v1.a]"}, "base_url: is not a valid URL"),
        ({"base_url": "http://192.168.1.300:8080"}, "base_url: is not a valid URL"),
        ({"base_url": "http://192.168.1"}, "base_url: is not a valid URL"),
        ({"base_url": "http://host name"}, "base_url='http://host name': must not contain white"),
        ({"base_url": f"{URL}?key=1"}, "base_url: must not contain a query or fragment"),
        ({"base_url": f"{URL}?"}, "base_url: must not contain a query or fragment"),
        ({"proxy": "http://192.168.1.300:8080"}, "proxy: is not a valid URL"),
        (
            {"base_url": f"{URL}/generate"},
            "must be the URL prefix of /generate: leave the route off",
        ),
        ({"base_url": f"{URL}/generate_stream/"}, "must be the URL prefix of /generate"),
        ({"base_url": 8080}, "base_url: must be a valid string"),
        ({"max_retries": -1}, "max_retries=-1: must be greater than or equal to 0"),
        ({"max_retries": 2.0}, "max_retries=2.0: must be a valid integer"),
        ({"max_connections": 0}, "max_connections=0: must be greater than or equal to 1"),
        ({"connect_timeout": 0}, "connect_timeout=0: must be greater than 0"),
        ({"idle_timeout": "60"}, "idle_timeout='60': must be a valid number"),
        ({"deadline": float("nan")}, "deadline=nan: must be"),
        ({"headers": {"a b": "c"}}, "headers: a name must be made of letters"),
        ({"tokenizer": "tiktoken"}, "tokenizer='tiktoken': must be the path of a tokenizer.json"),
        ({"base_uri": URL}, "base_uri: no such setting; did you mean 'base_url'?"),
        ({"max_retry": 1}, "max_retry: no such setting; did you mean 'max_retries'?"),
        ({"endpoint_url": URL}, "endpoint_url: no such setting; did you mean 'base_url'?"),
        ({"timeout": -1}, "timeout=-1: must be greater than 0"),
        ({"temperatur": 1}, "temperatur: no such setting"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_value_and_rule(
    make: Any, given: dict[str, Any], words: str
) -> None:
    """An invalid setting is refused with name, value and rule."""
    with pytest.raises(ArgumentError) as caught:
        make(**({"base_url": URL} | given))
    assert words in str(caught.value)


@pytest.mark.parametrize("make", [Client, AsyncClient, Settings])
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("temperature", "temperature"),
        ("max_new_tokens", "max_new_tokens"),
        ("max_tokens", "max_new_tokens"),
        ("temperatur", "temperature"),
    ],
)
def test_a_parameter_passed_to_a_client_is_refused_with_its_place(
    make: Any, given: str, meant: str
) -> None:
    """A parameter that is passed to the constructor is refused with the methods that take it."""
    with pytest.raises(ArgumentError) as caught:
        make(base_url=URL, **{given: 1})
    assert (
        str(caught.value) == f"{given}: no such setting; '{meant}' belongs to generate and stream"
    )


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DATACRUNCH_BASE_URL", "ftp://host", "base_url='ftp://host': must begin with http://"),
        ("DATACRUNCH_API_KEY", f"{KEY}\n", "api_key: must not contain white space"),
        ("DATACRUNCH_MODEL", "\udcff", "must not contain lone surrogates"),
        ("HTTPS_PROXY", "ftp://host", "proxy: must begin with http://"),
        ("ALL_PROXY", "http://1.2.3.400", "proxy: is not a valid URL"),
    ],
)
def test_an_error_in_a_variable_names_the_variable(
    make: Any, variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error names the environment variable that the value came from."""
    monkeypatch.setenv("DATACRUNCH_BASE_URL", "https://host")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ArgumentError) as caught:
        make()
    assert words in str(caught.value)
    assert str(caught.value).endswith(f" (from the variable {variable})")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8080", "https://[::1]/v1", "http://10.0.0.1", "http://1password.com:80"]
)
def test_an_address_in_numbers_is_an_address(make: Any, url: str) -> None:
    """IP addresses are accepted in `base_url` and `proxy`."""
    assert make(base_url=url).base_url == url
    assert reveal(make(base_url=URL, proxy=url).proxy_url) == url


def test_a_scheme_in_capitals_is_the_same_scheme(make: Any) -> None:
    """`HTTPS://` is read as `https://`."""
    reported = make(base_url="HTTPS://Host/V1/", proxy="HTTPS://proxy")
    assert reported.base_url == "https://Host/V1"
    assert reported.proxy_url.get_secret_value() == "https://proxy"


def test_an_authorization_of_ones_own_stands_in_the_place_of_a_key(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key is needed then, and none is read; two that were given are one too many."""
    own = {"authorization": f"Basic {KEY}"}
    assert make(model="given", headers=own).api_key is None
    monkeypatch.setenv("DATACRUNCH_API_KEY", "sk-from-environment")
    assert make(base_url=URL, headers=own).api_key is None
    with pytest.raises(
        ArgumentError, match="headers: Authorization cannot be combined with api_key"
    ):
        make(base_url=URL, headers=own, api_key="sk-given")


def test_the_environments_proxy_is_that_of_the_address(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another address may have another proxy, or none; one that was given stays."""
    monkeypatch.setenv("HTTP_PROXY", "http://plain.proxy")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.proxy")
    monkeypatch.setenv("NO_PROXY", "near")
    first = make(base_url="http://far")
    assert first.proxy is None
    for url, proxy in (
        ("http://far", "http://plain.proxy"),
        ("https://far", "http://secure.proxy"),
        ("https://near", None),
    ):
        there = first.replace(base_url=url)
        assert reveal(there.proxy_url) == proxy
        given = there.replace(proxy="http://given.proxy")
        assert reveal(given.proxy) == reveal(given.proxy_url) == "http://given.proxy"


@pytest.mark.parametrize(
    "given",
    [
        {"base_url": f"http://user:{KEY}@host"},
        {"base_url": f"http://{KEY}@host"},
        {"base_url": f"user:{KEY}@host/v1"},
        {"base_url": f"http://user/{KEY}@host"},
        {"base_url": f"https://host/v1?api_key={KEY}"},
        {"base_url": f"https://host/v1#{KEY}"},
        {"base_url": f"host/v1?api_key={KEY}"},
        {"base_url": f"http://user:{KEY}@host\ud800"},
        {"api_key": f"{KEY} "},
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}é"},
        {"api_key": [KEY]},
        {"headers": {"X-Key": f"{KEY}\r\n"}},
        {"headers": [KEY]},
        {"proxy": [KEY]},
    ],
)
def test_a_refused_secret_is_not_shown(make: Any, given: dict[str, Any]) -> None:
    """An error of an invalid secret does not contain it."""
    with pytest.raises(ArgumentError) as caught:
        make(**({"base_url": URL} | given))
    assert KEY not in f"{caught.value!s} {caught.value!r} {vars(caught.value)}"
    assert next(iter(given)) in str(caught.value)


def test_settings_do_not_change(make: Any) -> None:
    """`Settings` are immutable."""
    with pytest.raises(ValueError, match="frozen"):
        make(base_url=URL).base_url = "http://elsewhere"


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_the_settings_of_a_client_do_not_change(client: type[Client | AsyncClient]) -> None:
    """A client's settings cannot be assigned."""
    for name in ("settings", "base_url", "model"):
        with pytest.raises(AttributeError):
            setattr(client(base_url=URL), name, "other")


def test_what_a_default_resolved_to_is_not_given(make: Any) -> None:
    """A copy with another `base_url` is checked as new settings are."""
    elsewhere = make(base_url=URL, api_key=KEY)
    assert elsewhere.model == "tgi"
    with pytest.raises(ArgumentError, match=r"model: is required for https://inference"):
        elsewhere.replace(base_url="https://inference.datacrunch.io/v1/completions")


def test_a_key_of_the_environment_gives_way_to_an_authorization(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copy as in new settings, also when the variable has gone."""
    monkeypatch.setenv("DATACRUNCH_API_KEY", KEY)
    first = make(base_url=URL)
    monkeypatch.delenv("DATACRUNCH_API_KEY")
    assert first.replace(headers={"Authorization": "Basic other"}).api_key is None
    assert reveal(first.replace(max_retries=1).api_key) == KEY
    assert reveal(pickle.loads(pickle.dumps(first)).replace(max_retries=1).api_key) == KEY


def test_a_copy_works_elsewhere_with_the_key(make: Any) -> None:
    """Copies and pickles keep settings and key."""
    original = make(base_url=URL, api_key=KEY, max_retries=5)
    for twin in (
        pickle.loads(pickle.dumps(original)),
        copy.deepcopy(original),
        copy.copy(original),
    ):
        assert type(twin) is type(original)
        assert (twin.base_url, twin.max_retries) == (URL, 5)
        assert twin.api_key.get_secret_value() == KEY


def test_nothing_that_is_printed_holds_a_secret(make: Any) -> None:
    """Printed settings contain no secret."""
    settings = make(
        base_url=URL, api_key=KEY, proxy=f"http://user:{KEY}@proxy", headers={"X-Key": KEY}
    )
    assert KEY not in f"{settings!r} {settings!s}"
