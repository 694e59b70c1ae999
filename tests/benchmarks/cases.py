"""The cases: what a client is made to do, and what is measured meanwhile."""

import asyncio
import gc
import inspect
import ssl
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from tests.benchmarks import server
from tests.benchmarks.worker import peak

BURST, PACED = "burst: My name is Olivier and I", "paced: My name is Olivier and I"

Make = Callable[[str, int], Any]
Result = dict[str, float]


def run(case: str, make: Make, url: str, asked: dict[str, Any]) -> Result:
    """Run the case in an event loop of its own: clients for threads block it, which is no matter."""
    # Only the package as it is now has the parts that `costs` measures.
    found = _CASES.get(case) or import_module("tests.benchmarks.costs").CASES[case]
    return asyncio.run(found(make, url, **asked))


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Watch:
    """A stop watch for this process's CPU and for the clock."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self, number: int) -> Result:
        """Microseconds of CPU for each of so many; seconds by the clock."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        return {"cpu": cpu / number * 1e6, "wall": wall}


@asynccontextmanager
async def _client(make: Make, url: str, connections: int = 64) -> AsyncIterator[Any]:
    """A client that has been used once."""
    client = make(url, connections)
    await _done(client.generate(BURST))
    await _done(client.stream(BURST, 10))
    gc.collect()
    yield client
    await _done(client.close())


async def _stream(make: Make, url: str, tokens: int) -> Result:
    """One stream, all its tokens at once."""
    async with _client(make, url) as client:
        watch = Watch()
        count = await _done(client.stream(BURST, tokens))
        return watch.read(tokens) | {"failures": count != tokens}


async def _streams(make: Make, url: str, number: int, tokens: int) -> Result:
    """So many streams at a time, each with a token every 10 ms."""
    async with _client(make, url, number) as client:
        memory, watch = peak(), Watch()
        streams = (client.stream(PACED, tokens) for _ in range(number))
        counts = await asyncio.gather(*streams, return_exceptions=True)
        result = watch.read(number * tokens)
        result["ideal"] = result["wall"] / (tokens * server.PACE)
        result["kib"] = (peak() - memory) * 1024 / number
        return result | {"failures": sum(count != tokens for count in counts)}


async def _requests(make: Make, url: str, number: int, each: int) -> Result:
    """So many callers at a time, each with one request after another."""
    async with _client(make, url, number) as client:
        if inspect.iscoroutinefunction(client.generate):

            async def call() -> None:
                for _ in range(each):
                    await client.generate(BURST)

            watch = Watch()
            await asyncio.gather(*(call() for _ in range(number)))
        else:

            def call_in_thread(_: int) -> None:
                for _ in range(each):
                    client.generate(BURST)

            with ThreadPoolExecutor(number) as threads:
                watch = Watch()
                list(threads.map(call_in_thread, range(number)))
        result = watch.read(number * each)
        return result | {"rate": number * each / result["wall"]}


async def _calls(make: Make, url: str, number: int) -> Result:
    """One request after another."""
    async with _client(make, url) as client:
        for _ in range(number // 10):
            await _done(client.generate(BURST))
        gc.collect()
        memory, watch = peak(), Watch()
        for _ in range(number):
            await _done(client.generate(BURST))
        return watch.read(number) | {"mib": peak() - memory}


async def _construct(make: Make, url: str, number: int) -> Result:
    """The first client of the process, and the further ones."""
    took = []
    for _ in range(number):
        begin = time.perf_counter()
        client = make(url, 64)
        took.append((time.perf_counter() - begin) * 1e3)
        await _done(client.generate(BURST))
        contexts = sum(isinstance(item, ssl.SSLContext) for item in gc.get_objects())
        await _done(client.close())
    return {"first": took[0], "further": sorted(took[1:])[number // 2 - 1], "contexts": contexts}


_CASES: dict[str, Callable[..., Any]] = {
    "stream": _stream,
    "langchain": _stream,
    "llamaindex": _stream,
    "streams": _streams,
    "requests": _requests,
    "calls": _calls,
    "construct": _construct,
}
