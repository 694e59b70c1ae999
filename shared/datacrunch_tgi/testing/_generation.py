"""One sequence's life: choices of token ids in, the tokens, reason to end and text out.

The same for a scripted answer and for a model's: whoever chooses the tokens, their texts, the stop
rules and what is counted are the servers'.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import Protocol

from datacrunch_tgi.testing._detokenizer import Detokenizer, Tokenizer
from datacrunch_tgi.testing._recording import ReceivedRequest
from datacrunch_tgi.testing._validation import ValidRequest

_KEPT_WINDOW = 200
"""Characters kept of a text that outgrew the window stop texts are looked for in (TGI 3.3.7)."""


class FinishReason(StrEnum):
    """Why a sequence ended; the servers ask in this order after every token."""

    LENGTH = "length"
    EOS_TOKEN = "eos_token"  # noqa: S105 - a reason to finish, not a secret
    STOP_SEQUENCE = "stop_sequence"


@dataclass(frozen=True)
class Token:
    """A token as it is sent; logprobs are natural logarithms of single precision."""

    id: int
    text: str
    logprob: float | None
    special: bool = False


@dataclass(frozen=True)
class Choice:
    """The next token, and the likeliest before penalties and sampling, best first."""

    id: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...] = ()


class Sequence(Protocol):
    """Whoever chooses the tokens of one answer, without ever ending it."""

    @property
    def prefill_logprobs(self) -> list[float]:
        """The logprobs of the prompt's tokens from the second on; empty unless asked for."""
        ...

    async def choose(self) -> Choice:
        """Choose the next token."""
        ...


class Engine(Protocol):
    """Where answers come from."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What texts are made of here."""
        ...

    async def start(self, request: ValidRequest, received: ReceivedRequest) -> Sequence:
        """Start an answer.

        Args:
            request: What to generate.
            received: The HTTP request that asked for it.

        Raises:
            ServerError: There is no answer.
        """
        ...

    def close(self) -> None:
        """Give back threads; nothing can be started afterwards."""
        ...


class StoppingCriteria:
    """Counts tokens and watches for the end of an answer."""

    def __init__(
        self, request: ValidRequest, end_ids: AbstractSet[int], window: int | None
    ) -> None:
        self._left = request.max_new_tokens
        self._end_ids = end_ids
        self._window = window
        self._text = ""
        # `$` also matches before a final line break: the servers' own expression.
        self._stops = [re.compile(re.escape(stop) + "$") for stop in request.stop]

    def after(self, token: Token) -> FinishReason | None:
        """Return why the answer ends with this token, or None if it goes on."""
        self._left -= 1
        if self._left <= 0:
            return FinishReason.LENGTH
        if token.id in self._end_ids:
            return FinishReason.EOS_TOKEN
        self._text += token.text
        if self._window is not None and len(self._text) > self._window:
            self._text = self._text[-_KEPT_WINDOW:]
        if any(stop.search(self._text) for stop in self._stops):
            return FinishReason.STOP_SEQUENCE
        return None


class Generation:
    """One answer as it grows."""

    def __init__(
        self, request: ValidRequest, tokenizer: Tokenizer, *, stop_window: int | None
    ) -> None:
        self.request = request
        self.finish_reason: FinishReason | None = None
        self.prefill: list[Token] = []
        self.tokens: list[Token] = []
        self.top_tokens: list[tuple[Token, ...]] = []
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer, request.prompt_ids)
        self._criteria = StoppingCriteria(request, tokenizer.end_ids, stop_window)

    @property
    def seed(self) -> int | None:
        """The seed, if chance had a part in the answer."""
        sampling = self.request.sampling
        return sampling.seed if sampling.samples else None

    @property
    def generated_text(self) -> str:
        """The answer, decoded anew from all its tokens: not always their texts together."""
        return self._detokenizer.generated_text()

    @property
    def mean_logprob(self) -> float:
        """What makes the best of several answers."""
        return fmean(token.logprob or 0.0 for token in self.tokens)

    def read_prompt(self, logprobs: list[float]) -> None:
        """Take the logprobs of the prompt's tokens; the first token has none."""
        ids = self.request.prompt_ids
        self.prefill = [
            Token(token_id, self._tokenizer.decode([token_id]), logprob)
            for token_id, logprob in zip(ids, [None, *logprobs], strict=True)
        ]

    def add(self, choice: Choice) -> Token:
        """Take the next token."""
        token = self._token(choice.id, self._detokenizer.add(choice.id), choice.logprob)
        self.tokens.append(token)
        if self.request.top_n_tokens:
            self.top_tokens.append(
                tuple(
                    self._token(token_id, self._tokenizer.decode([token_id]), logprob)
                    for token_id, logprob in choice.alternatives
                )
            )
        self.finish_reason = self._criteria.after(token)
        return token

    def _token(self, token_id: int, text: str, logprob: float) -> Token:
        return Token(token_id, text, logprob, special=token_id in self._tokenizer.special_ids)
