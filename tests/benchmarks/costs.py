"""What parts of the package cost by themselves; only `setting` talks to the server."""

import json
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext
from datacrunch_tgi._protocol._parameters import check_prompt
from datacrunch_tgi._protocol._responses import read_event
from datacrunch_tgi._protocol._schema import StreamEvent
from datacrunch_tgi._protocol._sse import EventDecoder
from langchain_datacrunch import DataCrunchLLM
from llamaindex_datacrunch import DataCrunch
from tests.benchmarks import server

Make = Callable[[str, int], Any]
Result = dict[str, float]
PROMPTS = ("a" * 1_000_000, "你好" * 500_000, "\N{GRINNING FACE}" * 1_000_000)
TOKENIZER = "cookbook/tiny-llama/tokenizer.json"


def _each(call: Callable[[], Any], number: int) -> float:
    """Return the seconds of CPU that one call takes."""
    call()
    begin = time.process_time()
    for _ in range(number):
        call()
    return (time.process_time() - begin) / number


async def decode(_make: Make, _url: str, tokens: int) -> Result:
    """Microseconds for each token: from bytes to typed events, and by `json.loads` alone."""
    events = server.events(tokens)
    decoder = EventDecoder()

    def decode_events() -> None:
        for event in events:
            for data in decoder.feed(event):
                read_event(data)

    def load_events() -> None:
        for event in events:
            json.loads(event[5:])

    return {
        "ours": _each(decode_events, 1) / tokens * 1e6,
        "json": _each(load_events, 1) / tokens * 1e6,
    }


async def kept(_make: Make, _url: str, tokens: int) -> Result:
    """KiB that a stream of so many tokens keeps for its answer."""
    streams = 100
    pairs = [(read_event(event[5:-2]), event[5:-2]) for event in server.events(tokens)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    answers = [AnswerAccumulator(RequestContext(inputs="", details=True)) for _ in range(streams)]
    for answer in answers:
        for event, data in pairs:
            answer.push(
                cast("StreamEvent", event), bytes(bytearray(data))
            )  # a copy, as in a stream
    kib = (tracemalloc.get_traced_memory()[0] - before) / 1024 / streams
    tracemalloc.stop()
    return {"kib": kib}


async def prompt(_make: Make, _url: str, number: int) -> Result:
    """Milliseconds to check a prompt of a million characters: the slowest of ASCII, Chinese and emoji."""
    slowest = max(_each(partial(check_prompt, text), number) for text in PROMPTS)
    return {"ms": slowest * 1e3}


async def metadata(_make: Make, _url: str, number: int) -> Result:
    """Microseconds for a look at LlamaIndex's `metadata`, with a template and a tokenizer."""
    model = DataCrunch(model="llama-2-13b-chat", base_url="http://127.0.0.1:1", tokenizer=TOKENIZER)
    return {"us": _each(lambda: model.metadata, number) * 1e6}


async def setting(_make: Make, url: str, number: int) -> Result:
    """Milliseconds that a call takes longer for a setting of its own."""
    model = DataCrunchLLM(base_url=url)
    plain = _each(lambda: model.invoke("burst"), number)
    return {"ms": (_each(lambda: model.invoke("burst", max_retries=1), number) - plain) * 1e3}


CASES = {
    "decode": decode,
    "kept": kept,
    "prompt": prompt,
    "metadata": metadata,
    "setting": setting,
}
