"""Many requests at once: limits, the queue, clients that leave, and no leaks."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]


class Gate:
    """A scripted answer that waits for the test."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._arrived = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, _: str) -> str:
        self._arrived.release()
        self._open.wait(timeout=10)
        return "Hello"

    def wait_until_all_arrived(self) -> None:
        for _ in range(self._expected):
            assert self._arrived.acquire(timeout=10)

    def open(self) -> None:
        self._open.set()


def test_too_many_requests_overload(emulated_endpoint: Start, ask: Ask, events: Events) -> None:
    """Above the limit a request is refused at once, in a stream by an event, and later served."""
    gate = Gate(expected=2)
    endpoint = emulated_endpoint(answers=gate, max_concurrent_requests=2)
    error = {"error": "Model is overloaded", "error_type": "overloaded"}

    with ThreadPoolExecutor() as pool:
        open_ones = [pool.submit(ask, endpoint) for _ in range(2)]
        gate.wait_until_all_arrived()

        refused = ask(endpoint)
        assert (refused.status_code, refused.json()) == (429, error)
        assert events(ask(endpoint, route="/generate_stream")) == [error]

        gate.open()
        assert [one.result().json() for one in open_ones] == [{"generated_text": "Hello"}] * 2


def test_best_of_counts_as_several(emulated_endpoint: Start, ask: Ask) -> None:
    """Each sequence of `best_of` takes a permit."""
    endpoint = emulated_endpoint(answers="Hello", max_concurrent_requests=1)

    assert ask(endpoint, best_of=2, do_sample=True).status_code == 429
    assert ask(endpoint).status_code == 200


def test_the_queue_is_served_one_after_another(emulated_endpoint: Start, ask: Ask) -> None:
    """Within the limit nobody is refused, but only so many are generated at the same time."""
    busy = threading.Semaphore(1)
    alone: list[bool] = []

    def answer(_: str) -> str:
        alone.append(busy.acquire(blocking=False))
        busy.release()
        return "Hello"

    endpoint = emulated_endpoint(answers=answer, max_batch_size=1)

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: ask(endpoint).status_code, range(8))]

    assert answers == [200] * 8
    assert alone == [True] * 8


def test_waiting_streams_get_comments(emulated_endpoint: Start, ask: Ask) -> None:
    """A stream in the queue is kept alive, from its head on."""
    gate = Gate(expected=1)
    endpoint = emulated_endpoint(answers=gate, max_batch_size=1, keep_alive_interval=0.02)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, endpoint)
        gate.wait_until_all_arrived()
        with (
            httpx.Client(trust_env=False, verify=False) as client,  # noqa: S501 - loopback
            client.stream(
                "POST", f"{endpoint.url}/generate_stream", json={"inputs": "Hi"}
            ) as waiting,
        ):
            assert next(waiting.iter_raw()) == b":\n\n"
        gate.open()
        assert first.result().status_code == 200


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
def test_limits_are_the_endpoints(
    emulated_endpoint: Start, http: httpx.Client, ask: Ask, dialect: str
) -> None:
    """Every limit can be set, is enforced, named in the error, and reported by `/info`."""
    endpoint = emulated_endpoint(
        answers="Hello",
        dialect=dialect,
        max_best_of=1,
        max_stop_sequences=1,
        max_top_n_tokens=2,
        max_input_tokens=4,
        max_total_tokens=6,
        payload_limit=200,
        model_id="mine",
    )

    def error(prompt: str = "Hi", **parameters: Any) -> str:
        answer = ask(endpoint, prompt=prompt, **parameters)
        assert answer.status_code == 422
        return str(answer.json()["error"]).removeprefix("Input validation error: ")

    assert error(best_of=2, do_sample=True) == "`best_of` != 1 is not allowed for this endpoint"
    assert error(stop=["a", "b"]) == "`stop` supports up to 1 stop sequences. Given: 2"
    assert error(top_n_tokens=3) == "`top_n_tokens` must be >= 0 and <= 2. Given: 3"
    assert error(truncate=5) == "`truncate` must be strictly positive and less than 4. Given: 5"
    assert error("a b c d", max_new_tokens=1) == "`inputs` must have less than 4 tokens. Given: 5"
    assert error("a b", max_new_tokens=9).startswith("`inputs` tokens + `max_new_tokens` must be")
    assert ask(endpoint, prompt="a" * 200).status_code == 413
    info = http.get(f"{endpoint.url}/info").json()
    assert (info["model_id"], info["max_best_of"], info["max_total_tokens"]) == ("mine", 1, 6)
    assert info["max_input_tokens" if dialect == "3.3.7" else "max_input_length"] == 4


