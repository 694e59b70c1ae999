"""What a real server said under grammars for tools is read as what it is: calls, cut calls, or text."""

import json
from typing import Any

import pytest

from datacrunch_tgi import Token
from datacrunch_tgi._tools import WORDS, ToolCallReader, ToolRequest

NAMES = ("get_weather", "now", "add", "paint", "search", "on", "send", "GetWeather")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in NAMES
]
HELLO = ("get_weather", {"city": ". Hello! How", "days": -5})
THERE = ("get_weather", {"city": ". There was:"})
DOCUMENTS = ("get_weather", {"city": " documents g", "days": -5})
SEARCH = ("search", {"query": " to", "limit": -5})
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "tools-any-of": DOCUMENTS,
    "tools-any-of-stream": DOCUMENTS,
    "tools-calls": HELLO,
    "tools-calls-stream": HELLO,
    "tools-choices": ("paint", {"colour": "blå"}),
    "tools-date": ("on", {"day": "1111-11-31"}),
    "tools-no-arguments": ("now", {}),
    "tools-no-arguments-closed": ("now", {}),
    "tools-no-arguments-stream": ("now", {}),
    "tools-nullable": SEARCH,
    "tools-one-const": THERE,
    "tools-one-enum": THERE,
    "tools-one-of": DOCUMENTS,
    "tools-one-typed": THERE,
    "tools-one-typed-enum": THERE,
    "tools-one-typed-stream": THERE,
    "tools-optional": SEARCH,
    "tools-refs": DOCUMENTS,
    "tools-sampled": ("get_weather", {"city": "gre was theä", "days": 17}),
    "tools-titles": ("GetWeather", {"city": ". It four fi"}),
}
CUT = {
    "tools-calls-unbounded": ("add", "raise max_new_tokens"),
    "tools-free-object": ("send", "raise max_new_tokens"),
    "tools-stop-in-grammar": ("get_weather", "use other stop strings"),
}
TEXT = {
    "tools-any-of-top-with-properties": "{ }",
    "tools-cut": '{ "name"',
    "tools-cut-stream": '{ "name"',
}
REFUSED = {"tools-any-of-top", "tools-array-top"}


def read(recording: dict[str, Any]) -> ToolCallReader:
    """Read the tokens of a recorded answer."""
    body = "".join(chunk["text"] for chunk in recording["response"]["chunks"])
    events = [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    answer = events[-1] if events else json.loads(body)
    tokens = [event["token"] for event in events] or answer["details"]["tokens"]
    stop = recording["request"]["json"]["parameters"].get("stop", ())
    reader = ToolRequest.of(TOOLS, "any", tool_format=WORDS, in_words=True).reader(stop)
    reader.read([Token(**token) for token in tokens], answer["details"]["finish_reason"])
    return reader


@pytest.mark.parametrize("name", CALLS)
def test_a_recorded_call_is_read(recordings: dict[str, Any], name: str) -> None:
    """With its name and arguments, and nothing of it as text."""
    reader = read(recordings[f"tgi-3.3.7/{name}"])
    (call,) = reader.calls
    assert (call.name, call.arguments) == CALLS[name]
    assert (reader.invalid_calls, reader.text) == ([], "")


@pytest.mark.parametrize("name", CUT)
def test_a_recorded_call_that_was_cut_is_invalid(recordings: dict[str, Any], name: str) -> None:
    """A recorded call that was cut is invalid and says what to do."""
    reader = read(recordings[f"tgi-3.3.7/{name}"])
    (call,) = reader.invalid_calls
    assert (reader.calls, call.name, reader.text) == ([], CUT[name][0], "")
    assert CUT[name][1] in call.reason


@pytest.mark.parametrize("name", TEXT)
def test_what_names_no_tool_is_text(recordings: dict[str, Any], name: str) -> None:
    """An answer that was cut before a name, and an empty object."""
    reader = read(recordings[f"tgi-3.3.7/{name}"])
    assert (reader.calls, reader.invalid_calls, reader.text) == ([], [], TEXT[name])


def test_every_recording_of_tools_is_read(recordings: dict[str, Any]) -> None:
    """These tests read every recording of tools, except for refusals."""
    names = {name.partition("/")[2] for name in recordings if "/tools-" in name}
    assert names == {*CALLS, *CUT, *TEXT, *REFUSED}
    for name in REFUSED:
        assert recordings[f"tgi-3.3.7/{name}"]["response"]["status"] == 422
