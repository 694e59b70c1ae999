"""What the tests of the emulated endpoint share: a client, and a way to read its streams."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """A client that brings nothing of its own: no proxy, no certificates."""
    with httpx.Client(trust_env=False, verify=False, timeout=20) as client:  # noqa: S501 - loopback
        yield client


@pytest.fixture(scope="session")
def ask(http: httpx.Client) -> Ask:
    """Ask an endpoint for an answer: its parameters by name, `route` and `prompt` if need be."""

    def send(
        endpoint: EmulatedEndpoint,
        *,
        route: str = "/generate",
        prompt: str = "Hi",
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> httpx.Response:
        body = {"inputs": prompt, "parameters": parameters}
        return http.post(f"{endpoint.url}{route}", json=body, headers=headers)

    return send


@pytest.fixture(scope="session")
def events() -> Callable[[httpx.Response], list[Any]]:
    """Read the events of a whole stream."""

    def read(response: httpx.Response) -> list[Any]:
        return [
            json.loads(line.removeprefix("data:"))
            for line in response.content.decode().split("\n\n")
            if line.startswith("data:")
        ]

    return read
