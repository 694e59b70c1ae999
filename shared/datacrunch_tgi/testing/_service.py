"""A request's way through the server: permit, checks, queue, generation.

Between the routes and the engine: without HTTP, and without the choice of tokens.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from datacrunch_tgi.testing._detokenizer import Tokenizer
from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._errors import OverloadedError
from datacrunch_tgi.testing._generation import Engine, Generation
from datacrunch_tgi.testing._recording import ReceivedRequest
from datacrunch_tgi.testing._schema import GenerateRequest
from datacrunch_tgi.testing._validation import (
    Limits,
    ValidRequest,
    check_best_of,
    check_stream,
    validate,
)


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Limits of concurrency and speed."""

    max_concurrent_requests: int
    """Open requests, waiting ones included; one more is refused as overloaded."""
    max_batch_size: int | None
    """Sequences generated at the same time; others wait. None: all."""
    tokens_per_second: float | None
    """Speed of each sequence. None: unlimited."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Durations of an answer, in seconds."""

    validation: float
    queue: float
    inference: float

    @property
    def total(self) -> float:
        """From the request's arrival to the last token."""
        return self.validation + self.queue + self.inference


class Service:
    """One server's requests; lives in one event loop."""

    def __init__(
        self, engine: Engine, dialect: Dialect, limits: Limits, capacity: Capacity
    ) -> None:
        self._engine = engine
        self._dialect = dialect
        self._limits = limits
        self._capacity = capacity
        self._open = 0
        self._batch = asyncio.Semaphore(capacity.max_batch_size or capacity.max_concurrent_requests)

    @property
    def tokenizer(self) -> Tokenizer:
        """The engine's tokenizer."""
        return self._engine.tokenizer

    async def stream(
        self, request: GenerateRequest, received: ReceivedRequest
    ) -> AsyncGenerator[Generation]:
        """Yield the growing answer after every token.

        Raises:
            ServerError: The request is refused.
        """
        check_stream(request.parameters)
        with self._permits(1):
            valid = self._validate(request)
            async with self._batch, aclosing(self._generate(valid, received)) as steps:
                async for generation in steps:
                    yield generation

    async def answer(
        self, request: GenerateRequest, received: ReceivedRequest
    ) -> tuple[list[Generation], Times]:
        """Return the finished sequences, the best first, and the durations of the best.

        Raises:
            ServerError: The request is refused.
        """
        best_of = request.parameters.best_of or 1
        check_best_of(best_of, self._limits)
        with self._permits(best_of):
            answers = await asyncio.gather(
                *(self._answer(request, received) for _ in range(best_of))
            )
        answers.sort(key=lambda answer: answer[0].mean_logprob, reverse=True)
        return [generation for generation, _ in answers], answers[0][1]

    async def _answer(
        self, request: GenerateRequest, received: ReceivedRequest
    ) -> tuple[Generation, Times]:
        arrived = time.perf_counter()
        valid = self._validate(request)
        queued = time.perf_counter()
        async with self._batch:
            started = time.perf_counter()
            generation = [step async for step in self._generate(valid, received)][-1]
        times = Times(
            validation=queued - arrived,
            queue=started - queued,
            inference=time.perf_counter() - started,
        )
        return generation, times

    async def _generate(
        self, request: ValidRequest, received: ReceivedRequest
    ) -> AsyncGenerator[Generation]:
        """Yield the same generation after each of its tokens."""
        started = time.perf_counter()
        sequence = await self._engine.start(request, received)
        generation = Generation(request, self.tokenizer, stop_window=self._dialect.stop_window)
        if request.prefill:
            generation.read_prompt(sequence.prefill_logprobs)
        while generation.finish_reason is None:
            choice = await sequence.choose()
            if self._capacity.tokens_per_second is not None:
                due = started + (len(generation.tokens) + 1) / self._capacity.tokens_per_second
                await asyncio.sleep(due - time.perf_counter())
            generation.add(choice)
            yield generation

    def _validate(self, request: GenerateRequest) -> ValidRequest:
        return validate(request, self._limits, self._dialect, self.tokenizer)

    @contextmanager
    def _permits(self, count: int) -> Generator[None]:
        """Hold a permit for every sequence; without enough permits, fail at once."""
        if self._open + count > self._capacity.max_concurrent_requests:
            raise OverloadedError
        self._open += count
        try:
            yield
        finally:
            self._open -= count
