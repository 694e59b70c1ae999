"""One client serves many threads, one many event loops, copies work elsewhere; nothing warns or is left."""

import asyncio
import copy
import gc
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, Client

DESCRIPTORS = Path("/proc/self/fd")


def descriptors() -> int:
    """Return the number of open files and sockets; 0 if the system does not report it."""
    return len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0


@pytest.fixture
def answering(serve: Any, http: Any) -> Any:
    """A server that answers every request by what it asks for."""

    def answer(peer: Any) -> None:
        streaming = peer.received.target.endswith("stream")
        peer.send(http.stream(http.events("Hi", " you")) if streaming else http.answer())

    return serve(answer)


@pytest.fixture
def nothing_left(answering: Any) -> Callable[[], None]:
    """Check that no connection and no thread is left; beforehand the server has none."""
    files, threads = descriptors(), threading.active_count()

    def check() -> None:
        gc.collect()
        end = time.monotonic() + 5
        while answering.open and time.monotonic() < end:
            answering.wait_until_ended()
        assert answering.open == 0
        while threading.active_count() > threads and time.monotonic() < end:
            gc.collect()
        assert threading.active_count() == threads
        assert descriptors() <= files

    return check


async def use(client: AsyncClient, tasks: int = 4) -> None:
    """Both methods at once, whole, and one stream that is left."""
    answers = await asyncio.gather(*(client.generate("Hello") for _ in range(tasks)))
    assert {answer.text for answer in answers} == {"Hi you"}
    async with client.stream("Hello") as events:
        assert [event.text async for event in events] == ["Hi", " you"]
    async for _ in client.stream("Hello"):
        break


def test_one_client_in_one_loop_after_another(answering: Any, nothing_left: Any) -> None:
    """`asyncio.run` three times, with the client never closed."""
    client = AsyncClient(base_url=answering.url)
    for _ in range(3):
        asyncio.run(use(client))
        nothing_left()


def test_one_client_in_a_loop_that_leaves_a_stream_open(answering: Any, nothing_left: Any) -> None:
    """The end of an event loop closes the stream that it left open."""
    client = AsyncClient(base_url=answering.url)
    left: list[Any] = []

    async def leave() -> None:
        left.append(client.stream("Hello"))
        await anext(left[0])

    for _ in range(3):
        left.clear()
        asyncio.run(leave())
        nothing_left()


def test_one_client_in_loops_at_once(answering: Any, nothing_left: Any) -> None:
    """Four threads with a loop each, over and over: loops come and go beside each other."""
    client = AsyncClient(base_url=answering.url)
    start = threading.Barrier(4)

    def run() -> None:
        start.wait()
        for _ in range(5):
            asyncio.run(use(client))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(run) for _ in range(4)]:
            done.result()
    nothing_left()


def test_one_client_in_32_threads(answering: Any, nothing_left: Any) -> None:
    """One client works in 32 threads with both methods, and can be closed."""
    client = Client(base_url=answering.url)

    def run(_: int) -> str:
        with client.stream("Hello") as events:
            return "".join(event.text for event in events) + client.generate("Hello").text

    with ThreadPoolExecutor(32) as threads:
        assert set(threads.map(run, range(128))) == {"Hi youHi you"}
    client.close()
    nothing_left()


def test_a_client_that_is_dropped_closes_its_connections(answering: Any, nothing_left: Any) -> None:
    """Without close, for threads and in a running loop; with a stream in the same heap of garbage."""
    Client(base_url=answering.url).generate("Hello")
    nothing_left()
    heap: list[Any] = [Client(base_url=answering.url)]
    heap[0].generate("Hello")
    heap.append(heap[0].stream("Hello"))
    next(heap[1])
    heap.append(heap)
    del heap
    nothing_left()

    async def drop() -> None:
        await use(AsyncClient(base_url=answering.url))
        heap: list[Any] = [AsyncClient(base_url=answering.url)]
        await use(heap[0])
        heap.append(heap[0].stream("Hello"))
        await anext(heap[1])
        heap.append(heap)
        del heap
        gc.collect()
        while answering.open:
            await asyncio.to_thread(answering.wait_until_ended)

    asyncio.run(drop())


class Reentrant:
    """Ends a stream at the nth moment of another call, as the garbage collector may."""

    def __init__(self, stream: Any, moment: int) -> None:
        self.stream, self.moment = stream, moment

    def __call__(self, frame: Any, event: str, _: object) -> None:
        name = Path(frame.f_code.co_filename).name
        if (
            self.stream
            and name in {"_pool.py", "_limiter.py", "_driver.py", "threading.py", "queue.py"}
            and "call" in event
        ):
            self.moment -= 1
            if not self.moment:
                self.stream.close()
                self.stream = None


