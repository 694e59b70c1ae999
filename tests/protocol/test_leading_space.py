"""A chat answer does not begin with the one space that a template's end brings."""

import json

import pytest

from datacrunch_tgi._protocol._answer import AnswerAccumulator, RequestContext, build_answer
from datacrunch_tgi._protocol._schema import GenerateResponse, StreamEvent


@pytest.mark.parametrize("texts", [[" Hi", " you"], ["", " ", "Hi you"], ["  Hi"], ["Hi"]])
@pytest.mark.parametrize("stop", [[], ["you"], [" "]])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("strip", [False, True])
def test_one_space_is_dropped_streamed_or_not(
    texts: list[str], stop: list[str], *, full: bool, strip: bool
) -> None:
    """One leading space is removed, streamed or not; further spaces and the prompt stay."""
    context = RequestContext(
        inputs=" p", stop=stop, return_full_text=full, strip_leading_space=strip
    )
    whole = "".join(texts)
    shown = whole.removeprefix(" ") if strip else whole
    expected = (" p" if full else "") + (shown.split(stop[0])[0] if stop else shown)
    accumulator = AnswerAccumulator(context)
    for place, text in enumerate(texts, 1):
        last = whole if place == len(texts) else None
        token = {"id": 1, "text": text}
        data = json.dumps({"token": token, "generated_text": last}).encode()
        accumulator.push(StreamEvent.model_validate_json(data), data)
    response = GenerateResponse(generated_text=context.prefix + whole)
    assert build_answer(response, context, {}).text == expected
    assert accumulator.finish().text == expected
