"""A notebook shows an answer's text shaded by its probabilities, whatever is in it, never as markup."""

import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacrunch_tgi import Answer, Details, Token, Usage

TAGS = {"style", "div", "p", "span", "table", "tr", "td", "b"}
MARKUP = st.sampled_from(["<script>", "</p>", "<b>", "&lt;", '"', "'", '" onclick="', "\n", " "])


class Reader(HTMLParser):
    """Reads the tokens of the shaded answer: text, shade, choices."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags = set[str]()
        self.attributes = set[str]()
        self.tokens = list[tuple[str, float, str]]()
        self.text = self.below = ""
        self._in_token = self._in_text = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        reported = dict(attrs)
        self.attributes.update(reported)
        self._in_token = "data-choices" in reported
        self._in_text = self._in_token or reported.get("class") == "text"
        if self._in_token:
            shade = float(str(reported["style"]).rpartition(",")[2].strip(" )"))
            self.tokens.append(("", shade, str(reported["data-choices"])))

    def handle_data(self, data: str) -> None:
        if self._in_text:
            self.text += data
        elif self.get_starttag_text() != "<style>":
            self.below += data
        if self._in_token:
            text, shade, choices = self.tokens[-1]
            self.tokens[-1] = (text + data, shade, choices)

    def handle_endtag(self, tag: str) -> None:
        self._in_token = False
        self._in_text = self._in_text and tag != "p"


def answer_of(
    *tokens: Token, text: str | None = None, top_tokens: list[list[Token]] | None = None
) -> Answer:
    details = Details(
        finish_reason="length",
        generated_tokens=len(tokens),
        tokens=list(tokens),
        top_tokens=top_tokens or [],
    )
    shown = "".join(token.text for token in tokens if not token.special)
    return Answer(
        text=shown if text is None else text,
        generated_text=shown,
        finish_reason="length",
        details=details,
        usage=Usage(completion_tokens=len(tokens)),
    )


def read(*tokens: Token, **more: Any) -> Reader:
    return Reader(answer_of(*tokens, **more)._repr_html_() or "")


@given(st.lists(st.tuples(st.text() | MARKUP, st.floats(-20, 0))))
def test_it_shows_the_text_and_no_tag_or_attribute_of_its_making(
    tokens: list[tuple[str, float]],
) -> None:
    """The HTML shows any text, and has no tags or attributes but its own."""
    made = [Token(id=n, text=text, logprob=logprob) for n, (text, logprob) in enumerate(tokens)]
    others = [[Token(id=-1, text=text, logprob=logprob)] for text, logprob in tokens]
    reader = read(*made, top_tokens=others)
    assert [text for text, _, _ in reader.tokens] == [token.text for token in made if token.text]
    assert reader.tags <= TAGS
    assert reader.attributes <= {"class", "style", "tabindex", "data-choices"}


def test_the_less_sure_the_stronger_the_shade() -> None:
    """The shade grows as the probability falls, up to a limit."""
    shares = (1.0, 0.99, 0.8, 0.5, 0.1, 0.05, 0.001)
    reader = read(*(Token(id=1, text="a", logprob=math.log(share)) for share in shares))
    shades = [shade for _, shade, _ in reader.tokens]
    assert shades == sorted(shades)
    assert len(set(shades)) == 6, "from one in twenty on it is full"
    assert shades[0] == 0
    assert shades[-1] < 1, "the text's own colour stays readable through it"


def test_a_token_shows_what_it_was_chosen_from_itself_first_and_once() -> None:
    """A token's alternatives follow the token itself."""
    chosen, other = Token(id=1, text=" no", logprob=-1.0), Token(id=2, text="yes", logprob=-0.5)
    ((_, _, choices),) = read(chosen, top_tokens=[[other, chosen]]).tokens
    assert choices == "no   37% ███████\nyes  61% ████████████"


def test_a_character_of_several_tokens_is_one_box_with_their_probabilities_multiplied() -> None:
    """A character of several tokens has the product of their probabilities."""
    parts = [Token(id=n, text=text, logprob=math.log(0.5)) for n, text in enumerate(["", "", "❄"])]
    whole = Token(id=9, text="❄", logprob=math.log(0.125))
    assert [token[:2] for token in read(*parts).tokens] == [
        token[:2] for token in read(whole).tokens
    ]


def test_control_tokens_and_missing_probabilities_are_no_doubt() -> None:
    """Control tokens and missing probabilities are not shaded."""
    end = Token(id=2, text="</s>", logprob=-3.0, special=True)
    start = Token(id=1, text="<s>", logprob=-3.0, special=True)
    reader = read(start, Token(id=1, text="a"), end)
    assert [(text, shade) for text, shade, _ in reader.tokens] == [("a", 0)]


