"""The emulated endpoint equals the recorded servers.

Every recorded request is sent to it over a socket. Status, header names, chunks, keys and their
order, and all words of errors must be what the real server sent; for greedy requests also tokens,
texts and logprobs.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pytest

from datacrunch_tgi.testing import EmulatedEndpoint

RECORDINGS = Path(__file__).parent.parent / "recordings"
SERVERS = {"fork-1.1.1": "1.1.1", "tgi-3.3.7": "3.3.7"}

LOGPROB_TOLERANCE = {"1.1.1": 0.01, "3.3.7": 0.0001}
"""1.1.1 was recorded in half precision."""

NOT_REPEATABLE = (
    "fault-",
    "overloaded",
    "model-server-",
    "server-dies",
    "keep-alive-",
    "unhealthy",
)
"""Something was done to the server for these; in other tests the like is done to the endpoint."""

NOT_EMULATED = {"1.1.1": (), "3.3.7": ("chat-completions",)}

EXPLAINED = {
    "1.1.1/truncate": "half precision moves one unlikely prompt token's logprob by 0.015",
}
"""Recordings that are not reproduced, and why."""

MEASURED = {
    "date",
    "x-compute-time",
    "x-total-time",
    "x-validation-time",
    "x-queue-time",
    "x-inference-time",
    "x-time-per-token",
}
"""Headers that depend on time and machine."""

OF_THE_ANSWER = {"content-length", "x-generated-tokens"}
"""Headers that follow from what was generated."""

LARGE = "body-2-mb-minus-stream"
"""A prompt of two megabytes, which takes seconds; the same one not streamed is always compared."""

Reply = tuple[int, list[tuple[str, str]], list[str]]
"""Status, headers with names in lower case, and chunks."""


COMPARED = [
    pytest.param(dialect, path, id=f"{dialect}/{path.stem}", marks=marks)
    for folder, dialect in SERVERS.items()
    for path in sorted((RECORDINGS / folder).glob("*.json"))
    if not path.stem.startswith(NOT_REPEATABLE + NOT_EMULATED[dialect])
    for marks in [pytest.mark.slow if path.stem == LARGE else ()]
]


@pytest.fixture(scope="module")
def servers(tiny_llama: Path) -> Iterator[dict[str, EmulatedEndpoint]]:
    arguments: dict[str, Any] = {"model": tiny_llama, "model_id": "tiny/llama-2-chat"}
    with (
        EmulatedEndpoint(dialect="1.1.1", **arguments) as fork,
        EmulatedEndpoint(dialect="3.3.7", **arguments) as upstream,
    ):
        yield {"1.1.1": fork, "3.3.7": upstream}


@pytest.mark.parametrize(("dialect", "path"), COMPARED)
def test_answers_as_the_recorded_server(
    servers: dict[str, EmulatedEndpoint], dialect: str, path: Path
) -> None:
    """A client cannot distinguish the emulated endpoint from the real server."""
    recording = json.loads(path.read_text(encoding="utf-8"))
    request, response = recording["request"], recording["response"]
    theirs = (
        response["status"],
        [(name.lower(), value) for name, value in response["headers"]],
        [chunk["text"] for chunk in response["chunks"]],
    )
    ours = _send(servers[dialect], request)
    sampled = _is_sampled(request, dialect)

    found = [*_compare_heads(ours, theirs, sampled=sampled)]
    if sampled:
        found += _compare_shapes(ours, theirs)
    else:
        found += _compare_bodies(ours, theirs, LOGPROB_TOLERANCE[dialect])

    name = f"{dialect}/{path.stem}"
    if name in EXPLAINED:
        assert found, f"{name} is reproduced now: its entry in EXPLAINED is to go"
    else:
        assert not found


def test_every_explanation_is_of_a_recording() -> None:
    """Every documented difference belongs to a recording."""
    names = {parameters.id for parameters in COMPARED}

    assert set(EXPLAINED) <= names


def _is_sampled(request: dict[str, Any], dialect: str) -> bool:
    """Whether the real server's random generator had a part in the answer."""
    body = request.get("json") or {}
    parameters = body.get("parameters")
    if parameters is None:
        return "inputs" in body and dialect == "3.3.7"
    shaping = ("do_sample", "top_k", "top_p", "typical_p")
    return any(parameters.get(name) for name in shaping) or (
        parameters.get("temperature") not in {None, 1.0}
    )


