"""Runs: rows in, output rows out, in the order in which they end.

rows ──▶ feed ──▶ tasks, at most `concurrency` ──▶ queue ──▶ caller
           ▲                                         │
           └────────────── a place is free ◀─────────┘
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, TypeVar, Unpack

from datacrunch_tgi._client import AsyncClient
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._columns import Row
from datacrunch_tgi.batch._endpoints import Endpoints
from datacrunch_tgi.batch._options import BatchOptions, Checked
from datacrunch_tgi.batch._pacing import PacedClient, StoppedError
from datacrunch_tgi.batch._rows import RowOptions, answer_row
from datacrunch_tgi.batch._templates import find_template

Item = TypeVar("Item")
Result = TypeVar("Result")

Clients = AsyncClient | Sequence[AsyncClient]


async def run(
    rows: Iterable[Row] | AsyncIterable[Row],
    client: Clients | None = None,
    **options: Unpack[BatchOptions],
) -> AsyncGenerator[dict[str, Any]]:
    """Generate an answer for each row, and yield rows as they are completed.

    At most `concurrency` rows are in memory. A row that fails is yielded with an `error`; an overloaded
    server fails no row.

    Args:
        rows: Mappings with `inputs` or `messages`, optionally `parameters`, and any other columns, which
            are part of the output.
        client: Client, or several clients that are used evenly. Default: `AsyncClient()`.
        **options: See `BatchFields`.

    Yields:
        The row with `text`, `finish_reason`, `usage` and `seed`, or with `error`: its `type`,
        `message`, `status` and `requests`.

    Raises:
        ArgumentError: An option is invalid.
        DataCrunchError: The server refuses the key, has no such route, cannot be reached at the start, or
            is overloaded or gone for longer than `patience`.
    """
    checked = Checked(**options)
    async with serve(client, checked) as server:
        answers = Answers(server, checked)
        async with aclosing(answer_all(rows, answers.answer, checked.concurrency)) as results:
            async for result in results:
                yield result


def run_sync(
    rows: Iterable[Row],
    client: Clients | None = None,
    **options: Unpack[BatchOptions],
) -> Generator[dict[str, Any]]:
    """Generate an answer for each row: see `run`.

    Requests are sent, and `rows` is read, in a separate thread.
    """
    handed: SimpleQueue[Any] = SimpleQueue()

    async def produce() -> None:
        wanted = asyncio.Semaphore(0)
        handed.put((asyncio.get_running_loop(), asyncio.current_task(), wanted))
        async with aclosing(run(rows, client, **options)) as results:
            await wanted.acquire()
            async for result in results:
                handed.put(result)
                await wanted.acquire()

    def work() -> None:
        try:
            asyncio.run(produce())
        except BaseException as error:  # noqa: BLE001 -- it is raised in the caller's thread
            handed.put(error)
        else:
            handed.put(None)

    thread = Thread(target=work, name="datacrunch-tgi-batch", daemon=True)
    thread.start()
    loop, task, wanted = handed.get()
    try:
        while True:
            loop.call_soon_threadsafe(wanted.release)
            result = handed.get()
            if result is None:
                return
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(task.cancel)
        if thread is not current_thread():  # which may collect a generator that was left
            thread.join()


class Server:
    """What a run generates with.

    Attributes:
        client: The client, or the first of several.
        paced: Generates with all of them, at their pace.
    """

    def __init__(self, client: AsyncClient, paced_client: PacedClient) -> None:
        self.client, self.paced = client, paced_client


@asynccontextmanager
async def serve(given: Clients | None, options: Checked) -> AsyncGenerator[Server]:
    """Make what a run generates with, and close what was made for it."""
    async with AsyncExitStack() as stack:
        if given is None:
            given = await stack.enter_async_context(AsyncClient())
        clients = [given] if isinstance(given, AsyncClient) else list(given)
        copies = [
            client.with_settings(
                max_retries=0,  # which would hide that a server is overloaded
                max_connections=max(options.concurrency, client.settings.max_connections),
            )
            for client in clients
        ]
        for copy in copies:
            stack.push_async_callback(copy.aclose)
        all_clients = copies[0] if len(copies) == 1 else Endpoints(copies)
        retries = clients[0].settings.max_retries
        yield Server(
            copies[0],
            PacedClient(
                all_clients,
                concurrency=options.concurrency,
                patience=options.patience,
                max_retries=retries,
            ),
        )


class Answers:
    """Answers the rows of a run, with a chat template that is looked for when the first needs it."""

    def __init__(self, server: Server, options: Checked) -> None:
        self.server, self._given = server, options.chat_template
        self.options: RowOptions = options.rows
        self._lock = asyncio.Lock()
        self._has_looked = False

    async def answer(self, row: Row, *, where: str = "") -> dict[str, Any]:
        """Answer a row: see `answer_row`."""
        _check_row(row)
        if not self._has_looked and self.options.is_chat(row):
            await self.find_template()
        return await answer_row(self.server.paced, row, self.options, where=where)

    async def find_template(self) -> None:
        """Find the chat template, once."""
        async with self._lock:
            if not self._has_looked:
                template = await find_template(self.server.client, self._given)
                self.options = replace(self.options, template=template)
                self._has_looked = True


def _check_row(row: object) -> None:
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise ArgumentError("rows", f"each must be a mapping from columns to values, not {kind}")


async def answer_all(
    items: Iterable[Item] | AsyncIterable[Item],
    answer: Callable[[Item], Awaitable[Result]],
    limit: int,
) -> AsyncGenerator[Result]:
    """Yield what a function returns for each item, as soon as it does.

    Once one raises StoppedError, no others are started, and those that are running are waited for.

    Args:
        items: What to call the function with.
        answer: The function.
        limit: How many items may be in memory at a time.

    Raises:
        DataCrunchError: Why the run has stopped.
    """
    places = asyncio.Semaphore(limit)
    ended: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
    running: set[asyncio.Future[Any]] = set()
    stopped: StoppedError | None = None

    async def feed() -> None:
        async with aclosing(_each(items)) as each:
            async for item in each:
                await places.acquire()
                task = asyncio.ensure_future(answer(item))
                running.add(task)
                task.add_done_callback(ended.put_nowait)

    feeder = asyncio.create_task(feed())
    feeder.add_done_callback(ended.put_nowait)
    try:
        while running or not feeder.done() or not ended.empty():
            task = await ended.get()
            if task is feeder:
                if not task.cancelled():
                    task.result()
                continue
            running.discard(task)
            places.release()
            try:
                result = task.result()
            except StoppedError as stop:
                stopped = stopped or stop
                feeder.cancel()
                continue
            yield result
        if stopped and stopped.error:
            raise stopped.error
    finally:
        await _cancel([feeder, *running])


async def _each(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncGenerator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
