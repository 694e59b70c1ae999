"""One generated sequence: choices of token ids in; tokens, finish reason and text out.

The same for scripts and models: texts of tokens, stop rules and counts are the servers'.
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
"""Characters kept of a text longer than the window that is searched for stop strings (3.3.7)."""


class FinishReason(StrEnum):
    """Why a sequence ended; checked in this order after every token."""

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
    """The next token, and the most likely ones before penalties and sampling, best first."""

    id: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...] = ()


class Sequence(Protocol):
    """Chooses the tokens of one answer, without an end."""

    @property
    def prefill_logprobs(self) -> list[float]:
        """The logprobs of the prompt's tokens from the second on; empty unless requested."""
        ...

    async def choose(self) -> Choice:
        """Choose the next token."""
        ...


class Engine(Protocol):
    """A source of answers."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of prompts and answers."""
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
        """End the engine's threads; nothing can be started afterwards."""
        ...


class StoppingCriteria:
    """Counts tokens and finds the end of an answer."""

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
    """One answer while it grows."""

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
        """The seed, if the answer was sampled."""
        sampling = self.request.sampling
        return sampling.seed if sampling.samples else None

    @property
    def generated_text(self) -> str:
        """The answer, decoded from all tokens at once: it can differ from their joined texts."""
        return self._detokenizer.generated_text()

    @property
    def mean_logprob(self) -> float:
        """The score that decides which of several answers is best."""
        return fmean(token.logprob or 0.0 for token in self.tokens)

    def read_prompt(self, logprobs: list[float]) -> None:
        """Set the logprobs of the prompt's tokens; the first token has none."""
        ids = self.request.prompt_ids
        self.prefill = [
            Token(token_id, self._tokenizer.decode([token_id]), logprob)
            for token_id, logprob in zip(ids, [None, *logprobs], strict=True)
        ]

    def add(self, choice: Choice) -> Token:
        """Add the next token."""
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
