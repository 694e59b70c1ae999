"""Batches on many machines, with Ray Data (extra `ray`: Ray 2.60 or newer).

    read ──▶ blocks of a few rows ──▶ Generate, Generate, … ──▶ write
                                       one client each, a share of `concurrency` each

Reading, writing, shuffling, checkpoints, restarts and progress are Ray Data's.

Example:
    ```python
    import ray.data
    from datacrunch_tgi import AsyncClient
    from datacrunch_tgi.ray import with_answers

    prompts = ray.data.read_parquet("prompts")
    client = AsyncClient(base_url="https://…", api_key="…")
    with_answers(prompts, client, actors=4, concurrency=128).write_parquet("answers")
    ```
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, Protocol, TypeVar, Unpack, cast

from datacrunch_tgi._chat import ChatTemplate
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi.batch._columns import Columns, Row, dump
from datacrunch_tgi.batch._options import BatchOptions, Checked
from datacrunch_tgi.batch._pacing import StoppedError
from datacrunch_tgi.batch._rows import failed_row
from datacrunch_tgi.batch._run import Answers, Clients, serve

__all__ = ["Generate", "with_answers"]

CALLS = 4
"""Blocks that an actor works on at a time, so that the last row of one delays no other."""


class Dataset(Protocol):
    """The part of `ray.data.Dataset` that is used."""

    def repartition(self, *, target_num_rows_per_block: int) -> Any:
        """Return the dataset in blocks of this number of rows."""
        ...


DatasetT = TypeVar("DatasetT", bound=Dataset)


class Generate:
    """Callable class for `ray.data.Dataset.map_batches`, which answers the rows of a batch.

    Each actor has its own client and its share of `concurrency`, so that all actors together stay within
    it. A row that fails is returned with an `error`; nothing is raised. `with_answers` is shorter, and
    limits the work that is repeated for a killed actor to a few rows.

    Example:
        ```python
        dataset.map_batches(
            Generate,
            fn_constructor_kwargs={"client": client, "actors": 4, "concurrency": 128},
            compute=ray.data.ActorPoolStrategy(size=4),
            batch_size=32,
            batch_format="pyarrow",
        )
        ```

    Args:
        client: Client, or several clients that are used evenly. Default: `AsyncClient()`, configured by the
            worker's environment. The repr of a client does not show its key.
        actors: Number of actors, or the largest number that the pool may grow to.
        **options: See `datacrunch_tgi.batch.BatchFields`.

    Raises:
        ArgumentError: An option is invalid. The error names it, its value and the rule.
    """

    def __init__(
        self, client: Clients | None = None, *, actors: int, **options: Unpack[BatchOptions]
    ) -> None:
        concurrency = Checked(**options).concurrency
        if actors < 1:
            raise ArgumentError("actors", "must be 1 or greater", value=str(actors))
        if concurrency < actors:
            raise ArgumentError(
                "concurrency", f"must be {actors} (actors) or greater", value=str(concurrency)
            )
        self.share = concurrency // actors
        """Requests at a time of this actor."""
        options["concurrency"] = self.share
        self._options = Checked(**options)
        self._client = client
        self._answers: Answers | None = None
        self._connecting = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __call__(self, batch: Any) -> Any:
        """Answer the rows of a batch.

        Args:
            batch: A `pyarrow.Table`, a dict of numpy arrays, or a pandas DataFrame.

        Returns:
            A `pyarrow.Table` of its columns and `text`, `finish_reason`, `usage`, `seed` and `error`;
            `details`, as JSON, if the run's parameters request them.
        """
        table = _as_table(batch)
        answers = await self._connected()
        rows = await asyncio.gather(*(self._answer(row, answers) for row in table.to_pylist()))
        details = bool(self._options.rows.parameters.get("details"))
        return _add_results(table, rows, self._options.rows.columns, details=details)

    async def _connected(self) -> Answers:
        async with self._connecting:
            if self._answers is None:
                server = await self._stack.enter_async_context(serve(self._client, self._options))
                self._answers = Answers(server, self._options)
            return self._answers

    async def _answer(self, row: Row, answers: Answers) -> dict[str, Any]:
        try:
            return await answers.answer(row)
        except StoppedError as stop:
            # The next batch connects again: the server may be back by then.
            if self._answers is answers:
                self._answers = None
            if stop.error is None:
                raise
            return failed_row(row, stop.error, answers.options)


def with_answers(
    dataset: DatasetT,
    client: Clients | None = None,
    *,
    actors: int,
    rows_per_block: int | None = None,
    **options: Unpack[BatchOptions],
) -> DatasetT:
    """Return a dataset with an answer for each row of another one. Nothing is sent until it is used.

    Args:
        dataset: A `ray.data.Dataset` whose rows have `inputs` or `messages`, optionally `parameters`, and any
            other columns.
        client: As for `Generate`.
        actors: Number of actors.
        rows_per_block: Number of rows in a task. Four tasks are repeated for an actor that is killed.
            Default: an actor's share of `concurrency`.
        **options: See `datacrunch_tgi.batch.BatchFields`. `concurrency` is that of all actors together.

    Raises:
        ArgumentError: An option is invalid. The error names it, its value and the rule.
    """
    options = for_workers(options)
    share = Generate(client, actors=actors, **options).share
    strategy = import_module("ray.data").ActorPoolStrategy(
        size=actors, max_concurrent_calls_per_actor=CALLS
    )
    blocks = dataset.repartition(target_num_rows_per_block=rows_per_block or share)
    answers: DatasetT = blocks.map_batches(
        Generate,
        fn_constructor_kwargs={"client": client, "actors": actors, **options},
        compute=strategy,
        batch_format="pyarrow",
        num_cpus=0,  # actors mostly wait, and must not keep reading and writing from CPUs
        udf_modifying_row_count=False,
    )
    return answers


def for_workers(options: BatchOptions) -> BatchOptions:
    """Return options for other machines, which may not have the file of the chat template."""
    if (template := options.get("chat_template")) is None:
        return options
    return {**options, "chat_template": ChatTemplate.of(template)}


def _as_table(batch: Any) -> Any:
    """Return a batch of any format as a `pyarrow.Table`."""
    pyarrow = import_module("pyarrow")
    if isinstance(batch, pyarrow.Table):
        return batch
    if isinstance(batch, Mapping):
        columns = cast("Mapping[str, Iterable[Any]]", batch)
        return pyarrow.table(
            {name: pyarrow.array(list(column)) for name, column in columns.items()}
        )
    return pyarrow.Table.from_pandas(batch, preserve_index=False)


def _add_results(table: Any, rows: list[dict[str, Any]], columns: Columns, *, details: bool) -> Any:
    """Return a table with the results of its rows. Every block has the same columns and types."""
    pyarrow = import_module("pyarrow")
    text, number = pyarrow.string(), pyarrow.int64()
    tokens = ("prompt_tokens", "completion_tokens", "total_tokens")
    error = {"type": text, "message": text, "status": number, "requests": number}
    types = {
        "text": text,
        "finish_reason": text,
        "usage": pyarrow.struct(dict.fromkeys(tokens, number)),
        "seed": pyarrow.uint64(),
        **({"details": text} if details else {}),
        "error": pyarrow.struct(error),
    }
    kept = columns.kept(table.column_names)
    table = table.rename_columns([kept[name] for name in table.column_names])
    for role, kind in types.items():
        values = [row.get(columns[role]) for row in rows]
        if role == "details":
            values = [value and dump(value) for value in values]
        table = table.append_column(columns[role], pyarrow.array(values, kind))
    return table
