"""Batches on Ray Data, with actors of its own on this machine."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet
import pytest
import ray.data

from datacrunch_tgi import AsyncClient
from datacrunch_tgi.ray import CALLS, Generate, with_answers
from datacrunch_tgi.testing import EmulatedEndpoint
from tests.ray.conftest import ENVIRONMENT_KEY, Background, Gate, wait_until

KEY = "sk-that-nobody-may-see"


def _prompts(number: int) -> Any:
    return ray.data.from_items([{"id": i, "inputs": f"prompt {i}"} for i in range(number)])


def _is_complete(rows: list[dict[str, Any]], number: int) -> bool:
    """Whether each prompt is there once, with its answer."""
    expected = {i: f"PROMPT {i}" for i in range(number)}
    return len(rows) == number and {row["id"]: row["text"] for row in rows} == expected


def _workers() -> list[psutil.Process]:
    """The processes of actors that generate."""
    family = psutil.Process().children(recursive=True)
    return [one for one in family if one.cmdline()[:1] and "Generate" in one.cmdline()[0]]


@pytest.mark.usefixtures("ray_folder")
def test_files_come_out_with_answers(tmp_path: Path) -> None:
    """Parquet in, Parquet out: each row once, its columns as they were, and its answer."""
    table = pyarrow.table({"id": range(100), "inputs": [f"prompt {i}" for i in range(100)]})
    (tmp_path / "in").mkdir()
    pyarrow.parquet.write_table(table.slice(0, 60), tmp_path / "in" / "1.parquet")
    pyarrow.parquet.write_table(table.slice(60), tmp_path / "in" / "2.parquet")
    prompts = ray.data.read_parquet(str(tmp_path / "in"))
    with EmulatedEndpoint(answers=str.upper) as endpoint:
        client = AsyncClient(base_url=endpoint.url)
        answers = with_answers(prompts, client, actors=2, concurrency=16)
        answers.write_parquet(str(tmp_path / "out"))
        assert len(endpoint.requests) == 100
    written = pyarrow.parquet.read_table(tmp_path / "out")
    assert _is_complete(written.to_pylist(), 100)
    assert written.schema.field("id").type == pyarrow.int64()
    assert written["error"].null_count == 100
    assert {row["total_tokens"] for row in written["usage"].to_pylist()} != {None}


@pytest.mark.usefixtures("ray_folder")
def test_all_actors_together_stay_within_the_concurrency(gate: Gate) -> None:
    """All actors together stay within `concurrency`."""
    with EmulatedEndpoint(answers=gate.answer) as endpoint:
        client = AsyncClient(base_url=endpoint.url)
        run = Background(with_answers(_prompts(100), client, actors=2, concurrency=7))
        wait_until(lambda: endpoint.open_requests == 6)
        gate.open()
        assert _is_complete(run.rows(), 100)
        assert endpoint.peak_open_requests == 6


@pytest.mark.usefixtures("ray_folder")
def test_a_killed_actor_costs_its_rows_in_flight_a_second_try(gate: Gate) -> None:
    """One of two actors is killed: every row has an answer, once, and only its rows are asked again."""
    with EmulatedEndpoint(answers=gate.answer) as endpoint:
        client = AsyncClient(base_url=endpoint.url)
        dataset = with_answers(_prompts(100), client, actors=2, concurrency=8, rows_per_block=4)
        run = Background(dataset)
        wait_until(lambda: endpoint.open_requests == 8)
        os.kill(_workers()[0].pid, signal.SIGKILL)
        gate.open()
        assert _is_complete(run.rows(), 100)
        assert 100 < len(endpoint.requests) <= 100 + CALLS * 4


def test_a_key_is_nowhere_to_be_seen(ray_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The workers have the key, and no plan, statistics, output or log of Ray has it."""
    with EmulatedEndpoint(answers=str.upper, api_key=KEY) as endpoint:
        client = AsyncClient(base_url=endpoint.url, api_key=KEY)
        dataset = with_answers(_prompts(4), client, actors=1).materialize()
        assert _is_complete(dataset.take_all(), 4)
    seen = [repr(dataset), str(dataset), dataset.stats(), *capfd.readouterr()]
    assert not any(KEY in text for text in seen)
    assert not any(KEY.encode() in log.read_bytes() for log in _files(ray_folder))


