"""The shaded answer shows the answer's text, whatever is in it, and never becomes markup."""

import math
import runpy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacrunch_tgi import Client, Details, Token
from datacrunch_tgi.testing import EmulatedEndpoint

CONFIDENCE: dict[str, Any] = runpy.run_path(
    str(Path(__file__).parents[2] / "cookbook" / "confidence.py")
)
TAGS = {"style", "div", "p", "span", "table", "tr", "td", "b"}
MARKUP = st.sampled_from(["<script>", "</p>", "<b>", "&lt;", '"', "'", '" onclick="', "\n", " "])


class Reader(HTMLParser):
    """Reads the tokens of the shaded answer: text, shade, choices."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags = set[str]()
        self.attributes = set[str]()
        self.tokens = list[tuple[str, float, str]]()
        self._in_token = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        told = dict(attrs)
        self.attributes.update(told)
        self._in_token = "data-choices" in told
        if self._in_token:
            shade = float(str(told["style"]).rpartition(",")[2].strip(" )"))
            self.tokens.append(("", shade, str(told["data-choices"])))

    def handle_data(self, data: str) -> None:
        if self._in_token:
            text, shade, choices = self.tokens[-1]
            self.tokens[-1] = (text + data, shade, choices)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 -- HTMLParser's signature
        self._in_token = False


def read(*tokens: Token, top_tokens: list[list[Token]] | None = None) -> Reader:
    details = Details(
        finish_reason="length",
        generated_tokens=len(tokens),
        tokens=list(tokens),
        top_tokens=top_tokens or [],
    )
    return Reader(CONFIDENCE["to_html"](details))


@given(st.lists(st.tuples(st.text() | MARKUP, st.floats(-20, 0))))
def test_it_shows_the_text_and_no_tag_or_attribute_of_its_making(
    tokens: list[tuple[str, float]],
) -> None:
    made = [Token(id=n, text=text, logprob=logprob) for n, (text, logprob) in enumerate(tokens)]
    others = [[Token(id=-1, text=text, logprob=logprob)] for text, logprob in tokens]
    reader = read(*made, top_tokens=others)
    assert [text for text, _, _ in reader.tokens] == [token.text for token in made if token.text]
    assert reader.tags <= TAGS
    assert reader.attributes <= {"class", "style", "tabindex", "data-choices"}


def test_the_less_sure_the_stronger_the_shade() -> None:
    shares = (1.0, 0.99, 0.8, 0.5, 0.1, 0.05, 0.001)
    reader = read(*(Token(id=1, text="a", logprob=math.log(share)) for share in shares))
    shades = [shade for _, shade, _ in reader.tokens]
    assert shades == sorted(shades)
    assert len(set(shades)) == 6, "from one in twenty on it is full"
    assert shades[0] == 0
    assert shades[-1] < 1, "the text's own colour stays readable through it"


def test_a_token_shows_what_it_was_chosen_from_itself_first_and_once() -> None:
    chosen, other = Token(id=1, text=" no", logprob=-1.0), Token(id=2, text="yes", logprob=-0.5)
    ((_, _, choices),) = read(chosen, top_tokens=[[other, chosen]]).tokens
    assert [line.split()[:2] for line in choices.split("\n")] == [["no", "37%"], ["yes", "61%"]]


def test_a_character_of_several_tokens_is_one_box_with_their_probabilities_multiplied() -> None:
    parts = [Token(id=n, text=text, logprob=math.log(0.5)) for n, text in enumerate(["", "", "❄"])]
    whole = Token(id=9, text="❄", logprob=math.log(0.125))
    assert [token[:2] for token in read(*parts).tokens] == [
        token[:2] for token in read(whole).tokens
    ]


def test_control_tokens_and_missing_probabilities_are_no_doubt() -> None:
    end = Token(id=2, text="</s>", logprob=-3.0, special=True)
    reader = read(Token(id=1, text="a"), end)
    assert [(text, shade) for text, shade, _ in reader.tokens] == [("a", 0)]


@pytest.mark.parametrize(
    ("question", "low", "high"), [("What is TGI?", 0.9, 1.0), ("How far is the moon?", 0.0, 0.6)]
)
def test_the_least_sure_token_tells_what_the_model_knows(
    question: str, low: float, high: float, tiny_llama: Path
) -> None:
    with EmulatedEndpoint(model=tiny_llama) as endpoint, Client(base_url=endpoint.url) as client:
        answer = client.generate(f"[INST] {question} [/INST]", max_new_tokens=60, details=True)
    assert answer.details
    assert low < CONFIDENCE["least_sure"](answer.details) < high
