"""Ask one engine from every kind of thread and event loop that a program has; print what comes out.

`python loops.py URL [nest_asyncio]`. A program of its own, because nest_asyncio changes asyncio for
the whole process, and because only a program has a main thread to itself.
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

url, *patches = sys.argv[1:]
if patches:
    nest_asyncio.apply()
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


async def ask_both_ways() -> None:
    await aask()
    ask()  # within a running loop, as a notebook does
    if patches:
        asyncio.get_running_loop().run_until_complete(aask())


def ask_everywhere() -> None:
    for _ in range(3):
        ask()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, range(8)))
    for _ in range(3):
        asyncio.run(ask_both_ways())
    ask()


ask_everywhere()
model.base_url = f"{url}/nowhere"
ask_everywhere()
print("\n".join(heard))  # noqa: T201 -- the output of the script
