"""A server and a clock that exist only in numbers, for calls without I/O and without waiting."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datacrunch_tgi import ConnectTimeoutError, DataCrunchError, RequestTimeoutError, TransportError
from datacrunch_tgi._protocol._answer import RequestContext
from datacrunch_tgi._protocol._call import Call, StreamCall, UnaryCall
from datacrunch_tgi._protocol._requests import Request
from datacrunch_tgi._protocol._responses import Head, read_response
from datacrunch_tgi._protocol._steps import CallLimits, Close, Compute, Open, Read, Sleep

STREAM = Head(200, {"content-type": "text/event-stream"})
TOKEN = b'data:{"token":{"id":1,"text":"x"}}\n\n'
LAST = b'data:{"token":{"id":1,"text":"x"},"generated_text":"x"}\n\n'
COMMENT = b":\n\n"
OVERLOADED = b'data:{"error":"Model is overloaded","error_type":"overloaded"}\n\n'

Came = tuple[float, Head | bytes | type[TransportError]]
"""After how many seconds what comes."""


@dataclass
class World:
    """A server and a clock: each attempt is a list of what comes, then silence."""

    attempts: list[list[Came]]
    now: float = 0.0
    sent: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    first_token: float | None = None
    shown: list[tuple[list[str], bool]] = field(default_factory=list)
    """Texts of the events that were passed at once, and whether the connection was still open."""
    open: bool = False

    def drive(self, call: Call[Any]) -> DataCrunchError | None:
        """Do the call's steps; return its error, if any."""
        rest: list[Came] = []
        steps = call.steps()
        try:
            step = next(steps)
            while True:
                match step:
                    case Open():
                        assert not self.open
                        assert step.request is REQUEST
                        assert 0 < step.connect_timeout <= step.timeout
                        self.sent.append(self.now)
                        rest = list(self.attempts.pop(0)) if self.attempts else []
                        step = self._wait(steps, rest, step.timeout, step.connect_timeout)
                        self.open = True
                    case Read():
                        assert self.open
                        step = self._wait(steps, rest, step.timeout, 0)
                    case Close():
                        self.open = False
                        step = next(steps)
                    case Sleep():
                        assert not self.open
                        assert step.seconds >= 0
                        self.slept.append(step.seconds)
                        self.now += step.seconds
                        step = next(steps)
                    case Compute():
                        step.function()
                        step = next(steps)
                    case events:
                        assert events
                        if self.first_token is None:
                            self.first_token = self.now
                        self.shown.append(([event.text for event in events], self.open))
                        step = next(steps)
        except StopIteration:
            self.open = False  # a driver drops the response of a call that has ended
            return None
        except DataCrunchError as error:
            return error

    def _wait(self, steps: Any, rest: list[Came], timeout: float, connect: float) -> Any:
        assert timeout > 0
        seconds, came = rest.pop(0) if rest else (timeout, RequestTimeoutError)
        if connect and came is ConnectTimeoutError:
            seconds = connect
        elif seconds >= timeout:
            seconds, came = timeout, RequestTimeoutError
        self.now += seconds
        if isinstance(came, Head | bytes):
            return steps.send(came)
        return steps.throw(came("simulated"))


LIMITS = CallLimits(
    connect_timeout=10, first_token_timeout=120, idle_timeout=60, deadline=300, max_retries=2
)
REQUEST = Request("POST", "/x")


def limits(**changed: Any) -> CallLimits:
    return replace(LIMITS, **changed)


def injected(world: World, changed: dict[str, Any]) -> dict[str, Any]:
    """The simulated clock, and whatever else is not a limit."""
    others = {"clock": lambda: world.now, "jitter": lambda: 0.5}
    for name in ("base_url", "jitter", "on_retry", "prepare", "redactor"):
        if name in changed:
            others[name] = changed.pop(name)
    return others


def stream_call(world: World, *, stop: Sequence[str] = (), **changed: Any) -> StreamCall:
    others = injected(world, changed)
    context = RequestContext(inputs="Hello", stop=stop)
    return StreamCall(REQUEST, limits(**changed), context, **others)


def whole_call(world: World, **changed: Any) -> UnaryCall[Any]:
    others = injected(world, changed)
    return UnaryCall(REQUEST, limits(**changed), read_response, **others)


GOOD: list[Came] = [(0, STREAM), (0, LAST), (0, b"")]
"""A stream of one token."""
