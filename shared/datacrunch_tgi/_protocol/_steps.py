"""The steps of a call, which a driver performs, and a call's limits. Pure.

Open    send the request            -> the head of its response
Read    wait for the next bytes     -> the bytes, b"" at the end
Close   drop the response           -> None
Sleep   wait                        -> None
Compute run a function              -> None
a list  pass these events to the caller, in order
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._schema import StreamEvent


@dataclass(slots=True)
class Open:
    """Send the request; get the head of its response within `timeout` seconds in all."""

    request: Request
    connect_timeout: float
    timeout: float


@dataclass(slots=True)
class Read:
    """Get the next bytes within `timeout` seconds."""

    timeout: float


@dataclass(slots=True)
class Close:
    """Drop the response, if there is one."""


@dataclass(slots=True)
class Sleep:
    """Wait for a number of seconds."""

    seconds: float


@dataclass(slots=True)
class Compute:
    """Run a function that may take long; for an event loop, in a thread."""

    function: Callable[[], None]


Step = Open | Read | Close | Sleep | Compute
OF_A_CONNECTION = (Open, Read, Close)
"""Steps that a connection performs. A tuple, because a union takes three times as long to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """The limits of one call: times in seconds, and the number of retries."""

    connect_timeout: float = 10.0
    first_token_timeout: float = 120.0
    idle_timeout: float = 60.0
    deadline: float = 300.0
    max_retries: int = 2
    startup_timeout: float = 0.0


Steps = Generator[Step | list[StreamEvent], Any, None]
