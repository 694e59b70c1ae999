"""Files: formats, bad rows, and what is refused."""

from pathlib import Path

import pytest

from datacrunch_tgi import ArgumentError
from tests.batch.conftest import PROMPTS, Start, Write, batch, echo, read


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
@pytest.mark.parametrize("source", ["in.jsonl", "in.csv"])
async def test_each_format_can_be_read_and_written(
    emulated_endpoint: Start, write: Write, tmp_path: Path, source: str, output: str
) -> None:
    """Every row is there once, with its columns and its answer; totals are right."""
    endpoint = emulated_endpoint(answers=echo)

    summary = await batch(endpoint, write(source, PROMPTS), tmp_path / output)

    rows = {row["id"]: row for row in read(tmp_path / output)}
    assert {row["id"]: row["inputs"] for row in PROMPTS} == {
        key: row["inputs"] for key, row in rows.items()
    }
    assert all(row["text"] == echo(row["inputs"]) for row in rows.values())
    assert (summary.rows, summary.answered, summary.failed, summary.interrupted) == (
        10,
        10,
        0,
        False,
    )
    completion = [
        row["usage"]["completion_tokens"] if "usage" in row else row["usage_completion_tokens"]
        for row in rows.values()
    ]
    assert summary.completion_tokens == sum(map(int, completion)) > 0


async def test_text_of_every_kind_survives(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Line ends, quotes, separators of other alphabets, emoji and escapes, in and out."""
    texts = ['a "b", c', "two\nlines\r\n", "é😀\u2028\x85", "a\\nb", " padded "]
    endpoint = emulated_endpoint(answers=lambda prompt: prompt.strip() + "\n.")
    rows = [{"inputs": text} for text in texts]

    for name in ("out.jsonl", "out.csv"):
        await batch(endpoint, write(f"in{name[3:]}", rows), tmp_path / name)
        found = {row["inputs"]: row["text"] for row in read(tmp_path / name)}
        assert found == {text: text.strip() + "\n." for text in texts}


async def test_a_bad_line_is_a_failed_row(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """An invalid line is a failed row whose error names file, line and fault."""
    lines = [
        '{"inputs": "one"}',
        '{"inputs": "sesame',
        "",
        '["sesame"]',
        "{}",
        '{"inputs": "a", "parameters": {"top_p": 7}}',
        '{"inputs": "a", "score": NaN}',
        '{"inputs": "six"}',
    ]
    endpoint = emulated_endpoint(answers=echo)
    source = write("in.jsonl", "\n".join(lines).encode() + b'\n{"inputs": "\xff"}\n')

    summary = await batch(endpoint, source, tmp_path / "out.jsonl")

    rows = read(tmp_path / "out.jsonl")
    errors = sorted(row["error"]["message"] for row in rows if "error" in row)
    assert [error.partition(": ")[0] for error in errors] == [
        f"in.jsonl, line {number}" for number in (2, 4, 5, 6, 7, 9)
    ]
    assert "is not JSON" in errors[0]
    assert "must be an object, not list" in errors[1]
    assert "there is no prompt" in errors[2]
    assert "top_p=7" in errors[3]
    assert "NaN is not a JSON number" in errors[4]
    assert "is not UTF-8" in errors[5]
    assert not any("sesame" in error for error in errors)
    assert (summary.answered, summary.failed) == (2, 6)


async def test_a_bad_line_of_a_csv_is_a_failed_row(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """The line is that on which the row begins, also after cells of several lines."""
    text = b'inputs,tag\none,a\n"two\nlines",b\nthree\nfour,d,e\n\nfive,e\n' + b"\xff,x\n"
    endpoint = emulated_endpoint(answers=echo)

    await batch(endpoint, write("in.csv", text), tmp_path / "out.csv")

    rows = read(tmp_path / "out.csv")
    assert sorted(row["inputs"] for row in rows if row["text"]) == ["five", "one", "two\nlines"]
    errors = sorted(row["error_message"] for row in rows if row["error_type"])
    assert errors == [
        "in.csv, line 5: row: has 1 cells, the header 2",
        "in.csv, line 6: row: has 3 cells, the header 2",
        "in.csv, line 9: row: is not UTF-8",
    ]


async def test_a_csv_may_begin_with_blank_lines(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Blank lines before the header are skipped, as others are."""
    source = write("in.csv", "\ufeff\r\n\r\nid,inputs\r\n\r\n1,one\r\n")

    await batch(emulated_endpoint(answers=echo), source, tmp_path / "out.csv")

    (row,) = read(tmp_path / "out.csv")
    assert (row["id"], row["text"]) == ("1", echo("one"))


async def test_an_output_can_be_a_source(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """A CSV's columns are all there with `input_`, each name once, when it is asked about again."""
    endpoint = emulated_endpoint(answers=echo)
    await batch(endpoint, write("in.csv", [{"inputs": "one"}]), tmp_path / "first.csv")
    (first,) = read(tmp_path / "first.csv")
    await batch(endpoint, tmp_path / "first.csv", tmp_path / "second.csv", prompt="Why {text}?")

    (second,) = read(tmp_path / "second.csv")
    assert second == {
        "inputs": "one",
        **{f"input_{name}": cell for name, cell in first.items() if name != "inputs"},
        **{name: second[name] for name in first},
    }
    assert second["text"] == echo(f"Why {first['text']}?")
    assert second["usage_prompt_tokens"] != second["input_usage_prompt_tokens"]


async def test_strict_refuses_bad_rows_before_the_first_request(
    emulated_endpoint: Start, write: Write, tmp_path: Path
) -> None:
    """Every bad row is named, up to a limit, and how many more there are."""
    endpoint = emulated_endpoint(answers=echo)
    source = write("in.jsonl", [{"inputs": "fine"}, *[{"input": "sesame"}] * 25])

    with pytest.raises(ArgumentError) as refused:
        await batch(endpoint, source, tmp_path / "out.jsonl", strict=True)

    message = str(refused.value)
    assert "25 rows are invalid: in.jsonl, line 2: inputs: there is no prompt" in message
    assert "line 21" in message
    assert "line 22" not in message
    assert message.endswith("; and 5 more")
    assert "sesame" not in message
    assert not endpoint.requests
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("in.jsonl", "in.jsonl", "must not be the source"),
        ("in.jsonl", "link.jsonl", "must not be the source"),
        ("in.jsonl", "other.jsonl", "exists, but has no journal"),
        ("in.jsonl", "out.txt", "must end with .jsonl, .csv or .parquet"),
        ("in.txt", "out.jsonl", "must end with .jsonl, .csv or .parquet"),
        ("nothing.jsonl", "out.jsonl", "is not a file"),
        ("in.jsonl", "nowhere/out.jsonl", "its folder does not exist"),
        ("twice.csv", "out.jsonl", "has two columns 'a'"),
        ("latin.csv", "out.jsonl", "is not UTF-8"),
        ("in.jsonl", "foreign.jsonl", "not from a batch"),
        ("in.jsonl", "list.jsonl", "not from a batch"),
        ("in.jsonl", "line.jsonl", "not from a batch"),
    ],
)
async def test_files_that_cannot_be_used_are_refused(
    emulated_endpoint: Start, write: Write, tmp_path: Path, *, source: str, output: str, words: str
) -> None:
    """Nothing is asked, and no file of another is touched."""
    endpoint = emulated_endpoint(answers=echo)
    write("in.jsonl", PROMPTS)
    write("other.jsonl", "precious\n")
    write("in.txt", "Hi\n")
    write("foreign.jsonl.journal", "Monday: rain\n")
    write("list.jsonl.journal", "[1]\n")
    write("line.jsonl.journal", "no line feed")
    write("twice.csv", "a,a\n1,2\n")
    write("latin.csv", b"\xe9,inputs\n1,2\n")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "in.jsonl")
    before = content(tmp_path)

    with pytest.raises(ArgumentError, match=words):
        await batch(endpoint, tmp_path / source, tmp_path / output)

    assert content(tmp_path) == before
    assert not endpoint.requests


