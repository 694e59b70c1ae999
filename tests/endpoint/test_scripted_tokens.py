"""Answers that are scripted token by token, and what is no script."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Events = Callable[[httpx.Response], list[Any]]

CALL = [
    ScriptedToken("[TOOL_CALLS]", special=True),
    ScriptedToken('[{"name": "add", "argu'),
    ScriptedToken(""),
    ScriptedToken('ments": {}}]å'),
]


@pytest.mark.parametrize("end", [None, ScriptedToken("<|eot_id|>", special=True, ends=True)])
def test_an_answer_can_be_scripted_token_by_token(
    emulated_endpoint: Start, ask: Ask, events: Events, end: ScriptedToken | None
) -> None:
    """Tokens are sent as they are; control tokens are missing in the text, and one ends it."""
    tokens = [*CALL, end, ScriptedToken("never sent")] if end else CALL
    endpoint = emulated_endpoint(answers=tokens)

    answer = ask(endpoint, details=True).json()
    stream = events(ask(endpoint, route="/generate_stream"))

    expected = [(token.text, token.special) for token in CALL]
    expected.append((end.text if end else "</s>", True))
    sent = [(token["text"], token["special"]) for token in answer["details"]["tokens"]]
    assert sent == expected
    assert [(event["token"]["text"], event["token"]["special"]) for event in stream] == expected
    assert answer["generated_text"] == '[{"name": "add", "arguments": {}}]å'
    assert stream[-1]["generated_text"] == answer["generated_text"]
    assert answer["details"]["finish_reason"] == "eos_token"


def test_letters_that_spell_a_control_token_are_text(emulated_endpoint: Start, ask: Ask) -> None:
    """The same text may be a control token or not; `special` and the id differ."""
    marker = ScriptedToken("<s>", special=True)
    endpoint = emulated_endpoint(answers=[marker, ScriptedToken("<s>")])

    answer = ask(endpoint, details=True).json()

    control, letters, _ = answer["details"]["tokens"]
    assert (control["special"], letters["special"]) == (True, False)
    assert control["id"] != letters["id"]
    assert answer["generated_text"] == "<s>"


def test_a_control_token_can_be_a_stop_string(emulated_endpoint: Start, ask: Ask) -> None:
    """Stop strings are searched for in all tokens, the hidden ones included."""
    endpoint = emulated_endpoint(answers=[*CALL, ScriptedToken("<|eom_id|>", special=True), *CALL])

    details = ask(endpoint, details=True, stop=["<|eom_id|>"]).json()["details"]

    assert (details["finish_reason"], details["generated_tokens"]) == ("stop_sequence", 5)


def test_scripted_tokens_go_wherever_a_text_goes(emulated_endpoint: Start, ask: Ask) -> None:
    """Scripted tokens are accepted in sequences, by prompt, and from functions."""
    text = {"generated_text": '[{"name": "add", "arguments": {}}]å'}
    in_turn = emulated_endpoint(answers=["Hello", CALL])

    assert [ask(in_turn).json() for _ in range(2)] == [{"generated_text": "Hello"}, text]
    assert ask(emulated_endpoint(answers={"Hi": CALL})).json() == text
    assert ask(emulated_endpoint(answers=lambda _: CALL)).json() == text
    assert ask(emulated_endpoint(respond=lambda _: CALL)).json() == text


def test_tokens_beside_texts_are_refused() -> None:
    """Whether they are one answer or several cannot be known."""
    with pytest.raises(ValueError, match="nest the tokens"):
        EmulatedEndpoint(answers=["Hello", *CALL])


def test_an_answer_can_have_texts_between_its_tokens(emulated_endpoint: Start, ask: Ask) -> None:
    """Texts are split into words, as those of an answer that is one text."""
    mixed = ["Let me see.", *CALL]
    for script in ([mixed], {"Hi": mixed}, lambda _: mixed):
        answer = ask(emulated_endpoint(answers=script), details=True).json()
        texts = [token["text"] for token in answer["details"]["tokens"]]
        assert texts == ["Let", " me", " see", ".", *(token.text for token in CALL), "</s>"]
        assert answer["generated_text"] == 'Let me see.[{"name": "add", "arguments": {}}]å'


@pytest.mark.parametrize("wrong", [3, [3], ["Hello", None], [["Hello", 3]], {"Hi": 3}], ids=str)
def test_what_is_no_answer_is_refused(wrong: Any) -> None:
    """An invalid script is refused by the constructor."""
    with pytest.raises(ValueError, match="an answer must be a text, or a sequence of texts"):
        EmulatedEndpoint(answers=wrong)


def test_what_a_function_returns_instead_of_an_answer_is_shown(
    emulated_endpoint: Start, ask: Ask
) -> None:
    """If a function returns no answer, the error shows what it returned."""
    wrong: Any = None
    for script in ({"answers": lambda _: wrong}, {"respond": lambda _: wrong}):
        answer = ask(emulated_endpoint(**script))
        assert answer.status_code == 422
        assert "an answer must be a text" in answer.json()["error"]
        assert answer.json()["error"].endswith("not None")
