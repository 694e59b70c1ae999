"""An answer as HTML, each token shaded by how unsure the model was of it."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain, repeat
from typing import NamedTuple

from datacrunch_tgi import Details, Token

FULL_SHADE = math.log(0.05)
"""The log probability from which on a token has the full shade."""
IN_DOUBT = math.log(0.95)
"""The log probability from which on a token is listed under the text."""
SHARES = (1, 0.6, 0.3, 0.1)
"""The probabilities whose shades are explained."""

STYLE = """<style>
.tokens { font: 1.1em/1.9 system-ui, sans-serif; max-width: 46em; }
.tokens p { margin: 0 0 .4em; white-space: pre-wrap; overflow-wrap: anywhere; position: relative; }
.tokens span { border-radius: .25em; padding: .15em 0; }
.tokens .below { min-height: 7.4em; /* room for the choices of a token, or the cell would scroll */ }
.tokens .key { font-size: .75em; }
.tokens .key span { padding: .15em .6em; margin-right: .4em; }
.tokens .text span { cursor: help; }
.tokens .text span:is(:hover, :focus) { outline: 2px solid; outline-offset: -1px; }
.tokens .text span:is(:hover, :focus)::after {
  content: attr(data-choices); position: absolute; left: 0; top: 100%; z-index: 9;
  padding: .6em 1em; border-radius: .4em; background: #24292f; color: #f6f8fa;
  font: 13px/1.5 ui-monospace, monospace; white-space: pre; pointer-events: none; }
.tokens table { font: .8em/1.5 ui-monospace, monospace; color: inherit;
  border-collapse: collapse; margin: 0; }
.tokens td { padding: .1em 2em .1em 0; white-space: pre; }
.tokens td:first-child { text-align: right; }
.tokens td:last-child { text-align: left; }
.tokens.tokens tr:nth-child(n) { background: none; }
</style>"""


class Step(NamedTuple):
    """What an answer grew by: the text of a token, or of the several that one character took."""

    before: str
    text: str
    logprob: float
    choices: Sequence[Token]
    """The chosen token, then the likeliest others at its place; of several the least sure."""


def steps(details: Details) -> Iterator[Step]:
    """Yield what the answer grew by; control tokens are left out."""
    before, places = "", list[Sequence[Token]]()
    for token, likeliest in zip(
        details.tokens, chain(details.top_tokens, repeat([])), strict=False
    ):
        if token.special:
            continue
        places.append([token, *(other for other in likeliest if other.id != token.id)])
        if token.text:
            least_sure = min(places, key=lambda choices: _logprob(choices[0]))
            yield Step(before, token.text, sum(_logprob(taken) for taken, *_ in places), least_sure)
            before, places = before + token.text, []


def least_sure(details: Details) -> float:
    """The probability of the token that the model was least sure of; 1.0 without tokens."""
    return math.exp(min(map(_logprob, details.tokens), default=0.0))


def to_html(details: Details, *, doubts: int = 3) -> str:
    """Return the answer with its tokens shaded; pointed at, a token shows what it was chosen from.

    Args:
        details: Of an answer, asked for with `details=True` and, for the choices, `top_n_tokens`.
        doubts: How many of the tokens in doubt are listed under the text, the worst first.
    """
    answer = list(steps(details))
    in_doubt = sorted((step for step in answer if step.logprob < IN_DOUBT), key=_sureness)
    rows = map(_row, in_doubt[:doubts])
    return (
        f'{STYLE}<div class="tokens"><p class="text">{"".join(map(_span, answer))}</p>'
        f'<div class="below"><p class="key">{"".join(map(_key, SHARES))}sure of the token</p>'
        f"<table>{''.join(rows)}</table></div></div>"
    )


def _sureness(step: Step) -> float:
    return step.logprob


def _logprob(token: Token) -> float:
    return token.logprob or 0.0


def _percent(logprob: float) -> str:
    return f"{math.exp(logprob):.0%}"


def _name(token: Token) -> str:
    """A token's text, or its number where it has none; the servers tell most without the space."""
    text = token.text.strip(" ").replace("\n", "↵")
    return text or ("␣" if token.text else f"#{token.id}")


def _shade(logprob: float) -> str:
    """A see-through colour: the text keeps its own, and is readable on light and on dark."""
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