@pytest.mark.parametrize("source", ["in.jsonl", "in.csv"])
async def test_a_prompt_with_a_column_that_no_row_has_is_refused(
    emulated_endpoint: Start, write: Write, tmp_path: Path, source: str
) -> None:
    """Every row would fail: the error has the columns that there are, and no output is begun."""
    endpoint = emulated_endpoint(answers=echo)
    with pytest.raises(ArgumentError, match="no row has a column 'reviw'; columns are 'id', 'rev"):
        await batch(
            endpoint,
            write(source, [{"id": 1, "review": "fine"}]),
            tmp_path / "out.jsonl",
            prompt="{reviw}",
        )
    assert list(content(tmp_path)) == [source]


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
async def test_a_row_of_10_mib_stops_no_other(
    emulated_endpoint: Start, write: Write, tmp_path: Path, name: str
) -> None:
    """A prompt of that size is refused by the server, which fails its row; a column of it is copied."""
    endpoint = emulated_endpoint(answers=echo)
    long = "long text " * 2**20
    rows = [
        {"id": 1, "inputs": "one", "note": ""},
        {"id": 2, "inputs": long, "note": ""},
        {"id": 3, "inputs": "three", "note": long},
        {"id": 4, "inputs": "four", "note": ""},
    ]
    output = tmp_path / f"out{Path(name).suffix}"

    summary = await batch(endpoint, write(name, rows), output)

    found = {int(row["id"]): row for row in read(output)}
    assert (summary.answered, summary.failed, summary.failures) == (
        3,
        1,
        {"InvalidRequestError": 1},
    )
    assert {key: row["text"] or None for key, row in found.items()} == {
        1: "answer to one",
        2: None,
        3: "answer to three",
        4: "answer to four",
    }
    assert found[2]["inputs"] == found[3]["note"] == long
