"""A stop string ends the text that is shown, once and for all."""

import pytest

from datacrunch_tgi._protocol._stop import StopFilter


@pytest.mark.parametrize("stops", [["b"], ["b", "bc"]])
def test_after_a_stop_string_nothing_is_shown(stops: list[str]) -> None:
    """Neither what is pushed later nor what could have been another stop string; it ends the answer at once."""
    text = StopFilter(stops)
    assert not text.found
    assert text.push("ab") == "a"
    assert text.found
    assert [text.push("c"), text.flush(), text.flush()] == ["", "", ""]


def test_what_was_held_back_is_shown_once() -> None:
    """At the end of the text, in which there is no stop string."""
    text = StopFilter(["bc"])
    assert [text.push("ab"), text.flush(), text.flush()] == ["a", "b", ""]
    assert not text.found


def test_a_token_may_end_the_text_instead() -> None:
    """What was held back is shown, and nothing after it."""
    text = StopFilter(["bc"])
    assert [text.push("ab"), text.end(), text.push("d")] == ["a", "b", ""]
    assert text.found


def test_without_stop_strings_all_text_is_shown_at_once() -> None:
    """Without stop strings, text is passed on at once."""
    text = StopFilter([])
    assert [text.push("a"), text.push("b"), text.flush()] == ["a", "b", ""]
    assert not text.found
