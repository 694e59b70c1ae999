"""An answer as HTML for notebooks, each token shaded by how unsure the model was of it. Pure.

Shades are translucent and text keeps the page's own colour, so both are readable on light and on dark.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain, repeat
from typing import NamedTuple

from datacrunch_tgi._protocol._reasoning import is_hidden
from datacrunch_tgi._protocol._schema import Answer, Details, Token

FULL_SHADE = math.log(0.05)
"""Log probability at or below which a token has the full shade."""
IN_DOUBT = math.log(0.95)
"""Log probability below which a token is listed under the text."""
MAX_DOUBTS = 3
"""Tokens that are listed."""
SHARES = (1, 0.6, 0.3, 0.1)
"""Probabilities in the legend."""

STYLE = """<style>
.datacrunch-answer { font: 1.1em/1.9 system-ui, sans-serif; max-width: 46em; }
.datacrunch-answer p { margin: 0 0 .4em; position: relative;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.datacrunch-answer span { border-radius: .25em; padding: .15em 0; }
.datacrunch-answer .below { min-height: 9em; /* room for a token's choices, or the cell scrolls */ }
.datacrunch-answer .key { font-size: .75em; }
.datacrunch-answer .key span { padding: .15em .6em; margin-right: .4em; }
.datacrunch-answer .text span { cursor: help; }
.datacrunch-answer .text span:is(:hover, :focus) { outline: 2px solid; outline-offset: -1px; }
.datacrunch-answer .text span:is(:hover, :focus)::after {
  content: attr(data-choices); position: absolute; left: 0; top: 100%; z-index: 9;
  padding: .6em 1em; border-radius: .4em; background: #24292f; color: #f6f8fa;
  font: 13px/1.5 ui-monospace, monospace; white-space: pre; pointer-events: none; }
.datacrunch-answer table { font: .8em/1.5 ui-monospace, monospace; color: inherit;
  border-collapse: collapse; margin: 0; }
.datacrunch-answer td { padding: .1em 2em .1em 0; white-space: pre; }
.datacrunch-answer td:first-child { text-align: right; }
.datacrunch-answer td:last-child { text-align: left; }
.datacrunch-answer.datacrunch-answer tr:nth-child(n) { background: none; }
</style>"""


class Step(NamedTuple):
    """One growth of an answer: the text of a token, or of several that make up one character."""

    before: str
    text: str
    logprob: float
    choices: Sequence[Token]
    """The chosen token, then the likeliest others at its position; of several, the least sure."""


def to_html(answer: Answer, details: Details) -> str:
    """Return the answer with shaded tokens; pointed at, a token shows its alternatives (`top_n_tokens`)."""
    prefix, steps = _shown_steps(answer.text, list(_steps(details)))
    doubts = sorted((step for step in steps if step.logprob < IN_DOUBT), key=_sureness)
    rows = "".join(map(_row, doubts[:MAX_DOUBTS]))
    text = escape(prefix) + "".join(map(_span, steps))
    return (
        f'{STYLE}<div class="datacrunch-answer"><p class="text">{text}</p>'
        f'<div class="below"><p class="key">{"".join(map(_key, SHARES))}sure of the token</p>'
        f'<table>{rows}</table><p class="key">{escape(_summary(answer))}</p></div></div>'
    )


def _steps(details: Details) -> Iterator[Step]:
    """Yield the growth of the answer, without control tokens."""
    before, places = "", list[Sequence[Token]]()
    alternatives = chain(details.top_tokens, repeat(()))
    for token, likeliest in zip(details.tokens, alternatives, strict=False):
        if is_hidden(token):
            continue
        places.append([token, *(other for other in likeliest if other.id != token.id)])
        if token.text:
            least_sure = min(places, key=lambda choices: _logprob(choices[0]))
            yield Step(before, token.text, sum(_logprob(taken) for taken, *_ in places), least_sure)
            before, places = before + token.text, []


def _shown_steps(text: str, steps: Sequence[Step]) -> tuple[str, list[Step]]:
    """Return what precedes the tokens in the text, and the tokens as far as the text shows them.

    A prompt may come first, one leading space may be dropped, and a stop string cuts the end.
    """
    generated = "".join(step.text for step in steps)
    start, length = 0, _overlap(text, generated)
    if generated.startswith(" ") and (without_space := _overlap(text, generated[1:])) > length:
        start, length = 1, without_space
    shown = list[Step]()
    for step in steps:
        place = len(step.before)
        piece = step.text[max(0, start - place) : max(0, start + length - place)]
        if piece:
            shown.append(step._replace(text=piece))
    return text[: len(text) - length], shown


def _overlap(text: str, generated: str) -> int:
    """Return the number of characters from the start of `generated` with which the text ends."""
    longest = min(len(text), len(generated))
    return next(end for end in range(longest, -1, -1) if text.endswith(generated[:end]))


def _summary(answer: Answer) -> str:
    usage = answer.usage
    counts = (
        f"{number} {name} tokens"
        for name, number in (
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
        )
        if number is not None
    )
    return " · ".join([*counts, f"finish reason: {answer.finish_reason}"])


def _sureness(step: Step) -> float:
    return step.logprob


def _logprob(token: Token) -> float:
    return token.logprob or 0.0


def _percent(logprob: float) -> str:
    return f"{math.exp(logprob):.0%}"


def _name(token: Token) -> str:
    """Return a token's text, or its id if it has none; most servers report it without the space."""
    text = token.text.strip(" ").replace("\n", "↵")
    return text or ("␣" if token.text else f"#{token.id}")


def _shade(logprob: float) -> str:
    share = math.sqrt(min(logprob / FULL_SHADE, 1))  # the root, so that small doubts show
    return f'style="background-color: rgba(240, 110, 30, {share * 0.7:.2f})"'


def _span(step: Step) -> str:
    names = [_name(token) for token in step.choices]
    shares = [math.exp(_logprob(token)) for token in step.choices]
    choices = "\n".join(
        f"{name:{max(map(len, names))}} {share:4.0%} {'█' * round(20 * share)}"
        for name, share in zip(names, shares, strict=True)
    )
    return (
        f'<span tabindex="0" {_shade(step.logprob)} data-choices="{escape(choices)}">'
        f"{escape(step.text)}</span>"
    )


def _key(share: float) -> str:
    return f"<span {_shade(math.log(share))}>{share:.0%}</span>"


def _row(step: Step) -> str:
    before = step.before.replace("\n", " ")
    before = f"…{before[-24:]}" if len(before) > 24 else before  # noqa: PLR2004 -- what fits a line
    others = " · ".join(
        f"{_name(other)} {_percent(_logprob(other))}"
        for other in step.choices[1:]
        if _percent(_logprob(other)) != "0%"
    )
    return (
        f"<tr><td>{escape(before)}<b>{escape(step.text)}</b></td><td>{_percent(step.logprob)}</td>"
        f"<td>{escape(others and f'or {others}')}</td></tr>"
    )