@pytest.mark.slow
def test_a_stream_may_be_collected_at_any_moment_of_another_call(
    answering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage collection of a stream during another call frees its connection."""
    monkeypatch.setattr("datacrunch_tgi._transport._limiter._RECHECK", 0.02)
    for moment in range(1, 40):
        with Client(base_url=answering.url, max_connections=1) as client:
            stream = client.stream("Hello")
            next(stream)
            reentrant = Reentrant(stream, moment)
            done: list[str] = []

            def call(client: Client = client, reentrant: Reentrant = reentrant) -> None:
                sys.setprofile(reentrant)
                done.append(client.generate("Hello").text)  # noqa: B023 -- joined in this iteration
                sys.setprofile(None)

            thread = threading.Thread(target=call, daemon=True)
            thread.start()
            thread.join(1)
            if reentrant.stream is not None:  # the moment was not reached: it waits for this
                stream.close()
            thread.join(10)
            assert done == ["Hi you"]


SCRIPT = """
import asyncio, os, sys
from datacrunch_tgi import AsyncClient, Client

url = sys.argv[1]
client, async_client = Client(base_url=url), AsyncClient(base_url=url)
stream = client.stream("Hello")
next(stream)
assert client.generate("Hello").text == "Hi you"
asyncio.run(async_client.generate("Hello"))
child = os.fork()
assert client.generate("Hello").text == "Hi you"
assert asyncio.run(async_client.generate("Hello")).text == "Hi you"
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert "".join(event.text for event in stream) == " you"
    assert client.generate("Hello").text == "Hi you"
client.close()
"""


def test_both_sides_of_a_fork_work(answering: Any) -> None:
    """The child opens connections of its own, the parent keeps its own; no warning on either side."""
    done = subprocess.run(  # noqa: S603 -- the script above
        [sys.executable, "-W", "error", "-c", SCRIPT, answering.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Parent: for the stream, for the calls beside it, and for each of two loops. Child: for each client.
    assert answering.accepted == 6


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda client: pickle.loads(pickle.dumps(client))]
)
def test_a_copy_works_on_its_own(copied: Callable[[Any], Any], answering: Any) -> None:
    """With the same settings, the key among them, and connections of its own."""
    with Client(base_url=answering.url, api_key="the-secret-key", idle_timeout=7) as client:
        client.generate("Hello")
        with copied(client) as other:
            client.close()
            assert other.generate("Hello").text == "Hi you"
            assert other.settings.idle_timeout == 7
    assert answering.requests[-1].headers["authorization"] == "Bearer the-secret-key"
    assert answering.accepted == 2


def test_another_kind_of_loop_is_refused() -> None:
    """Trio drives a coroutine without an asyncio loop: a clear error, nothing sent."""
    call = AsyncClient(base_url="http://127.0.0.1:1").generate("Hello")
    with pytest.raises(ArgumentError, match=r"asyncio.*trio"):
        call.send(None)


FORK_IN_THE_MIDST = """
import asyncio, os, signal, sys, threading
from datacrunch_tgi import AsyncClient, ArgumentError, Client

url, fifo, kind, engine = sys.argv[1:]
os.mkfifo(fifo)
threading.excepthook = lambda _: None  # the parent's thread reads no certificate
settings = {"max_retries": 0, "deadline": 5, "engine": engine}
if kind == "Client":
    client = Client(base_url=url, **settings)
    secure = Client(base_url="https://127.0.0.1:9", ca_bundle=fifo, **settings)
    ask = lambda client: client.generate("Hello").text
else:
    client = AsyncClient(base_url=url, **settings)
    secure = AsyncClient(base_url="https://127.0.0.1:9", ca_bundle=fifo, **settings)
    ask = lambda client: asyncio.run(client.generate("Hello")).text
threading.Thread(target=ask, args=(secure,), daemon=True).start()
lock = client._session.pool.limiter._lock if kind == "Client" else threading.Lock()
with open(fifo, "wb"), lock:  # it has been opened: the thread holds the lock of the certificates
    child = os.fork()
    if not child:
        signal.alarm(20)
        assert ask(client) == "Hi you"
        os.unlink(fifo)
        try:
            ask(secure)
        except ArgumentError:  # the file is gone
            os._exit(0)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
os._exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_a_child_works_whose_parent_was_in_the_midst_of_something(
    kind: str, engine: str, answering: Any, tmp_path: Path
) -> None:
    """Reading certificates in another thread, or taking a place: no lock is left to the child."""
    # Python 3.12 and newer warn of every fork beside a thread, which is what this is about.
    python = [sys.executable, "-W", "ignore:This process:DeprecationWarning"]
    arguments = [answering.url, str(tmp_path / "fifo"), kind, engine]
    done = subprocess.run(  # noqa: S603 -- the script above
        [*python, "-c", FORK_IN_THE_MIDST, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
