"""TGI's requests: the routes, and the bytes that are sent. Pure.

Facts: the API page for the routes and `model`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datacrunch_tgi._errors import ArgumentError

GENERATE = "/generate"
GENERATE_STREAM = "/generate_stream"
INFO = "/info"
HEALTH = "/health"
TOKENIZE = "/tokenize"

_NO_JSON = (TypeError, ValueError, RecursionError)  # what the encoder raises


@dataclass(frozen=True)
class Request:
    """What is sent, without the key."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    prompt: str = field(default="", repr=False)


def json_request(path: str, body: Mapping[str, Any]) -> Request:
    """Make the request for a JSON body.

    Raises:
        ArgumentError: Names the parameter that holds something that is no JSON.
    """
    try:
        return Request("POST", path, _dumped(body), body["inputs"])
    except _NO_JSON as error:
        parameters: Mapping[str, Any] = body.get("parameters", {})
        wrong = (name for name, value in parameters.items() if not _is_json(value))
        raise ArgumentError(next(wrong, "extra_parameters"), f"must be JSON: {error}") from None


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _is_json(value: object) -> bool:
    try:
        _dumped(value)
    except _NO_JSON:
        return False
    return True
