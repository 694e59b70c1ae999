"""Ask one engine from every kind of thread and event loop that a program has; print what comes out.

`python loops.py URL`. A program of its own, because nest_asyncio, which it applies halfway, changes
asyncio for the whole process, and because only a program has a main thread to itself.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nest_asyncio  # type: ignore[import-untyped]  # it has no types
from llama_index.core import get_response_synthesizer
from llama_index.core.response_synthesizers import ResponseMode

from datacrunch_tgi import DataCrunchError
from llamaindex_datacrunch import DataCrunch

url = sys.argv[1]
model: Any = DataCrunch(base_url=url)
synthesizer = get_response_synthesizer(
    llm=model, response_mode=ResponseMode.ACCUMULATE, use_async=True
)
question = "Why?", ["Because."]
heard: list[str] = []


def ask(_: object = None) -> None:
    try:
        heard.append(f"{synthesizer.get_response(*question)}")
    except DataCrunchError as error:
        heard.append(type(error).__name__)


async def aask() -> None:
    try:
        heard.append(f"{await synthesizer.aget_response(*question)}")
    except DataCrunchError as error:
        heard.append(type(error).__name__)


async def ask_both_ways(*, nested: bool) -> None:
    await aask()
    ask()  # within a running loop, as a notebook does
    if nested:
        asyncio.get_running_loop().run_until_complete(aask())


def ask_everywhere(*, nested: bool) -> None:
    for _ in range(3):
        ask()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(8)))
    for _ in range(3):
        asyncio.run(ask_both_ways(nested=nested))
    ask()


for nested in (False, True):
    if nested:
        nest_asyncio.apply()
    for path in ("", "/nowhere"):
        model.base_url = url + path
        ask_everywhere(nested=nested)
print("\n".join(heard))  # noqa: T201 -- the output of the script
