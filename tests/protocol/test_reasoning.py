"""Reasoning does not run into the answer, also where its marks are special tokens."""

import pytest

from datacrunch_tgi import Client
from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken

SAID = [
    ScriptedToken("[THINK]", special=True),
    ScriptedToken("Two and two?"),
    ScriptedToken("[/THINK]", special=True),
    ScriptedToken("Four."),
]


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ([], "[THINK]Two and two?[/THINK]Four."),
        (["[/THINK]"], "[THINK]Two and two?"),
        (["THINK]F"], "[THINK]Two and two?[/"),
    ],
)
def test_marks_of_reasoning_are_shown(stop: list[str], text: str) -> None:
    """Streamed or not; a stop string is found in them, and the end of the answer is not shown."""
    with EmulatedEndpoint(answers=SAID) as endpoint, Client(base_url=endpoint.url) as client:
        answer = client.generate("2+2?", details=True, stop=stop)
        with client.stream("2+2?", stop=stop) as events:
            shown = "".join(event.text for event in events)
        assert (answer.text, shown, events.answer.text) == (text, text, text)
        assert "[/THINK]" in (answer._repr_html_() or "") or stop
