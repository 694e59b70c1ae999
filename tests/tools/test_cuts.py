"""An answer that ends inside a call: what was read is kept, and nothing is lost."""

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import ToolCallReader, ToolFormat
from tests.tools.test_families import FAMILIES, TOOLS, Calls

CALLS: Calls = [("add", {"a": 1, "note": "\u00e4, }"}), ("get.now-1", {})]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_that_is_cut_anywhere_has_the_calls_before_and_says_why(family: str) -> None:
    """Calls that are complete are calls; what was cut is invalid, or text while it names no tool."""
    name, write = FAMILIES[family]
    tokens = [
        Token(id=0, text=text, special=isinstance(part, tuple))
        for part in write(CALLS)
        for text in part
    ]
    ends = list[int]()
    for end in range(len(tokens) + 1):
        reader = ToolCallReader(ToolFormat.named(name), TOOLS)
        reader.read(tokens[:end], "length")
        found = [(call.name, call.arguments) for call in reader.calls]
        assert found == CALLS[: len(found)]
        assert len(reader.invalid_calls) <= 1
        for call in reader.invalid_calls:
            assert call.index == len(found)
            assert call.reason.startswith("the token limit ended the answer inside the call")
            assert reader.raw_text.endswith(call.text)
            assert (call.name or "") in ("", *[each for each, _ in CALLS])
            assert CALLS[len(found)][0].startswith(call.name or "")
        if not reader.calls and not reader.invalid_calls:
            assert reader.text == "".join(t.text for t in tokens[:end] if not t.special)
        else:
            assert reader.raw_text.endswith(reader.text)
            assert "/" not in reader.text  # of a marker that ends a call
            ends.append(end)
    assert found == CALLS
    assert ends == list(range(ends[0], len(tokens) + 1))
