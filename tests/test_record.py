"""The cassettes can be recreated from the recordings and from an endpoint, and contain no key."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from datacrunch_tgi.testing import EmulatedEndpoint

TESTS = Path(__file__).parent
KEY = "sk-of-the-one-who-records"


def record(into: Path, *options: str, **environment: str) -> dict[str, dict[str, Any]]:
    """Run the script; return the interactions that it wrote, by `server/name`."""
    command = [sys.executable, str(TESTS / "record.py"), "--into", str(into), *options]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=60)  # noqa: S603 -- our own script
    cassettes: dict[str, dict[str, Any]] = {}
    for path in sorted(into.glob("*/*.yaml")):
        assert KEY not in path.read_text(encoding="utf-8")
        (interaction,) = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]
        cassettes[f"{path.parent.name}/{path.stem}"] = interaction
    return cassettes


def last_json(text: str) -> dict[str, Any]:
    """The answer, or the last event of a stream."""
    return dict(json.loads(text.strip().splitlines()[-1].removeprefix("data:")))


def test_a_cassette_holds_what_the_real_server_was_asked_and_said(
    tmp_path: Path, recordings: dict[str, dict[str, Any]]
) -> None:
    """Each cassette has the recorded request and response."""
    cassettes = record(tmp_path)
    assert len(cassettes) == 28
    for name, interaction in cassettes.items():
        exchange = recordings[name]
        assert json.loads(interaction["request"]["body"]) == exchange["request"]["json"]
        said = "".join(chunk["text"] for chunk in exchange["response"]["chunks"])
        assert interaction["response"]["body"]["string"] == said


def test_an_endpoint_is_recorded_without_the_key(tmp_path: Path, tiny_llama: Path) -> None:
    """The emulated endpoint says the same words as the real one, so the answers stay."""
    with EmulatedEndpoint(model=tiny_llama, base_path="/v1/completions", api_key=KEY) as endpoint:
        cassettes = record(
            tmp_path, "--live", DATACRUNCH_BASE_URL=endpoint.url, DATACRUNCH_API_KEY=KEY
        )
    assert {request.path for request in endpoint.requests} == {
        "/v1/completions/generate",
        "/v1/completions/generate_stream",
    }
    before = record(tmp_path / "before")
    assert set(cassettes) == set(before)
    for name, interaction in cassettes.items():
        assert interaction["request"] == before[name]["request"]
        now, then = (
            last_json(cassette["response"]["body"]["string"])
            for cassette in (interaction, before[name])
        )
        assert now["generated_text"] == then["generated_text"]


def test_an_endpoint_that_fails_leaves_the_cassettes_as_they_are(tmp_path: Path) -> None:
    """A failed recording writes no cassette."""
    with (
        EmulatedEndpoint(answers="no", api_key=KEY) as endpoint,
        pytest.raises(subprocess.CalledProcessError),
    ):
        record(tmp_path, "--live", DATACRUNCH_BASE_URL=endpoint.url)
    assert not list(tmp_path.glob("*/*"))
