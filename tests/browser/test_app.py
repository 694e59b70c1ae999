"""The app without a browser: a reader whose connection takes nothing more."""

import asyncio
import json
import runpy
from collections.abc import Callable
from pathlib import Path

from starlette.types import Message

from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM

APP = Path(__file__).parents[2] / "cookbook" / "web" / "app.py"


async def test_leaving_stops_the_server_when_it_is_the_reader_who_is_slow(
    emulated_endpoint: Callable[..., EmulatedEndpoint],
) -> None:
    """The generator then stands at a yield, where nothing reaches it but a close."""
    endpoint = emulated_endpoint(answers="one two three")
    endpoint.fail_next(stall=600, stall_after=2)
    app = runpy.run_path(str(APP))["create_app"](DataCrunchLLM(base_url=endpoint.url))
    body = json.dumps({"question": "Hi"}).encode()
    received: list[Message] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    full = asyncio.Event()

    async def receive() -> Message:
        if len(received) == 1:
            await full.wait()
        return received.pop(0)

    async def send(message: Message) -> None:
        if message.get("body"):
            full.set()
            await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/answer",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await asyncio.wait_for(app(scope, receive, send), 30)
    await asyncio.to_thread(endpoint.wait_until_idle, 30)
    assert endpoint.requests[0].left_early
