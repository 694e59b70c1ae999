"""`batch --ray`: actors of Ray answer the rows of a file.

rows ──▶ chunks ──▶ Worker, Worker, …, a process and a share of --concurrency each ──▶ output rows

Rows are read and written in this process: a run resumes, orders and retries them as it does without Ray.
An actor that is killed is started again, and answers the chunks again that it had.
"""

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator, Sequence
from contextlib import aclosing, contextmanager
from importlib import import_module
from typing import Any

import click

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.batch import BatchOptions
from datacrunch_tgi.batch._answering import Answered, Keyed, answer_source_row
from datacrunch_tgi.batch._files import SourceRow
from datacrunch_tgi.batch._pacing import StoppedError
from datacrunch_tgi.batch._run import Answers, answer_all
from datacrunch_tgi.ray import CALLS, Generate, for_workers

Chunk = list[Keyed]
Results = list[dict[str, Any] | StoppedError]

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection to a cluster; Ray itself tries for minutes."""


class Worker(Generate):
    """What an actor does with the rows of a file."""

    async def answer(self, rows: Sequence[SourceRow]) -> tuple[Results, int]:
        """Return the rows' output rows, and how many requests may be open now."""
        answers = await self._connected()
        results = await asyncio.gather(*(_answer(answers, row) for row in rows))
        return results, answers.server.paced.window.size


async def _answer(answers: Answers, row: SourceRow) -> dict[str, Any] | StoppedError:
    try:
        return await answer_source_row(answers, row)
    except StoppedError as stop:
        return stop


class OnRay:
    """Answers rows in actors of Ray, which is started with the first row: see `Answering`.

    Args:
        address: Address of a cluster, or "local" to start Ray on this machine.
        clients: What each actor generates with.
        actors: Number of actors.
        options: Options of the run.

    Raises:
        ArgumentError: There are more actors than `concurrency`.
        click.ClickException: Ray is not installed.
    """

    def __init__(
        self, address: str, clients: Sequence[AsyncClient], actors: int, options: BatchOptions
    ) -> None:
        options = for_workers(options)
        self._share = Worker(clients, actors=actors, **options).share
        self._arguments = {"client": clients, "actors": actors, **options}
        self._address, self._number = address, actors
        self._chunks, self._windows = dict[Any, int](), dict[Any, int]()
        self._stopped: StoppedError | None = None
        try:
            self._ray = import_module("ray")
        except ModuleNotFoundError:
            raise click.ClickException(
                "--ray needs a package: pip install 'datacrunch-tgi[ray]'"
            ) from None

    @property
    def concurrency(self) -> int:
        """Number of requests that may be open now."""
        return sum(self._windows.values())

    def stop(self) -> None:
        """Send no more rows. Those that were sent are answered."""
        self._stopped = self._stopped or StoppedError()

    async def answer_all(self, rows: AsyncIterable[Keyed]) -> AsyncGenerator[Answered]:
        """Yield the output row of each row, when its chunk is complete.

        Raises:
            DataCrunchError: Why the run has stopped.
            click.ClickException: Ray has failed, does not start or cannot be reached.
        """
        try:
            chunks = _chunks(rows, -(-2 * self._share // CALLS))
            limit = CALLS * self._number
            async with aclosing(answer_all(chunks, self._answer, limit)) as answered:
                async for chunk, results in answered:
                    for (key, _), result in zip(chunk, results, strict=True):
                        if not isinstance(result, StoppedError):
                            yield key, result
                        elif not self._stopped or not self._stopped.error:
                            self._stopped = result
            if self._stopped and self._stopped.error:
                raise self._stopped.error
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise click.ClickException(f"Ray: {error}") from None
        finally:
            self._ray.shutdown()

    async def _answer(self, chunk: Chunk) -> tuple[Chunk, Results]:
        if self._stopped:
            raise self._stopped
        if not self._chunks:
            self._start()
        actor = min(self._chunks, key=lambda actor: self._chunks[actor])
        self._chunks[actor] += 1
        answering: Awaitable[tuple[Results, int]] = actor.answer.remote([row for _, row in chunk])
        results, self._windows[actor] = await answering
        self._chunks[actor] -= 1
        return chunk, results

    def _start(self) -> None:
        with _interruptible_at_once():
            try:
                _check_address(self._address)
                self._ray.init(self._address, log_to_driver=False)
            except Exception as error:  # noqa: BLE001 -- Ray raises many, some of no other class
                raise _not_started(self._address, error) from None
        make = self._ray.remote(
            num_cpus=0,  # it mostly waits
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=CALLS,
        )(Worker)
        actors = [make.remote(**self._arguments) for _ in range(self._number)]
        self._chunks = dict.fromkeys(actors, 0)
        self._windows = dict.fromkeys(actors, self._share)


@contextmanager
def _interruptible_at_once() -> Generator[None]:
    """Let Ctrl-C end what blocks the event loop: no request is open yet."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check_address(address: str) -> None:
    """Connect to HOST:PORT once; Ray checks other forms."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()


def _not_started(address: str, error: Exception) -> click.ClickException:
    text = str(getattr(error, "strerror", None) or error)
    reason = text.partition("Traceback")[0].strip().removesuffix(".")
    if address == "local":
        hint = "Start it with `ray start --head`, then pass `--ray auto`."
        return click.ClickException(f"Ray did not start: {reason}. {hint}")
    hint = "Pass the address of a running cluster, such as 10.0.0.1:6379."
    return click.ClickException(f"No connection to Ray at {address}: {reason}. {hint}")


async def _chunks(rows: AsyncIterable[Keyed], size: int) -> AsyncGenerator[Chunk]:
    chunk: Chunk = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
