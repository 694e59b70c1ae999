"""What ends a call from outside comes through frames that hold the request; it shows none of them."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import h11
import pytest

from datacrunch_tgi import AsyncClient, Client
from datacrunch_tgi._transport._exceptions import strip_traceback

KEY = "sk-0123456789/abcdefghij"
TOKEN = "another-header-value"  # noqa: S105 -- made up
PROMPT = "My name is Olivier and I"
LONG = PROMPT * 400_000
MODULES = {
    "httpx": (
        "httpx",
        "httpcore",
        "h11",
        "anyio",
        "datacrunch_tgi._transport._network",
        "datacrunch_tgi._transport._link",
        "datacrunch_tgi._transport._socket_stream",
        "datacrunch_tgi._transport._httpx",
    ),
    "fast": (
        "datacrunch_tgi._transport._fast",
        "datacrunch_tgi._transport._link",
        "datacrunch_tgi._transport._socket_stream",
        "datacrunch_tgi._transport._response_reader",
    ),
}
"""What does the I/O of each engine."""
LOCKS = ("httpcore._synchronization", "httpcore2._synchronization")
"""If interrupted here, httpcore deadlocks, which nothing above it can prevent."""


class Interrupt(BaseException):
    """As the one of a keyboard. Who looks at it has the next one on its way."""

    strike: Any = None

    def __getattribute__(self, name: str) -> Any:
        # Python takes a profiler that raises away: it is set again when the error is handled.
        strike = super().__getattribute__("strike")
        if name == "__traceback__" and strike:
            self.strike = None
            sys.setprofile(strike)
        return super().__getattribute__(name)


def sends(peer: Any, data: bytes) -> None:
    peer.send(data)
    peer.wait_until_left()


STALLS: dict[str, Callable[[Any], Any]] = {
    "head": lambda _: lambda peer: peer.wait_until_left(),
    "body": lambda http: lambda peer: sends(peer, http.head() + b"5\r\nda"),
    "token": lambda http: lambda peer: sends(peer, http.head() + http.chunk(http.event("Hi"))),
}


@pytest.fixture(params=[*STALLS, "sending"])
def stalled(request: pytest.FixtureRequest, http: Any, serve: Any) -> Iterator[tuple[str, str]]:
    """The address of a server that stops somewhere, and a prompt that gets it there."""
    if request.param == "sending":  # it never reads, and so much does not fit in between
        with socket.create_server(("127.0.0.1", 0)) as silent:
            yield f"http://127.0.0.1:{silent.getsockname()[1]}", LONG
    else:
        yield serve(STALLS[request.param](http)).url, PROMPT


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_no_interrupted_task_shows_a_secret(
    how: str, stalled: tuple[str, str], shown: Any, *, streaming: bool
) -> None:
    """The frames that a cancelled error came through hold the request; here also while it is sent."""
    base_url, prompt = stalled
    client = AsyncClient(base_url=base_url, api_key=KEY, headers={"X-Token": TOKEN})

    async def consume() -> None:
        if not streaming:
            await client.generate(prompt)
        async with client.stream(prompt) as events:
            async for _ in events:
                pass

    async def limited() -> None:
        async with asyncio.timeout(0.1):
            await consume()

    task = asyncio.create_task(limited() if how == "timeout" else consume())
    if how == "cancel":
        await asyncio.sleep(0.1)
        task.cancel()
    with pytest.raises((TimeoutError, asyncio.CancelledError)) as caught:
        await task
    assert not shown.secrets(shown.trace(caught.value))


@pytest.mark.parametrize("streaming", [True, False])
def test_no_interrupted_thread_shows_a_secret(
    stalled: tuple[str, str], shown: Any, *, streaming: bool
) -> None:
    """An interrupt of a waiting thread shows no secret."""
    base_url, prompt = stalled

    def interrupt(*_: object) -> None:
        raise Interrupt

    client = Client(base_url=base_url, api_key=KEY, headers={"X-Token": TOKEN})
    call = (lambda: list(client.stream(prompt))) if streaming else (lambda: client.generate(prompt))
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, interrupt)
    timer.start()
    try:
        with pytest.raises(Interrupt) as caught:
            call()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert not shown.secrets(shown.trace(caught.value))


def test_an_interrupt_in_a_callback_shows_no_secret(
    http: Any, serve: Any, caller: Any, shown: Any
) -> None:
    """An interrupt in the user's tokenizer shows no secret."""

    def tokenizer(_: str) -> list[int]:
        raise Interrupt

    caller = caller(serve(http.answer()).url, api_key=KEY, tokenizer=tokenizer)
    with pytest.raises(Interrupt) as caught:
        caller.ask("generate", PROMPT)
    assert not shown.secrets(shown.trace(caught.value))


