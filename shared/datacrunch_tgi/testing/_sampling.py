"""Logits to a token: penalties, warpers and the choice, in the order of TGI's model server.

Each rule is TGI's or the one it takes from Hugging Face transformers. A seed gives the same tokens
every time here, but not those of a server, whose random generator is PyTorch's.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datacrunch_tgi.testing._generation import Choice
from datacrunch_tgi.testing._llama import Array
from datacrunch_tgi.testing._validation import Sampling
from datacrunch_tgi.testing._watermark import BIAS, green_ids


class Sampler:
    """Chooses one sequence's tokens."""

    def __init__(self, sampling: Sampling, top_n_tokens: int) -> None:
        self._sampling = sampling
        self._top_n_tokens = top_n_tokens
        self._generator = np.random.default_rng(sampling.seed)

    def choose(
        self, ids: Sequence[int], logits: Array, allowed: Sequence[int] | None = None
    ) -> Choice:
        """Choose the token that follows `ids`, of logits `[vocabulary]`; None allows all."""
        scores = self._penalise(ids, logits.copy())
        if allowed is not None:
            scores = _keep(scores, allowed)
        scores = self._warp(scores)
        logprobs = log_softmax(scores)
        if self._sampling.samples:
            cumulated = np.cumsum(np.exp(logprobs), dtype=np.float64)
            drawn = self._generator.random() * float(cumulated[-1])
            chosen = int(np.searchsorted(cumulated, drawn, side="right"))
        else:
            chosen = int(np.argmax(scores))
        return Choice(chosen, float(logprobs[chosen]), _likeliest(logits, self._top_n_tokens))

    def _penalise(self, ids: Sequence[int], scores: Array) -> Array:
        sampling = self._sampling
        if sampling.watermark:
            scores[green_ids(ids[-1], len(scores))] += np.float32(BIAS)
        if sampling.repetition_penalty != 1:
            scores[ids] = _divide(scores[ids], sampling.repetition_penalty)
        if sampling.frequency_penalty != 0:
            # TGI does not count how often a token occurred and takes away a share of its score
            # instead, once for every occurrence; the token with id 0 pads and is spared.
            occurred = np.array([token_id for token_id in ids if token_id != 0])
            np.subtract.at(scores, occurred, _divide(scores[occurred], sampling.frequency_penalty))
        return scores

    def _warp(self, scores: Array) -> Array:
        sampling = self._sampling
        if sampling.temperature != 1:
            # Near zero, all but the likeliest become infinitely unlikely.
            with np.errstate(over="ignore"):
                scores = (scores - scores.max()) / np.float32(sampling.temperature)
        if 0 < sampling.top_k < len(scores):
            lowest = np.partition(scores, -sampling.top_k)[-sampling.top_k]
            scores = np.where(scores < lowest, -np.inf, scores)
        if sampling.top_p < 1:
            scores = _keep_top_p(scores, sampling.top_p)
        if sampling.typical_p < 1:
            scores = _keep_typical(scores, sampling.typical_p)
        return scores


def log_softmax(scores: Array) -> Array:
    """Logits to logprobs, along the last axis."""
    shifted: Array = scores - scores.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _divide(scores: Array, penalty: float) -> Array:
    """Make scores smaller, whichever their sign."""
    return np.where(scores < 0, scores * np.float32(penalty), scores / np.float32(penalty))


def _keep_top_p(scores: Array, top_p: float) -> Array:
    """Keep the likeliest tokens that together have the probability `top_p`."""
    order = np.argsort(scores)
    cumulated = np.cumsum(np.exp(log_softmax(scores[order])))
    dropped = order[:-1][cumulated[:-1] <= np.float32(1 - top_p)]
    return _drop(scores, dropped)


def _keep_typical(scores: Array, mass: float) -> Array:
    """Keep the tokens whose surprise is nearest to the expected one (arXiv 2202.00666)."""
    logprobs = log_softmax(scores)
    probabilities = np.exp(logprobs)
    possible = probabilities > 0
    entropy = -np.sum(logprobs[possible] * probabilities[possible])
    surprise = np.abs(-logprobs - entropy)
    order = np.argsort(surprise, kind="stable")
    last = int((np.cumsum(probabilities[order]) < np.float32(mass)).sum())
    furthest = surprise[order[min(last, len(order) - 1)]]
    return _drop(scores, np.flatnonzero(surprise > furthest))


def _keep(scores: Array, ids: Sequence[int]) -> Array:
    kept = np.full_like(scores, -np.inf)
    kept[ids] = scores[ids]
    return kept


def _drop(scores: Array, ids: NDArray[np.int64]) -> Array:
    kept = scores.copy()
    kept[ids] = -np.inf
    return kept


def _likeliest(logits: Array, count: int) -> tuple[tuple[int, float], ...]:
    """The `count` likeliest tokens and all that tie with the last of them, likeliest first."""
    if count == 0:
        return ()
    logprobs = log_softmax(logits)
    lowest = np.sort(logprobs)[-count:][0]
    ids = np.flatnonzero(logprobs >= lowest)
    order = ids[np.argsort(-logprobs[ids], kind="stable")]
    return tuple((int(token_id), float(logprobs[token_id])) for token_id in order)
