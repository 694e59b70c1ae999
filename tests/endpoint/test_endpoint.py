"""The endpoint as a whole: construction, URL, key, records and imports."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

import datacrunch_tgi
from datacrunch_tgi import testing
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"answers": "Hello", "model": "folder"}, {"answers": "Hello", "respond": repr}],
)
def test_there_is_one_source_of_answers(arguments: dict[str, Any]) -> None:
    """With neither, or both, the error names the options."""
    with pytest.raises(ValueError, match="pass exactly one of answers, respond and model"):
        EmulatedEndpoint(**arguments)


def test_an_unknown_dialect_is_refused() -> None:
    """The error names the servers that can be emulated."""
    with pytest.raises(ValueError, match=r"'3.3.7' or '1.1.1', not '2.0'"):
        EmulatedEndpoint(answers="Hello", dialect="2.0")  # type: ignore[arg-type]


@pytest.mark.parametrize("base_path", ["v1", "/v1/", "/"])
def test_a_base_path_stands_in_front(base_path: str) -> None:
    """A base path that would make other URLs than it looks like is refused."""
    with pytest.raises(ValueError, match="must start with a slash"):
        EmulatedEndpoint(answers="Hello", base_path=base_path)


def test_routes_are_under_the_base_path(emulated_endpoint: Start, http: httpx.Client) -> None:
    """With a base path the endpoint looks as DataCrunch's gateway does, and only there."""
    endpoint = emulated_endpoint(answers="Hello", base_path="/v1/completions")
    body = {"inputs": "Hi", "parameters": {}}

    assert endpoint.url.endswith("/v1/completions")
    assert http.post(f"{endpoint.url}/generate", json=body).json() == {"generated_text": "Hello"}
    assert http.post(endpoint.url, json=body).json() == [{"generated_text": "HiHello"}]
    for path in ("/health", "/ping", "/info", ""):
        assert http.get(f"{endpoint.url}{path}").status_code == 200
    outside = endpoint.url.removesuffix("/v1/completions")
    assert http.post(f"{outside}/generate", json=body).status_code == 404


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("secret", 401),
        ("Bearer Secret", 200),
        ("bearer sEcret", 200),
    ],
)
def test_a_key_is_asked_for(
    emulated_endpoint: Start, http: httpx.Client, authorization: str | None, status: int
) -> None:
    """Without the key there is no answer; case is ignored, as by TGI."""
    endpoint = emulated_endpoint(answers="Hello", api_key="Secret")
    headers = {} if authorization is None else {"authorization": authorization}

    for path in ("/generate", "/generate_stream", "/tokenize", ""):
        answer = http.post(f"{endpoint.url}{path}", json={"inputs": "Hi"}, headers=headers)
        assert answer.status_code == status
        assert answer.content or status == 401
    for path in ("/health", "/info"):
        assert http.get(f"{endpoint.url}{path}", headers=headers).status_code == 200


def test_requests_are_kept_as_they_came(emulated_endpoint: Start, http: httpx.Client) -> None:
    """A test can look at everything that it caused: body, headers, answer and events."""
    endpoint = emulated_endpoint(answers="one two")
    body = {"model": "llama", "inputs": "Hi", "parameters": {}}

    http.post(f"{endpoint.url}/generate_stream", json=body, headers={"X-Mine": "7"})
    http.post(f"{endpoint.url}/generate", content=b"not JSON")
    http.get(f"{endpoint.url}/nowhere")

    stream, garbage, nowhere = endpoint.requests
    assert (stream.method, stream.path) == ("POST", "/generate_stream")
    assert stream.json == body
    assert stream.headers["x-mine"] == "7"
    assert (stream.status, stream.events, stream.finished) == (200, 3, True)
    assert (garbage.status, garbage.body) == (415, b"not JSON")
    with pytest.raises(ValueError, match="Expecting value"):
        _ = garbage.json
    assert (nowhere.method, nowhere.status, nowhere.body) == ("GET", 404, b"")


