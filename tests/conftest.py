"""What all tests share: a clean environment, recordings and cassettes."""

import asyncio
import gc
import json
import os
import random
import signal
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_recording.network import blocking_context
from vcr.cassette import Cassette

from datacrunch_tgi import ChatTemplate
from datacrunch_tgi.testing import ScriptedToken

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""The model is so small that numpy's threads would wait for each other; read when numpy is imported."""

settings.register_profile("any machine", deadline=None, max_examples=50)  # a machine may be slow
settings.load_profile("any machine")

TESTS = Path(__file__).parent
RECORDINGS = TESTS / "recordings"


TOOL_ANSWERS = json.loads((TESTS / "tools" / "answers.json").read_text(encoding="utf-8"))
"""One call, `sum` of 1 and "x\\n", in every form of every family."""


KINDS = [
    "llama-2",
    "llama-3.1",
    "mistral",
    "mistral-v7",
    "qwen-2.5",
    "qwen-3-coder",
    "granite-3.3",
    "deepseek-v3.1",
    "gemma",
    "phi-3",
    "vicuna",
    "chatml",
]
TEMPLATES = [
    pytest.param(name, marks=() if name in KINDS else pytest.mark.slow)
    for name in ChatTemplate.names()
]
"""Every bundled template, for what the adapters send; one of each kind is not slow."""


CUTS: list[tuple[list[float], str]] = [
    ([], ""),
    ([], "Let me see.\n\n"),
    ([place / 200 for place in range(200)], "Let me see.\n\n"),
    ([random.Random(0).random() for _ in range(9)], ""),
    ([random.Random(1).random() for _ in range(9)], "Let me see.\n\n"),
]
"""Where to cut an answer (nowhere, after each letter, and at random), and the text before its call."""


@dataclass
class ToolAnswer:
    """A family's answer that calls a tool, before it is cut into tokens."""

    tool_format: str
    answer: list[str | dict[str, str]]

    def tokens(self, places: Sequence[float] = (), before: str = "") -> list[ScriptedToken]:
        """Cut the texts at the given places, which are parts of their length; markers stay whole."""
        found = [ScriptedToken(before)] if before else []
        for part in self.answer:
            if isinstance(part, dict):
                found.append(ScriptedToken(part["special"], special=True))
                continue
            bounds = sorted({0, len(part), *(int(place * len(part)) for place in places)})
            found += [ScriptedToken(part[start:end]) for start, end in pairwise(bounds)]
        return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: at any moment some test waits."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Keep the garbage collector from looking at both frameworks' modules over and over."""
    gc.disable()
    try:
        return (yield)
    finally:
        # Hypothesis looks once, through the collector, for who holds its random numbers: before the freeze.
        given(st.none())(lambda _: None)()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _no_implicit_event_loop() -> None:
    """Keep `asyncio.get_event_loop`, which LlamaIndex calls, from creating a loop that nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(params=TOOL_ANSWERS)
def tool_answer(request: pytest.FixtureRequest) -> ToolAnswer:
    """Each form of a call, for each family."""
    return ToolAnswer(**TOOL_ANSWERS[request.param])


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> Iterator[None]:
    """Remove the machine's environment variables."""
    names = [f"DATACRUNCH_{name}" for name in ("API_KEY", "BASE_URL", "MODEL")]
    names += ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        names += [name, name.lower()]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def block_network() -> Iterator[None]:
    """Connect to this machine only; pytest-recording's own fixture sets this up for every test again."""
    with blocking_context(allowed_hosts=["127.0.0.1", "::1", "localhost"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C reaches tests and what they start, even where they are run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def vcr_cassette_dir() -> str:
    return str(TESTS / "cassettes")


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """A cassette answers what has the same method, path and JSON body, once, and only that."""
    return {
        "match_on": ["method", "path", "body"],
        "filter_headers": ["authorization"],
        "decode_compressed_response": True,
    }


@pytest.fixture(autouse=True)
def vcr(request: pytest.FixtureRequest) -> Iterator[Cassette | None]:
    """A test that replays a cassette uses all of it; others do without pytest-recording's fixtures."""
    replays = request.node.get_closest_marker("vcr")
    cassette: Cassette | None = request.getfixturevalue("vcr") if replays else None
    yield cassette
    if cassette is not None:
        assert cassette.all_played, "the cassette holds what the test did not ask for"


@pytest.fixture(scope="session")
def tiny_llama() -> Path:
    """The folder of the model of the recorded servers."""
    return TESTS.parent / "cookbook" / "tiny-llama"


@pytest.fixture(scope="session")
def recordings() -> dict[str, dict[str, Any]]:
    """Every recorded exchange, by `server/name`."""
    return {
        f"{path.parent.name}/{path.stem}": json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(RECORDINGS.glob("*/*.json"))
    }


@pytest.fixture
def without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("datacrunch_tgi._protocol._backoff.FIRST_WAIT", 0.0)


@pytest.fixture
def without_collection() -> Iterator[None]:
    """Keep the garbage collector from ending other tests' objects where no stack is left for it."""
    gc.disable()
    yield
    gc.enable()