def test_a_key_may_come_from_the_workers_environment(
    ray_folder: Path, environment_endpoint: EmulatedEndpoint
) -> None:
    """Without a client, URL and key are those of the workers' variables, and in no log."""
    dataset = with_answers(_prompts(4), actors=1)
    assert _is_complete(dataset.take_all(), 4)
    assert len(environment_endpoint.requests) == 4
    assert not any(ENVIRONMENT_KEY.encode() in log.read_bytes() for log in _files(ray_folder))


def _files(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.suffix == ".log" for path in files)
    return files


@pytest.mark.usefixtures("ray_folder")
def test_failed_rows_are_data() -> None:
    """What is wrong with a row stands in its `error`, the others are answered."""
    rows = [
        {"id": 0, "inputs": "prompt 0", "parameters": None},
        {"id": 1, "inputs": None, "parameters": None},
        {"id": 2, "inputs": "prompt 2", "parameters": '{"temperature": -1}'},
        {"id": 3, "inputs": "unknown", "parameters": None},
    ]
    with EmulatedEndpoint(answers={"prompt 0": "PROMPT 0"}) as endpoint:
        client = AsyncClient(base_url=endpoint.url)
        answers = with_answers(ray.data.from_items(rows), client, actors=1).take_all()
    answers.sort(key=lambda row: row["id"])
    assert answers[0]["text"] == "PROMPT 0"
    errors = [row["error"] for row in answers]
    assert errors[0] is None
    assert [error["type"] for error in errors[1:]] == ["ArgumentError"] * 2 + [
        "InvalidRequestError"
    ]
    assert [error["status"] for error in errors[1:]] == [None, None, 422]
    assert "temperature=-1" in errors[2]["message"]


@pytest.mark.usefixtures("ray_folder")
def test_a_dead_endpoint_costs_no_row() -> None:
    """If one of two endpoints is down, the other answers every row."""
    with EmulatedEndpoint(answers=str.upper) as dead:
        url = dead.url
    with EmulatedEndpoint(answers=str.upper) as alive:
        clients = [AsyncClient(base_url=url), AsyncClient(base_url=alive.url)]
        rows = with_answers(_prompts(20), clients, actors=1, concurrency=4).take_all()
        assert _is_complete(rows, 20)
        assert len(alive.requests) == 20


@pytest.mark.usefixtures("ray_folder")
def test_generate_is_a_class_for_map_batches(tmp_path: Path) -> None:
    """`Generate` works in `map_batches`, with chats and a template."""
    chats = [{"messages": [{"role": "user", "content": f"prompt {i}"}]} for i in range(4)]
    (tmp_path / "chats.jsonl").write_text("\n".join(map(json.dumps, chats)), encoding="utf-8")
    with EmulatedEndpoint(answers=str.upper) as endpoint:
        rows = (
            ray.data.read_json(str(tmp_path / "chats.jsonl"))
            .map_batches(
                Generate,
                fn_constructor_kwargs={
                    "client": AsyncClient(base_url=endpoint.url),
                    "actors": 1,
                    "chat_template": "chatml",
                    "parameters": {"details": True},
                },
                compute=ray.data.ActorPoolStrategy(size=1),
            )
            .take_all()
        )
    texts = {row["text"] for row in rows}
    assert len(texts) == 4
    assert all("<|IM_START|>USER\nPROMPT" in text for text in texts)
    assert json.loads(rows[0]["details"])["finish_reason"] == "eos_token"
