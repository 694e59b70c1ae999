"""The results as a picture: SVG by hand, so that it follows the reader's light or dark theme."""

import math
from collections.abc import Iterable

from tests.benchmarks.results import LABELS, Key, Results

WIDTH, HEIGHT, TOP, BOTTOM = 960, 330, 64, 282
STREAMS = (1, 32, 256, 1000)
MOST = 40.0
"""The largest time over ideal that there is room for."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; fill: #1f2328 }
.grid { stroke: #d0d7de }
.line { fill: none; stroke-width: 1.8 }
.ours { font-weight: 700; fill: #1f2328 }
.c0 { stroke: #8c959f; fill: #8c959f } .c1 { stroke: #d1242f; fill: #d1242f }
.c2 { stroke: #0969da; fill: #0969da } .c3 { stroke: #8250df; fill: #8250df }
.c4 { stroke: #bc4c00; fill: #bc4c00 } .c5 { stroke: #1a7f37; fill: #1a7f37 }
.c6 { stroke: #bf3989; fill: #bf3989 }
.bold { stroke-width: 3.5 }
path.line { fill: none } rect { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title, .ours { fill: #f0f6fc } .grid { stroke: #3d444d }
.c0 { stroke: #9198a1; fill: #9198a1 } .c1 { stroke: #ff7b72; fill: #ff7b72 }
.c2 { stroke: #58a6ff; fill: #58a6ff } .c3 { stroke: #bc8cff; fill: #bc8cff }
.c4 { stroke: #ffa657; fill: #ffa657 } .c5 { stroke: #56d364; fill: #56d364 }
.c6 { stroke: #f778ba; fill: #f778ba }
}"""
COLOURS = {
    "raw": "c0",
    "ours_fast": "c1",
    "ours": "c6",
    "plain_httpx": "c2",
    "plain_aiohttp": "c3",
    "tgi_package": "c5",
    "hugging_face": "c4",
}


def render(results: Results) -> str:
    """The whole picture."""
    parts = (*_lines(results), *_bars(results))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>Speed of clients of Text Generation Inference</title><style>{STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{words}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>'


def _lines(results: Results) -> Iterable[str]:
    """Time over ideal, by the number of streams."""
    left, right = 44.0, 285.0

    def across(number: float) -> float:
        return left + (right - left) * math.log(number) / math.log(STREAMS[-1])

    def up(ratio: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * math.log(min(ratio, MOST)) / math.log(MOST)

    yield _text(8, 22, "Streams at a time, a token every 10 ms", style="title")
    yield _text(8, 40, "time over ideal, async; lower is better")
    for ratio in (1, 2, 5, 10, 20, 40):
        yield _rule(left, up(ratio), right, up(ratio))
        yield _text(left - 6, up(ratio) + 4, f"{ratio}x", "end")
    for number in STREAMS:
        yield _text(across(number), BOTTOM + 20, f"{number}", "middle")
    yield _text((left + right) / 2, BOTTOM + 38, "streams", "middle")
    ends = []
    for client, colour in COLOURS.items():
        values = [
            results.value("ideal", Key("streams", client, number=number)) for number in STREAMS
        ]
        points = [(across(n), up(v)) for n, v in zip(STREAMS, values, strict=True) if v]
        if not points:
            continue
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        bold = "bold" if client.startswith("ours") else ""
        yield f'<path d="{path}" class="line {colour} {bold}"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{colour}"/>'
        last = values[-1]
        reported = f"{last:.1f}x" if last else "over 30 s"
        ends.append((points[-1][1] if last else TOP, client, reported))
    lowest = BOTTOM + 16.0
    for y, client, reported in sorted(ends, reverse=True):
        lowest = min(y + 4, lowest - 15)
        style = "ours" if client.startswith("ours") else ""
        yield f'<circle cx="{right + 14}" cy="{lowest - 4:.1f}" r="4" class="{COLOURS[client]}"/>'
        yield _text(right + 24, lowest, f"{LABELS[client]}  {reported}", style=style)


def _bars(results: Results) -> Iterable[str]:
    """CPU for each token, and requests."""
    tokens = {c: results.value("cpu", Key("stream", c)) for c in COLOURS}
    rates = {c: results.value("rate", Key("requests", c, number=64)) for c in COLOURS if c != "raw"}
    yield from _panel(508, 176, "CPU for each streamed token", "µs, async; lower is better", tokens)
    yield from _panel(
        742, 176, "64 requests at a time", "per second, async; higher is better", rates
    )


def _panel(
    left: float, width: float, title: str, unit: str, values: dict[str, float | None]
) -> Iterable[str]:
    yield _text(left, 22, title, style="title")
    yield _text(left, 40, unit)
    known = {client: value for client, value in values.items() if value}
    largest = max(known.values(), default=1.0)
    step = (BOTTOM - TOP + 10) / max(1, len(known))
    for place, (client, value) in enumerate(known.items()):
        y = TOP + place * step
        style = "ours" if client.startswith("ours") else ""
        length = max(2.0, width * 0.78 * value / largest)
        yield _text(left, y + 8, LABELS[client], style=style)
        yield (
            f'<rect x="{left}" y="{y + 13:.1f}" width="{length:.1f}" height="11" rx="2" '
            f'class="{COLOURS[client]}"/>'
        )
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        yield _text(left + length + 6, y + 23, shown, style=style)