def _compare_heads(ours: Reply, theirs: Reply, *, sampled: bool) -> Iterator[str]:
    if ours[0] != theirs[0]:
        yield f"status {ours[0]}, not {theirs[0]}"
    if sorted(name for name, _ in ours[1]) != sorted(name for name, _ in theirs[1]):
        yield f"headers {ours[1]}, not {theirs[1]}"
    ignored = MEASURED | OF_THE_ANSWER if sampled else MEASURED | {"content-length"}
    for name, value in theirs[1]:
        if name not in ignored and (name, value) not in ours[1]:
            yield f"no header {name}: {value}, but {ours[1]}"


def _compare_bodies(ours: Reply, theirs: Reply, tolerance: float) -> Iterator[str]:
    if len(ours[2]) != len(theirs[2]):
        yield f"{len(ours[2])} chunks, not {len(theirs[2])}"
    for our_chunk, their_chunk in zip(ours[2], theirs[2], strict=False):
        our_frame, our_value = _parse(our_chunk)
        their_frame, their_value = _parse(their_chunk)
        if our_frame != their_frame:
            yield f"framed by {our_frame}, not {their_frame}"
        yield from _compare("", our_value, their_value, tolerance)


def _compare_shapes(ours: Reply, theirs: Reply) -> Iterator[str]:
    our_shapes = [_shape(_parse(chunk)) for chunk in ours[2]]
    their_shapes = [_shape(_parse(chunk)) for chunk in theirs[2]]
    # A sampled answer may be longer or shorter; its last event differs from all before it.
    if set(our_shapes) != set(their_shapes) or our_shapes[-1:] != their_shapes[-1:]:
        yield f"{our_shapes}, not {their_shapes}"


def _compare(where: str, ours: Any, theirs: Any, tolerance: float) -> Iterator[str]:
    """Compare values, and the order of keys."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and list(ours) == list(theirs):
        for key in theirs:
            yield from _compare(f"{where}.{key}", ours[key], theirs[key], tolerance)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _compare(f"{where}[{index}]", *pair, tolerance)
    elif isinstance(theirs, float) and isinstance(ours, float) and where.endswith(".logprob"):
        if abs(ours - theirs) > tolerance:
            yield f"{where}: {ours}, not {theirs}"
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{where}: {ours!r}, not {theirs!r}"


def _parse(chunk: str) -> tuple[tuple[str, str], Any]:
    """Part a chunk in what stands around its JSON, and the JSON; text that is none stays text."""
    head, brace, rest = chunk.partition("{")
    if not brace or head not in {"", "[", "data:", "data: ", "[{"}:
        return ("", ""), chunk
    value, end = json.JSONDecoder().raw_decode(brace + rest)
    return (head, rest[end - 1 :]), value


def _shape(value: Any) -> str:
    """The keys in their order and the types of values; a list's items are taken together."""
    match value:
        case dict():
            return "{" + ",".join(f"{key}:{_shape(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + "|".join(sorted({_shape(item) for item in value})) + "]"
        case tuple():
            return "(" + ",".join(map(_shape, value)) + ")"
        case _:
            return type(value).__name__


def _send(endpoint: EmulatedEndpoint, request: dict[str, Any]) -> Reply:
    """Send a recorded request, byte for byte but for the host, and read the answer's chunks."""
    headers = {**request["headers"], "Host": urlsplit(endpoint.url).netloc}
    if endpoint.dialect == "3.3.7":
        # Recorded one request to a connection: 3.3.7 answers so to who asks to close, 1.1.1 not.
        headers["Connection"] = "close"
    lines = [f"{request['method']} {request['path']} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    address = urlsplit(endpoint.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=20) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + _body(request))
        return _read(answer)


def _body(request: dict[str, Any]) -> bytes:
    if "body_repeat" in request:
        asked = {"model": "tgi", "inputs": "", "parameters": {"max_new_tokens": 3}}
        asked["inputs"] = "a" * (request["body_repeat"]["bytes"] - len(json.dumps(asked)))
        return json.dumps(asked).encode()
    text = request.get("text", "")
    return (json.dumps(request["json"], ensure_ascii=False) if "json" in request else text).encode()


def _read(answer: BinaryIO) -> Reply:
    status = int(answer.readline().split()[1])
    headers: list[tuple[str, str]] = []
    while line := answer.readline().decode().strip():
        name, _, value = line.partition(": ")
        headers.append((name.lower(), value))
    length = dict(headers).get("content-length")
    if length is not None:
        body = answer.read(int(length)).decode()
        return status, headers, [body] if body else []
    chunks: list[str] = []
    while size := int(answer.readline(), 16):
        chunks.append(answer.read(size).decode())
        answer.readline()
    return status, headers, chunks
