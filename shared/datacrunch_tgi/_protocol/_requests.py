"""TGI's requests: routes, and the bytes that are sent. Pure.

Source: DataCrunch's API page, for the routes and `model`.
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

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_NO_JSON = (TypeError, ValueError, RecursionError)  # raised by the encoder


@dataclass(slots=True)
class Request:
    """A request, without the key."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    prompt: str = field(default="", repr=False)


def json_request(path: str, body: Mapping[str, Any]) -> Request:
    """Return a request with a JSON body.

    Raises:
        ArgumentError: A parameter cannot be encoded as JSON; the error names it.
    """
    try:
        return Request("POST", path, _dumped(body), body["inputs"])
    except _NO_JSON as error:
        parameters: Mapping[str, Any] = body.get("parameters", {})
        wrong = (name for name, value in parameters.items() if not _is_json(value))
        raise ArgumentError(next(wrong, "extra_parameters"), f"must be JSON: {error}") from None


def _dumped(value: object) -> bytes:
    return _encode(value).encode()


def _is_json(value: object) -> bool:
    try:
        _dumped(value)
    except _NO_JSON:
        return False
    return True