def test_the_window_is_filled_unless_limited(emulated_endpoint: Start, ask: Ask) -> None:
    """Without `max_new_tokens`, an answer ends at the end of the context window."""
    endpoint = emulated_endpoint(answers="word " * 20, max_total_tokens=6)

    details = ask(endpoint, details=True).json()["details"]

    assert (details["generated_tokens"], details["finish_reason"]) == (4, "length")


@pytest.mark.parametrize("source", ["answers", "model"])
def test_leaving_stops_the_generation(
    emulated_endpoint: Start, http: httpx.Client, tiny_llama: Path, source: str
) -> None:
    """Closing the connection in the middle of a stream ends it long before its last token."""
    where = {"answers": "word " * 1000} if source == "answers" else {"model": tiny_llama}
    endpoint = emulated_endpoint(**where, tokens_per_second=50)
    body = {"inputs": "Hi", "parameters": {"temperature": 50.0, "stop": ["."], "seed": 1}}

    with http.stream("POST", f"{endpoint.url}/generate_stream", json=body) as response:
        next(response.iter_raw())
    endpoint.wait_until_idle()

    (request,) = endpoint.requests
    assert request.left_early
    assert not request.finished
    assert 0 < request.events < 100


def test_leaving_stops_what_is_not_streamed(emulated_endpoint: Start, http: httpx.Client) -> None:
    """A client whose patience ends frees the server, whose clock is the client's."""
    endpoint = emulated_endpoint(answers="word " * 1000, tokens_per_second=10)

    with pytest.raises(httpx.ReadTimeout):
        http.post(f"{endpoint.url}/generate", json={"inputs": "Hi"}, timeout=0.05)
    endpoint.wait_until_idle(timeout=5)

    assert endpoint.requests[0].left_early


def test_waiting_for_idleness_ends(emulated_endpoint: Start, ask: Ask) -> None:
    """Waiting for an endpoint that stays busy raises an error."""
    gate = Gate(expected=1)
    endpoint = emulated_endpoint(answers=gate)

    with ThreadPoolExecutor() as pool:
        request = pool.submit(ask, endpoint)
        gate.wait_until_all_arrived()
        with pytest.raises(TimeoutError, match="1 still open"):
            endpoint.wait_until_idle(timeout=0.01)
        gate.open()
        request.result()


def test_64_streams_of_a_model_at_once(
    emulated_endpoint: Start, events: Events, tiny_llama: Path
) -> None:
    """64 concurrent streams each have the answer that they would have alone."""
    endpoint = emulated_endpoint(model=tiny_llama)
    body = {"inputs": "[INST] Hello [/INST]", "parameters": {"max_new_tokens": 30}}

    async def ask_together() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            trust_env=False,
            verify=False,  # noqa: S501 - loopback
            limits=httpx.Limits(max_connections=None),
            timeout=30,
        ) as client:
            url = f"{endpoint.url}/generate_stream"
            return await asyncio.gather(*(client.post(url, json=body) for _ in range(64)))

    responses = asyncio.run(ask_together())

    texts = {events(response)[-1]["generated_text"] for response in responses}
    assert texts == {" Hello! How can I help you today?"}
    assert len({response.content for response in responses}) == 1
    assert 64 >= endpoint.peak_open_connections >= endpoint.peak_open_requests > 32


def test_connections_are_counted(emulated_endpoint: Start) -> None:
    """A connection that is used again is one, whatever came by it."""
    endpoint = emulated_endpoint(answers="Hello")

    with httpx.Client(trust_env=False, verify=False) as client:  # noqa: S501 - loopback
        for _ in range(3):
            client.post(f"{endpoint.url}/generate", json={"inputs": "Hi"})
        assert endpoint.open_connections == 1

    assert endpoint.peak_open_connections == 1
    assert endpoint.peak_open_requests == 1
    assert len(endpoint.requests) == 3


def test_stopping_leaves_nothing_behind(tiny_llama: Path) -> None:
    """Open streams are cut, and threads and the port are free."""
    before = threading.enumerate()
    endpoint = EmulatedEndpoint(model=tiny_llama, tokens_per_second=20).start()
    url, port = endpoint.url, int(endpoint.url.rpartition(":")[2])
    body = {"inputs": "[INST] Hello [/INST]", "parameters": {}}

    with (
        httpx.Client(trust_env=False, verify=False) as client,  # noqa: S501 - loopback
        client.stream("POST", f"{url}/generate_stream", json=body) as response,
    ):
        chunks = response.iter_raw()
        next(chunks)
        endpoint.stop()
        with pytest.raises(httpx.TransportError):
            b"".join(chunks)

    assert threading.enumerate() == before
    assert endpoint.open_requests == endpoint.open_connections == 0
    with EmulatedEndpoint(answers="Hello", port=port) as next_one:
        assert next_one.url == url