def test_it_can_be_started_again() -> None:
    """What was received is kept, and a second start is refused until the first has ended."""
    endpoint = EmulatedEndpoint(answers=["first", "second"])
    with pytest.raises(RuntimeError, match="no URL before it is started"):
        _ = endpoint.url

    for _ in range(2):
        with endpoint:
            with pytest.raises(RuntimeError, match="already started"):
                endpoint.start()
            answer = httpx.post(f"{endpoint.url}/generate", json={"inputs": "Hi"}, trust_env=False)
            assert answer.json() == {"generated_text": "first"}
    endpoint.stop()

    assert len(endpoint.requests) == 2


def test_a_taken_port_is_reported(emulated_endpoint: Start) -> None:
    """The error is the system's, where the endpoint is started."""
    port = int(emulated_endpoint(answers="Hello").url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        EmulatedEndpoint(answers="Hello", port=port).start()


def test_waiting_ends_with_the_endpoint(emulated_endpoint: Start) -> None:
    """`wait` returns when the endpoint is stopped."""
    endpoint = emulated_endpoint(answers="Hello")

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(endpoint.wait)
        endpoint.stop()

        waiting.result(timeout=10)


def test_a_script_that_fails_is_a_server_that_fails(
    emulated_endpoint: Start, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the user's function is logged with its traceback, and the next request is served."""

    def answer(prompt: str) -> str:
        if prompt == "Hi":
            raise LookupError("forgot this one")
        return "Hello"

    endpoint = emulated_endpoint(answers=answer)

    # uvicorn closes a connection by which something failed.
    assert ask(endpoint, headers={"connection": "close"}).status_code == 500
    assert ask(endpoint, prompt="Hello").json() == {"generated_text": "Hello"}
    endpoint.stop()
    assert "forgot this one" in caplog.text


def run(program: str) -> str:
    """Return the output of a program in a new interpreter."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()  # noqa: S603


def test_scripts_need_no_model_packages() -> None:
    """Scripted answers do not import numpy and similar packages."""
    said = run(
        "import sys\n"
        "from datacrunch_tgi.testing import EmulatedEndpoint\n"
        "EmulatedEndpoint(answers='Hello').start().stop()\n"
        "models = {'numpy', 'outlines_core', 'tokenizers', 'safetensors'}\n"
        "heavy = models & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )

    assert said == ""


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("uvicorn", "answers='Hello'"),
        ("numpy", "model='folder'"),
        ("outlines_core", "model='folder'"),
    ],
)
def test_a_missing_extra_is_named(missing: str, arguments: str) -> None:
    """Without the extra, the error is the command that installs it."""
    said = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from datacrunch_tgi.testing import EmulatedEndpoint\n"
        f"EmulatedEndpoint({arguments})"
    )

    last = said.splitlines()[-1]
    assert last.startswith("ImportError")
    assert missing in last
    assert 'pip install "datacrunch-tgi[testing]"' in last


def test_the_plugin_loads_nothing_before_its_fixture_is_used() -> None:
    """The plug-in, loaded in every run of pytest, imports nothing else and needs no extra."""
    said = run(
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import datacrunch_tgi.testing._pytest\n"
        "sys.exit(' '.join(sorted(set(sys.modules) - before)))"
    )

    assert said == "datacrunch_tgi datacrunch_tgi.testing datacrunch_tgi.testing._pytest"


def test_only_what_is_public_is_there() -> None:
    """A name that does not exist is an error as in any module, and the others are listed."""
    with pytest.raises(
        AttributeError, match=r"'datacrunch_tgi\.testing' has no attribute 'Nothing'"
    ):
        _ = testing.Nothing  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'datacrunch_tgi' has no attribute 'Nothing'"):
        _ = datacrunch_tgi.Nothing  # type: ignore[attr-defined]
    assert {*datacrunch_tgi.__all__, "testing"} <= set(dir(datacrunch_tgi))
