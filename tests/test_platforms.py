"""What other systems lack or do otherwise, as far as it can be taken away here."""

import select
import subprocess
import sys
from pathlib import Path

import pytest

from datacrunch_tgi import Client, ConnectError, RequestTimeoutError
from datacrunch_tgi.testing import EmulatedEndpoint

ENGINES = pytest.mark.parametrize("engine", ["httpx", "fast"])


def run(program: str, *options: str) -> str:
    """Run a program in a process of its own; return what it prints."""
    done = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, *options, "-c", program],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@ENGINES
def test_calls_work_without_poll(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has `select` alone: answers, streams, limits, and connections that were closed."""
    monkeypatch.delattr(select, "poll")
    with (
        EmulatedEndpoint(answers="Hello there") as endpoint,
        Client(base_url=endpoint.url, engine=engine, first_token_timeout=0.2) as client,  # type: ignore[arg-type]
    ):
        assert client.generate("Hi").text == "Hello there"
        assert "".join(event.text for event in client.stream("Hi")) == "Hello there"
        endpoint.fail_next(hang_up=True)
        assert client.generate("Hi").text == "Hello there"
        endpoint.fail_next(stall=3600)
        with pytest.raises(RequestTimeoutError):
            client.generate("Hi")
    with (
        Client(base_url="http://127.0.0.1:1", engine=engine, max_retries=0) as client,  # type: ignore[arg-type]
        pytest.raises(ConnectError),
    ):
        client.generate("Hi")


def test_calls_work_without_fork() -> None:
    """Windows has no `os.fork`, and nothing is registered for it."""
    with EmulatedEndpoint(answers="Hello there") as endpoint:
        printed = run(
            "import os\n"
            "for name in ('fork', 'register_at_fork'):\n"
            "    if hasattr(os, name): delattr(os, name)\n"
            "from datacrunch_tgi import Client\n"
            f"with Client(base_url={endpoint.url!r}) as client:\n"
            "    print(client.generate('Hi').text)"
        )
    assert printed == "Hello there\n"


def test_files_are_read_as_utf8_whatever_the_locale(tiny_llama: Path) -> None:
    """Files are read as UTF-8, whatever the locale is."""
    printed = run(
        "from datacrunch_tgi import ChatTemplate, Client\n"
        "from datacrunch_tgi.testing import EmulatedEndpoint\n"
        f"with EmulatedEndpoint(model={str(tiny_llama)!r}) as endpoint:\n"
        "    with Client(base_url=endpoint.url) as client:\n"
        "        client.generate('Hello', max_new_tokens=1)\n"
        f"ChatTemplate.from_file({str(tiny_llama)!r})\n"
        "ChatTemplate.for_model('Qwen/Qwen2.5-7B-Instruct')\n"
        "print('read')",
        "-X",
        "warn_default_encoding",
        "-W",
        "error::EncodingWarning",
    )
    assert printed == "read\n"
