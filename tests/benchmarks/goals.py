"""What the package has to reach, as ratios taken within turns."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.benchmarks.results import ASYNC, MODELS, SYNC, Key, Results

KINDS = (SYNC, ASYNC)
AT_MOST, AT_LEAST = "at most", "at least"


class Goal(NamedTuple):
    """One number, and what it has to be."""

    what: str
    bound: str
    value: float
    measured: float | None

    @property
    def is_reached(self) -> bool:
        """Whether the number is within the bound."""
        if self.measured is None:
            return False
        return self.measured <= self.value if self.bound == AT_MOST else self.measured >= self.value


def goals(results: Results) -> Iterator[Goal]:
    """Every goal."""
    yield from _fast(results)
    yield from _httpx(results)
    yield from _parts(results)
    yield from _frameworks(results)


def _fast(results: Results) -> Iterator[Goal]:
    """Engine fast, against other clients and against the package as it was."""
    streams = Key("streams", "ours_fast", number=1000)
    tasks = Key("requests", "ours_fast", number=64)
    threads = Key("requests", "ours_fast", SYNC, 64)
    for base, value, name in (
        ("plain_aiohttp", 0.9, "aiohttp's"),
        ("tgi_package", 0.75, "text_generation's"),
    ):
        yield Goal(
            f"fast: time of 1000 streams, over {name}",
            AT_MOST,
            value,
            results.ratio("ideal", streams, base),
        )
    for base, value, name in (
        ("plain_aiohttp", 0.8, "aiohttp's"),
        ("tgi_package", 2.5, "text_generation's"),
        ("plain_httpx", 8, "httpx's"),
    ):
        yield Goal(
            f"fast: requests/s of 64 tasks, over {name}",
            AT_LEAST,
            value,
            results.ratio("rate", tasks, base),
        )
    yield Goal(
        "fast: requests/s of 64 threads, over the earlier commit's",
        AT_LEAST,
        2.5,
        results.ratio("rate", threads, "ours_earlier"),
    )
    for kind, burst, one_by_one in ((ASYNC, 1.4, 0.3), (SYNC, 1.5, 0.4)):
        yield Goal(
            f"fast: CPU of a token in a burst, over raw sockets, {kind.lower()}",
            AT_MOST,
            burst,
            results.ratio("cpu", Key("stream", "ours_fast", kind), "raw"),
        )
        yield Goal(
            f"fast: CPU of one request after another, over the earlier commit's, {kind.lower()}",
            AT_MOST,
            one_by_one,
            results.ratio("cpu", Key("calls", "ours_fast", kind, 2000), "ours_earlier"),
        )
    yield Goal("fast: KiB a stream, 1000 streams", AT_MOST, 40, results.most("kib", streams))
    yield Goal("fast: failed streams", AT_MOST, 0, results.failures("ours_fast"))


def _httpx(results: Results) -> Iterator[Goal]:
    """The default engine, against the package as it was: nothing is slower."""
    streams = Key("streams", "ours", number=1000)
    yield Goal(
        "httpx: time of 1000 streams, over the earlier commit's",
        AT_MOST,
        0.8,
        results.ratio("ideal", streams, "ours_earlier"),
    )
    for kind in KINDS:
        name = kind.lower()
        for what, key in (
            ("a token in a burst", Key("stream", "ours", kind)),
            ("one request after another", Key("calls", "ours", kind, 2000)),
            ("64 requests at a time", Key("requests", "ours", kind, 64)),
        ):
            yield Goal(
                f"httpx: CPU of {what}, over the earlier commit's, {name}",
                AT_MOST,
                1.0,
                results.ratio("cpu", key, "ours_earlier"),
            )
    ideal = results.value("ideal", Key("streams", "ours", number=256))
    yield Goal("httpx: time of 256 streams, over ideal", AT_MOST, 1.3, ideal)
    rate = results.ratio("rate", Key("requests", "ours", number=64), "plain_httpx")
    yield Goal("httpx: requests/s of 64 tasks, over plain httpx's", AT_LEAST, 2.8, rate)
    yield Goal("httpx: failed streams", AT_MOST, 0, results.failures("ours"))


def _parts(results: Results) -> Iterator[Goal]:
    """What single parts cost."""

    def part(case: str, name: str, number: int = 0) -> float | None:
        return results.value(name, Key(case, "ours", SYNC, number))

    bare = part("decode", "json") or 0
    yield Goal("decoding a token, µs", AT_MOST, max(3.0, 3 * bare), part("decode", "ours"))
    yield Goal("100 kept tokens, KiB", AT_MOST, 20, part("kept", "kib"))
    yield Goal(
        "checking a prompt of a million characters, ms", AT_MOST, 50, part("prompt", "ms", 20)
    )
    yield Goal("a call's own setting, ms", AT_MOST, 1, part("setting", "ms", 50))
    yield Goal("a look at LlamaIndex's metadata, µs", AT_MOST, 50, part("metadata", "us", 2000))
    yield Goal("memory growth in 2,000 calls, MiB", AT_MOST, 0.5, part("calls", "mib", 2000))
    yield Goal("constructing a client, ms", AT_MOST, 1, part("construct", "further", 20))
    contexts = part("construct", "contexts", 20)
    yield Goal("SSL contexts made for http://", AT_MOST, 0, contexts)


def _frameworks(results: Results) -> Iterator[Goal]:
    """The worse of sync and async."""
    bounds = {"langchain": (1.4, 0.25), "llamaindex": (1.2, 0.4)}
    for framework, (of_own, of_peer) in bounds.items():
        alone, ours, peer = MODELS[framework]
        name = MODELS[framework][alone].removesuffix(" alone")
        keys = [Key(framework, ours, kind) for kind in KINDS]
        own = [results.ratio("cpu", key, alone, less="ours") for key in keys]
        peers = [results.ratio("cpu", key, peer) for key in keys]
        yield Goal(
            f"a token streamed in {name}, without datacrunch_tgi's part, over {name} alone",
            AT_MOST,
            of_own,
            _worse(own),
        )
        yield Goal(
            f"a token streamed in {name}, over {MODELS[framework][peer]}",
            AT_MOST,
            of_peer,
            _worse(peers),
        )


def _worse(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None
