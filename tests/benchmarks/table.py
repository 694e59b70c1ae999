"""The results as Markdown."""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import size
from tests.benchmarks.goals import KINDS, goals
from tests.benchmarks.results import ASYNC, LABELS, MODELS, SYNC, Key, Results

STREAMS = (1, 32, 256, 1000)
INTRODUCTION = """\
# Speed and memory

Made by `make bench` on {day}: {machine}, load {load:.1f} at the end. {versions}.

One server on loopback, which sends each event in an HTTP chunk of its own as TGI does, each client in a
process of its own, and all take turns. Ratios are taken within a turn; numbers are medians of the turns.
CPU is the client's. "raw sockets" parse the events with `json` and no more HTTP than this server sends;
httpx and aiohttp read lines and parse them with `json`; the others use their own typed interface.
datacrunch_tgi keeps the tokens of a stream for its `answer`, the others drop them. "Earlier" is this
package on httpx at commit {earlier}, before its transport was rebuilt.

A framework alone is a model whose chunks are made beforehand from this package's: it takes what the
framework itself takes to construct the chunks, to report them and to add them up, with no callbacks
set. Hugging Face's models report the text only, this package's each token and its log probability too.

![Speed](results.svg)
"""


def render(results: Results) -> str:
    """Everything."""
    parts = (
        _introduction,
        _goals,
        _stream,
        _frameworks,
        _streams,
        _requests,
        _memory,
        _imports,
        _wheel,
    )
    return "\n".join(part(results) for part in parts)


def _introduction(results: Results) -> str:
    versions = {
        name: version
        for started in results.started.values()
        for name, version in started[0]["versions"].items()
    }
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return INTRODUCTION.format(
        day=datetime.now(UTC).date(),
        machine=f"{os.cpu_count()} cores of {_processor()}, {platform.system()}",
        load=os.getloadavg()[0],
        earlier=os.environ.get("EARLIER", ""),
        versions=f"Python {platform.python_version()}, {listed}",
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _goals(results: Results) -> str:
    rows = [
        (
            goal.what,
            f"{goal.bound} {goal.value:.3g}",
            "" if goal.measured is None else f"{goal.measured:.4g}",
            "reached" if goal.is_reached else "**not reached**",
        )
        for goal in goals(results)
    ]
    return _table("Goals", ("datacrunch_tgi", "goal", "measured", ""), rows)


def _stream(results: Results) -> str:
    rows = [
        (
            _name(client),
            *(_cell(results, "cpu", Key("stream", client, kind)) for kind in KINDS),
            *(_number(results.ratio("cpu", Key("stream", client, kind), "raw")) for kind in KINDS),
        )
        for client in results.clients(floor=True)
    ]
    heads = ("", "sync, µs", "async, µs", "sync, x raw", "async, x raw")
    return _table("One stream of 10,000 tokens at once: CPU for each token", heads, rows)


def _frameworks(results: Results) -> str:
    rows = [
        (
            _name(client),
            *(_cell(results, "cpu", Key(framework, client, kind)) for kind in KINDS),
            *(
                _number(results.ratio("cpu", Key(framework, client, kind), f"{framework}_alone"))
                for kind in KINDS
            ),
        )
        for framework, models in MODELS.items()
        for client in ("ours", *models)
        if client in results.started
    ]
    heads = ("", "sync, µs", "async, µs", "sync, x framework alone", "async, x framework alone")
    return _table(
        "One stream of 1,000 tokens at once in the frameworks: CPU for each token", heads, rows
    )


def _streams(results: Results) -> str:
    def row(client: str) -> Iterable[str]:
        keys = [Key("streams", client, number=number) for number in STREAMS]
        yield _name(client)
        yield from (_cell(results, "ideal", key) for key in keys)
        yield from (_cell(results, "cpu", key) for key in keys)
        yield _number(results.most("kib", keys[-1]))
        yield str(results.failures(client))

    heads = (
        "",
        *(f"time / ideal, {number}" for number in STREAMS),
        *(f"CPU µs a token, {number}" for number in STREAMS),
        "KiB a stream, 1000",
        "failed",
    )
    rows = [tuple(row(client)) for client in results.clients()]
    title = "1, 32, 256 and 1000 streams at a time, 100 tokens each, one every 10 ms (async)"
    return _table(title, heads, rows)


def _requests(results: Results) -> str:
    rows = [
        (
            _name(client),
            *(_cell(results, "rate", Key("requests", client, kind, 64)) for kind in KINDS),
            *(
                _number(results.ratio("rate", Key("requests", client, kind, 64), "plain_httpx"))
                for kind in KINDS
            ),
            *(_cell(results, "cpu", Key("calls", client, kind, 2000)) for kind in KINDS),
        )
        for client in results.clients()
    ]
    heads = (
        "",
        "64 threads, requests/s",
        "64 tasks, requests/s",
        "threads, x httpx",
        "tasks, x httpx",
        "one by one, sync, CPU µs",
        "one by one, async, CPU µs",
    )
    return _table("Answers of 20 tokens with details, not streamed", heads, rows)


def _memory(results: Results) -> str:
    rows = []
    for client in results.clients():
        kind = SYNC if results.asked(Key("construct", client, SYNC, 20)) else ASYNC
        made = [
            _cell(results, name, Key("construct", client, kind, 20))
            for name in ("first", "further", "contexts")
        ]
        growth = _cell(results, "mib", Key("calls", client, kind, 2000))
        imports = [_number(results.startup(name, client)) for name in ("ms", "mib")]
        rows.append((_name(client), *imports, *made, growth))
    heads = (
        "",
        "import, ms",
        "import, MiB",
        "first client, ms",
        "further client, ms",
        "SSL contexts for http://",
        "growth in 2,000 calls, MiB",
    )
    return _table("Start and memory", heads, rows)


def _imports(_: Results) -> str:
    heads = ("", "CPU ms", "MiB", "modules", "of them ours")
    return _table("Importing, in a new process", heads, size.imports())


def _wheel(_: Results) -> str:
    return _table("Size of the wheel", ("", "KiB", "KiB unpacked", "files"), size.wheel())


def _name(client: str) -> str:
    names = {**LABELS, **MODELS["langchain"], **MODELS["llamaindex"]}
    return f"**{names[client]}**" if client.endswith(("ours", "fast")) else names[client]


def _cell(results: Results, name: str, key: Key) -> str:
    if not results.asked(key):
        return ""
    value = results.value(name, key)
    return "no result in 30 s" if value is None else _number(value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    shown: Callable[[float], str] = "{:,.0f}".format if abs(value) >= 100 else "{:.3g}".format
    return shown(value)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)
