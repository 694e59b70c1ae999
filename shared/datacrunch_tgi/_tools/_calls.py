"""Tool calls as both frameworks see them. Pure."""

import secrets
import string
from dataclasses import dataclass
from typing import Any

_ID = string.ascii_letters + string.digits


def new_call_id() -> str:
    """Return a random id of nine letters and digits, the only form that Mistral's templates accept."""
    return "".join(secrets.choice(_ID) for _ in range(9))


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A valid tool call.

    Its name may be unknown and its arguments may violate the tool's schema: an agent reports such errors
    to the model.

    Attributes:
        index: Index among all calls of the answer, including invalid ones, from 0.
        id: The model's own id if it is nine letters and digits, else a new one.
        name: The tool's name.
        arguments: The arguments, as JSON types.
        text: The call as the model wrote it.
    """

    index: int
    id: str
    name: str
    arguments: dict[str, Any]
    text: str


@dataclass(frozen=True, kw_only=True)
class InvalidToolCall:
    """A tool call that cannot be read: broken JSON, or cut off by the token limit or a stop string.

    Attributes:
        index: Index among all calls of the answer, from 0.
        id: As in `ToolCall`.
        name: The tool's name; None if it cannot be read.
        arguments: The text of the arguments, as far as it goes; "" if there is none.
        text: The call as the model wrote it.
        reason: What is wrong, and what to do.
    """

    index: int
    id: str
    name: str | None
    arguments: str
    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ToolCallDelta:
    """What a part of a stream adds to a call.

    Attributes:
        index: Index among all calls of the answer, from 0.
        id: The call's id; None if it has been sent or is not yet known.
        name: The tool's name, once for each call; None otherwise.
        arguments: More of the arguments' JSON text; the parts of a valid call add up to valid JSON.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True)
class Delta:
    """What a part of an answer adds.

    Attributes:
        text: Text to show.
        calls: Additions to tool calls, in order.
    """

    text: str = ""
    calls: tuple[ToolCallDelta, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.calls)
