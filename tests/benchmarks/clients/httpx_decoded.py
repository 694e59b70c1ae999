"""httpx's raw bytes through this package's decoding, and nothing between: what chunk by chunk would take.

Decoding is all that is pure: bytes to typed events with their text, and in the end the whole answer.
"""

from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext
from datacrunch_tgi._protocol._responses import read_event
from datacrunch_tgi._protocol._sse import EventDecoder
from tests.benchmarks.clients import plain_httpx
from tests.benchmarks.clients.plain_httpx import body

DISTRIBUTIONS = plain_httpx.DISTRIBUTIONS


class Decoding:
    """One stream."""

    def __init__(self, prompt: str) -> None:
        self._decoder = EventDecoder()
        self._answer = AnswerAccumulator(RequestContext(inputs=prompt))
        self._count = 0

    def take(self, chunk: bytes) -> None:
        for data in self._decoder.feed(chunk):
            if event := read_event(data):
                self._answer.push(event, data)
                self._count += len(event.text) > 0

    def end(self) -> int:
        self._answer.finish()
        return self._count


class Sync(plain_httpx.Sync):
    def stream(self, prompt: str, tokens: int) -> int:
        decoding = Decoding(prompt)
        with self._client.stream("POST", "/generate_stream", json=body(prompt, tokens)) as response:
            for chunk in response.iter_raw():
                decoding.take(chunk)
        return decoding.end()


class Async(plain_httpx.Async):
    async def stream(self, prompt: str, tokens: int) -> int:
        decoding, asked = Decoding(prompt), body(prompt, tokens)
        async with self._client.stream("POST", "/generate_stream", json=asked) as response:
            async for chunk in response.aiter_raw():
                decoding.take(chunk)
        return decoding.end()