class Strike:
    """Interrupts at the nth moment of what the libraries below do to get a response, and once more."""

    def __init__(self, modules: tuple[str, ...], moment: int, again: int) -> None:
        self.modules, self.moment, self.again = modules, moment, again
        self.started, self.count, self.strikes = False, 0, 0

    def __call__(self, frame: Any, event: str, _: object) -> None:
        if frame.f_code.co_name == "perform" and event == "call":
            self.started = True
        module = f"{frame.f_globals.get('__name__')}"
        if (
            self.started
            and "call" in event
            and module.startswith(self.modules)
            and module not in LOCKS
        ):
            self.count += 1
            self.moment -= 1
            if self.moment in {0, -self.again}:
                self.strikes += 1
                interrupt = Interrupt()
                interrupt.strike = self if self.again and self.strikes == 1 else None
                raise interrupt


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("again", [0, 2, 6])
@pytest.mark.parametrize("moment", range(1, 300, 7))
def test_no_thread_that_is_interrupted_at_any_moment_shows_a_secret(  # noqa: PLR0917 -- fixtures
    moment: int, again: int, http: Any, serve: Any, shown: Any, engine: str
) -> None:
    """An interrupt at any point shows no secret, and the next call works."""
    with Client(base_url=serve(http.answer()).url, api_key=KEY, max_connections=1) as client:
        strike = Strike(MODULES[engine], moment, again)
        interrupt: BaseException | None = None
        sys.setprofile(strike)
        try:
            client.generate(PROMPT)
        except Interrupt as error:
            interrupt = error
            error.strike = None  # nobody has looked at it, and the test is about to
        finally:
            sys.setprofile(None)
        assert interrupt is not None or strike.moment > 0
        assert strike.count > 0
        for each in chain(interrupt):
            assert not shown.secrets(shown.locals(each))
        assert client.generate(PROMPT).text == "Hi you"


def test_an_interrupt_while_a_response_is_ended_leaves_no_connection_in_between(
    http: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Httpcore would take such a connection for an idle one, and h11 would refuse the next request."""
    interrupts = [Interrupt()]
    proceed = h11.Connection.start_next_cycle

    def interrupted(connection: h11.Connection) -> None:
        if interrupts:
            raise interrupts.pop()
        proceed(connection)

    monkeypatch.setattr(h11.Connection, "start_next_cycle", interrupted)
    with Client(base_url=serve(http.answer()).url, engine="httpx", max_connections=1) as client:
        with pytest.raises(Interrupt):
            client.generate(PROMPT)
        for _ in range(2):
            assert client.generate(PROMPT).text == "Hi you"


@pytest.mark.parametrize("moment", range(30))
async def test_no_task_that_is_cancelled_at_any_moment_shows_a_secret(
    moment: int, http: Any, serve: Any, shown: Any
) -> None:
    """A task that is cancelled at any point shows no secret."""
    async with AsyncClient(
        base_url=serve(http.answer()).url, api_key=KEY, max_connections=1
    ) as client:
        task = asyncio.create_task(client.generate(PROMPT))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as cancelled:
            for error in chain(cancelled):
                assert not shown.secrets(shown.locals(error))
        assert (await client.generate(PROMPT)).text == "Hi you"


def test_what_led_to_an_interrupt_is_not_shown_either() -> None:
    """An error that was being handled has a traceback too."""
    interrupt = Interrupt()
    interrupt.__context__ = OSError(KEY)
    with pytest.raises(Interrupt) as caught:
        raise interrupt
    assert list(chain(strip_traceback(caught.value))) == [interrupt]
    assert interrupt.__traceback__ is None


def test_a_mistake_below_keeps_its_place_without_its_variables() -> None:
    """The traceback of a bug keeps its frames, without their variables."""

    def broken(request: str) -> None:
        raise KeyError(len(request))

    def perform(request: str) -> None:
        broken(request)

    with pytest.raises(KeyError) as caught:
        perform(KEY)
    traceback = strip_traceback(caught.value).__traceback__
    frames = []
    while traceback:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    assert [frame.f_code.co_name for frame in frames] == ["perform", "broken"]
    assert not any(frame.f_locals for frame in frames if frame.f_code.co_name == "broken")


@pytest.mark.parametrize("function", ["drop_response", "put"])
def test_an_interrupted_ending_loses_no_place(function: str, http: Any, serve: Any) -> None:
    """The only connection is free at once, even while the traceback keeps the call alive."""
    server = serve(http.answer())
    with Client(base_url=server.url, max_connections=1, pool_timeout=0.5) as client:

        def strike(frame: Any, event: str, _: object) -> None:
            names = (frame.f_code.co_name, frame.f_back.f_code.co_name)
            if event == "call" and names == (function, "_finish"):
                sys.setprofile(None)
                raise Interrupt

        sys.setprofile(strike)
        with pytest.raises(Interrupt) as caught:
            client.generate(PROMPT)
        sys.setprofile(None)
        assert client.generate(PROMPT).text == "Hi you"
        assert caught.value.__traceback__
