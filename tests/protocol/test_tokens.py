"""The tokens of a stream behave as a list of tokens does, and are kept as bytes."""

import copy
import gc
import json
import pickle
from typing import Any

import pytest

from datacrunch_tgi import Answer, Details, Token
from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext
from datacrunch_tgi._protocol._schema import StreamEvent

TEXTS = ["Hi", " you", "", "\u3053", "!"]


def event(place: int, text: str, *, is_last: bool) -> bytes:
    token = {"id": place, "text": text, "logprob": -0.1 * place, "special": False, "new": 1}
    details = {"finish_reason": "length", "generated_tokens": len(TEXTS), "seed": None}
    return json.dumps(
        {
            "index": place,
            "token": token,
            "top_tokens": [token, {**token, "id": 99}],
            "generated_text": "".join(TEXTS) if is_last else None,
            "details": details if is_last else None,
        }
    ).encode()


@pytest.fixture
def answer() -> Answer:
    accumulator = AnswerAccumulator(RequestContext(inputs="p", details=True))
    for place, text in enumerate(TEXTS, 1):
        data = event(place, text, is_last=place == len(TEXTS))
        accumulator.push(StreamEvent.model_validate_json(data), data)
    return accumulator.finish()


@pytest.fixture
def details(answer: Answer) -> Details:
    assert answer.details is not None
    return answer.details


@pytest.fixture
def expected() -> list[Token]:
    return [
        Token.model_validate(json.loads(event(place, text, is_last=False))["token"])
        for place, text in enumerate(TEXTS, 1)
    ]


def test_they_read_as_a_list(details: Details, expected: list[Token]) -> None:
    """Tokens behave as a list: index, slice, iteration, length, comparison."""
    tokens = details.tokens
    assert tokens == expected
    assert expected == tokens
    assert [tokens[0], tokens[-1]] == [expected[0], expected[-1]]
    assert tokens[1:3] == expected[1:3]
    assert [*reversed(tokens)] == expected[::-1]
    assert (len(tokens), tokens.index(expected[2]), expected[3] in tokens) == (5, 2, True)
    assert repr(tokens) == repr(expected)
    assert tokens != expected[1:]
    with pytest.raises(IndexError):
        tokens[5]
    assert getattr(tokens[0], "new") == 1  # noqa: B009 -- a field of a newer server
    assert [each.id for each in details.top_tokens[0]] == [1, 99]


def test_they_dump_as_a_list(answer: Answer, expected: list[Token]) -> None:
    """Tokens dump as a list, to Python and JSON, and can be validated again."""
    dumped: Any = answer.model_dump()
    assert dumped["details"]["tokens"] == [token.model_dump() for token in expected]
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
    assert Answer.model_validate(dumped) == answer


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda answer: pickle.loads(pickle.dumps(answer))]
)
def test_they_can_be_copied(copied: Any, answer: Answer) -> None:
    """Answers can be copied and pickled."""
    assert copied(answer) == answer


def test_they_give_the_garbage_collector_nothing_to_do(details: Details) -> None:
    """What is kept for a token is bytes, which are never looked at."""
    (events,) = [each for each in gc.get_referents(details.tokens) if isinstance(each, list)]
    assert not any(map(gc.is_tracked, events))
