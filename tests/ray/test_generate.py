"""`Generate` as an actor uses it, in this process."""

from typing import Any

import pyarrow as pa
import pytest

from datacrunch_tgi import ArgumentError, AsyncClient
from datacrunch_tgi.ray import Generate, with_answers
from datacrunch_tgi.testing import EmulatedEndpoint


def _table(*prompts: str) -> Any:
    return pa.table({"inputs": prompts})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actors": 0}, "actors=0"),
        ({"actors": 5, "concurrency": 4}, "concurrency=4.*5"),
        ({"actors": 1, "concurrency": 0}, "concurrency=0"),
        ({"actors": 1, "parameters": {"temperature": -1}}, "temperature=-1"),
        ({"actors": 1, "promt": "Hi"}, "promt"),
        ({"actors": 1, "chat_template": "no such template"}, "chat_template"),
    ],
)
def test_bad_options_are_refused_before_anything_is_sent(
    options: dict[str, Any], message: str
) -> None:
    """An option that breaks a rule is named on the spot, not by a worker later."""
    with pytest.raises(ArgumentError, match=message):
        with_answers(object(), AsyncClient(base_url="http://localhost"), **options)  # type: ignore[type-var]


async def test_a_server_that_is_gone_fails_a_batch_and_not_the_next() -> None:
    """Rows without any server come out with the error; once it is back, rows are answered."""
    with EmulatedEndpoint(answers="Hi") as endpoint:
        generate = Generate(AsyncClient(base_url=endpoint.url), actors=1, patience=0.0)
        endpoint.fail_next(2, status=503)
        failed = await generate(_table("a", "b"))
        assert [error["status"] for error in failed["error"].to_pylist()] == [503, 503]
        assert failed["text"].to_pylist() == [None, None]
        answered = await generate(_table("a", "b"))
        assert answered["text"].to_pylist() == ["Hi", "Hi"]
        assert answered.schema == failed.schema


async def test_columns_keep_their_types_and_names_their_own() -> None:
    """Input columns are not touched, but for one with the name of a result."""
    table = pa.table(
        {
            "inputs": ["a"],
            "text": pa.array(["before"], pa.large_string()),
            "small": pa.array([1], pa.int8()),
        }
    )
    with EmulatedEndpoint(answers="Hi") as endpoint:
        generate = Generate(
            AsyncClient(base_url=endpoint.url), actors=1, columns={"error": "problem"}
        )
        answers = await generate(table)
    assert answers.schema.field("small").type == pa.int8()
    assert answers.schema.field("input_text").type == pa.large_string()
    assert answers["text"].to_pylist() == ["Hi"]
    assert "problem" in answers.column_names