@pytest.mark.parametrize(
    ("text", "unshaded", "shaded"),
    [
        (" Hello you", "", [" Hello", " you"]),
        ("Hello you", "", ["Hello", " you"]),
        (" Hello y", "", [" Hello", " y"]),
        ("Say it: Hello", "Say it:", [" Hello"]),
        ("[/INST]Hello you", "[/INST]", ["Hello", " you"]),
        ("", "", []),
    ],
    ids=["whole", "chat", "stop string", "prompt", "prompt in a chat", "nothing"],
)
def test_it_shows_the_answers_text_and_no_more(text: str, unshaded: str, shaded: list[str]) -> None:
    """The HTML shows the answer's text only, and does not shade the prompt."""
    made = [Token(id=n, text=token, logprob=-1) for n, token in enumerate((" Hello", " you"))]
    reader = read(*made, text=text)
    assert [token for token, _, _ in reader.tokens] == shaded
    assert reader.text == unshaded + "".join(shaded)


def test_a_notebook_shows_plain_text_without_tokens() -> None:
    """IPython falls back on the repr where there is no HTML."""
    answer = Answer(text="Hi", generated_text="Hi", finish_reason=None, details=None, usage=Usage())
    assert answer._repr_html_() is None
    assert answer_of(Token(id=1, text="Hi", logprob=-1))._repr_html_()


def test_usage_and_finish_reason_are_shown() -> None:
    """Usage and finish reason are shown as far as the server reports them."""
    answer = answer_of(Token(id=1, text="Hi", logprob=-1))
    assert "1 completion tokens · finish reason: length" in (answer._repr_html_() or "")
    answer.usage.prompt_tokens = 7
    assert "7 prompt tokens · 1 completion tokens" in (answer._repr_html_() or "")


def rows(*tokens: Token, **more: Any) -> list[list[str]]:
    """The cells of the table of doubtful tokens."""
    html = answer_of(*tokens, **more)._repr_html_() or ""
    found = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", html, re.DOTALL)
    return [list(cells) for cells in found]


def sure(text: str) -> Token:
    return Token(id=1, text=text, logprob=0.0)


def test_doubtful_tokens_are_listed_the_least_sure_first_with_what_else_was_likely() -> None:
    """At most three of them; others that round to 0% are left out."""
    shares = (0.9, 0.2, 0.96, 0.5, 0.7)
    made = [Token(id=n, text=f" t{n}", logprob=math.log(share)) for n, share in enumerate(shares)]
    others = [
        [
            made[n],
            Token(id=10, text="\n", logprob=math.log(0.1)),
            Token(id=11, text=" ", logprob=math.log(0.05)),
            Token(id=12, text="", logprob=math.log(0.01)),
            Token(id=13, text="x", logprob=math.log(0.004)),
        ]
        for n in range(5)
    ]
    either = "or ↵ 10% · ␣ 5% · #12 1%"
    assert rows(*made, top_tokens=others) == [
        [" t0<b> t1</b>", "20%", either],
        [" t0 t1 t2<b> t3</b>", "50%", either],
        [" t0 t1 t2 t3<b> t4</b>", "70%", either],
    ]


def test_below_the_text_are_the_legend_the_doubtful_tokens_and_the_summary() -> None:
    """And nothing else."""
    made = [Token(id=n, text=text, logprob=math.log(0.5)) for n, text in enumerate(("a", "b"))]
    assert read(*made).below == (
        "100%60%30%10%sure of the tokena50%ab50%2 completion tokens · finish reason: length"
    )


@pytest.mark.parametrize("text", ["X", " XX ", "Xy"])
def test_a_token_is_named_by_its_text(text: str) -> None:
    """Without space around it."""
    other = Token(id=2, text=text, logprob=math.log(0.5))
    doubtful = Token(id=1, text="no", logprob=math.log(0.5))
    assert rows(doubtful, top_tokens=[[other]]) == [["<b>no</b>", "50%", f"or {text.strip()} 50%"]]


@pytest.mark.parametrize(
    ("before", "shown"),
    [("", ""), ("a\nb", "a b"), ("x" * 24, "x" * 24), ("ab" + "x" * 23, "…b" + "x" * 23)],
)
def test_a_doubtful_token_is_listed_with_up_to_24_characters_before_it(
    before: str, shown: str
) -> None:
    """On one line; more of them are cut off."""
    doubtful = Token(id=2, text="y", logprob=-1.0)
    assert rows(*([sure(before)] if before else []), doubtful) == [[f"{shown}<b>y</b>", "37%", ""]]
