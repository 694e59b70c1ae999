"""The tokens of a streamed answer are a list to whoever reads them."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from datacrunch_tgi import Answer, DataCrunchError, Details, StreamEvent
from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext
from datacrunch_tgi._protocol._responses import read_event
from datacrunch_tgi._protocol._sse import EventDecoder

FOLDER = Path(__file__).parents[1] / "recordings"
STREAMS = [f"{path.parent.name}/{path.stem}" for path in sorted(FOLDER.glob("*/*-stream*.json"))]


def event(place: int, *, last: bool = False, **more: Any) -> bytes:
    """The data of one event, as TGI 3 writes it."""
    token = {"id": place, "text": f" word{place}", "logprob": -0.0123456789, "special": False}
    details = {"finish_reason": "length", "generated_tokens": place, "seed": None}
    made = {"index": place, "token": token | more, "generated_text": "all" if last else None}
    made |= {"details": details if last else None}
    return json.dumps(made, separators=(",", ":")).encode()


def read(events: list[bytes]) -> Answer:
    answer = AnswerAccumulator(RequestContext(inputs="", details=True))
    for data in events:
        push(answer, data)
    return answer.finish()


def push(answer: AnswerAccumulator, data: bytes) -> None:
    if found := read_event(data):
        answer.push(found, data)


def details_of(answer: Answer) -> Details:
    assert answer.details
    return answer.details


@pytest.mark.parametrize("name", STREAMS)
def test_kept_tokens_are_those_of_the_events(
    name: str, recordings: dict[str, dict[str, Any]]
) -> None:
    """In every recorded stream, whatever is done with the list."""
    chunks = recordings[name]["response"]["chunks"]
    body = "".join(chunk["text"] for chunk in chunks if "text" in chunk).encode()
    events, data = list[StreamEvent](), list[bytes]()
    for piece in EventDecoder().feed(body):
        try:
            found = read_event(piece)
        except DataCrunchError:
            break
        if found:
            events.append(found)
            data.append(piece)
    answer = read(data)
    if not answer.details:
        return
    tokens, expected = answer.details.tokens, [found.token for found in events]
    assert tokens == expected
    assert expected == tokens
    assert [*tokens] == expected
    assert [tokens[place] for place in range(-len(tokens), len(tokens))] == expected * 2
    assert tokens[1:-1] == expected[1:-1]
    assert repr(tokens) == repr(expected)
    alternatives = [found.top_tokens for found in events]
    assert answer.details.top_tokens == (alternatives if any(alternatives) else [])
    plain = answer.details.model_copy(
        update={"tokens": expected, "top_tokens": [*answer.details.top_tokens]}
    )
    assert answer.details == plain
    assert answer.details.model_dump() == plain.model_dump()
    assert answer.details.model_dump_json() == plain.model_dump_json()


def test_a_streamed_answer_survives_pickle_copies_and_json() -> None:
    """With its tokens, and the fields that a newer server adds to them."""
    answer = read([event(1, rank=7), event(2, last=True)])
    for same in (
        pickle.loads(pickle.dumps(answer)),
        copy.copy(answer),
        copy.deepcopy(answer),
        answer.model_copy(deep=True),
        Answer.model_validate(answer.model_dump()),
        Answer.model_validate_json(answer.model_dump_json()),
    ):
        assert same == answer
        assert details_of(same).tokens[0].model_extra == {"rank": 7}


def test_an_event_without_alternatives_has_none() -> None:
    """A server may leave them out of one event, and not of the next."""
    last = json.loads(event(2, last=True))
    data = json.dumps({**last, "top_tokens": [last["token"]]}).encode()
    alternatives = details_of(read([event(1), data])).top_tokens
    assert [[token.id for token in each] for each in alternatives] == [[], [2]]


def test_kept_tokens_refuse_what_a_list_refuses() -> None:
    """A place beyond the end, a hash; another length or another token is unequal."""
    tokens: Any = details_of(read([event(1), event(2, last=True)])).tokens
    with pytest.raises(IndexError):
        tokens[2]
    with pytest.raises(TypeError):
        hash(tokens)
    assert tokens != [tokens[0]]
    assert tokens != [tokens[1], tokens[0]]
    assert tokens != "tokens"
    assert tokens != 2
    assert tokens[0] in tokens
    assert tokens + tokens == [*tokens] * 2
    assert [tokens[0]] + tokens == [tokens[0], *tokens]  # noqa: RUF005
