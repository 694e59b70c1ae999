"""Answers that the user wrote beforehand, in the same tokens, counts and logprobs every time.

Texts are cut into words with the space before them and single signs, so that a token count can be
told by looking at the text. Chance has no part: parameters that shape probabilities change nothing
but what a server says about them.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from datacrunch_tgi.testing._detokenizer import TokenSpan
from datacrunch_tgi.testing._errors import InvalidRequestError
from datacrunch_tgi.testing._generation import Choice
from datacrunch_tgi.testing._validation import ValidRequest

Answers = str | Sequence[str] | Mapping[str | re.Pattern[str], str] | Callable[[str], str]
"""One text for all; texts in turn, the last one again and again; texts by prompt or by a pattern
found in the prompt; or a function of the prompt."""


def check_answers(answers: Answers) -> None:
    """Refuse answers of which there is none.

    Raises:
        ValueError: There is none.
    """
    if not isinstance(answers, str) and not callable(answers) and not answers:
        raise ValueError("answers must hold at least one text")


_BEGIN, _END = 1, 2
_SPECIAL = {_BEGIN: "<s>", _END: "</s>"}
_VOCABULARY = 32_000
_WORDS = re.compile(r" ?[^\W\u2e80-\U0003ffff]+| ?\S|\s")
"""Words, but every sign of scripts that are written without spaces for itself."""

_LOGPROB = -0.25
_PROMPT_LOGPROB = -2.5
_ALTERNATIVES = (" the", ",", " and", " of", " to", ".")


class WordTokenizer:
    """Words as tokens; a word's id is made of its letters, not of when it was seen first."""

    special_ids = frozenset(_SPECIAL)
    end_ids = frozenset({_END})

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words = dict(_SPECIAL)

    def encode(self, text: str) -> list[int]:
        """Return the ids, the beginning of every text in front."""
        return [_BEGIN, *self.words(text)]

    def words(self, text: str) -> Iterator[int]:
        """Yield the ids of the text itself."""
        return map(self._id, _WORDS.findall(text))

    def split(self, text: str) -> list[TokenSpan]:
        """Return the tokens with their places in the text's bytes."""
        spans = [TokenSpan(_BEGIN, "", 0, 0)]
        for word in _WORDS.findall(text):
            start = spans[-1].stop
            spans.append(TokenSpan(self._id(word), word, start, start + len(word.encode())))
        return spans

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of the ids."""
        hidden = self.special_ids if skip_special_tokens else frozenset[int]()
        return "".join(self._words[token_id] for token_id in ids if token_id not in hidden)

    def _id(self, word: str) -> int:
        token_id = self._ids.get(word)
        if token_id is None:
            token_id = zlib.crc32(word.encode()) % _VOCABULARY
            while token_id in self._words:
                token_id += 1
            self._ids[word] = token_id
            self._words[token_id] = word
        return token_id


class ScriptedSequence:
    """One scripted answer, token by token, and the end of it."""

    def __init__(self, request: ValidRequest, text: str, tokenizer: WordTokenizer) -> None:
        self.prefill_logprobs: list[float] = []
        if request.prefill:
            self.prefill_logprobs = [_PROMPT_LOGPROB] * (len(request.prompt_ids) - 1)
        self._ids = tokenizer.words(text)
        self._others = [*tokenizer.words("".join(_ALTERNATIVES))]
        self._top_n_tokens = request.top_n_tokens

    async def choose(self) -> Choice:
        """Give the next token."""
        # An answer that nobody paces is not to keep all others waiting.
        await asyncio.sleep(0)
        chosen = next(self._ids, _END)
        ranked = [chosen, *(other for other in self._others if other != chosen)]
        return Choice(
            chosen,
            _LOGPROB,
            tuple(
                (token_id, _LOGPROB - 1.5 * rank)
                for rank, token_id in enumerate(ranked[: self._top_n_tokens])
            ),
        )


class ScriptedEngine:
    """Gives the user's answers; whether one matches a request's grammar is up to who wrote it."""

    def __init__(self, answers: Answers) -> None:
        self.tokenizer = WordTokenizer()
        self._answers = answers
        self._asked = 0

    async def start(self, request: ValidRequest) -> ScriptedSequence:
        """Find the answer to the prompt; a function may take its time, it runs in a thread.

        Raises:
            InvalidRequestError: There is none.
        """
        if callable(self._answers):
            text = await asyncio.to_thread(self._answers, request.inputs)
        else:
            text = self._look_up(self._answers, request.inputs)
        return ScriptedSequence(request, text, self.tokenizer)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _look_up(
        self, answers: str | Sequence[str] | Mapping[str | re.Pattern[str], str], prompt: str
    ) -> str:
        if isinstance(answers, str):
            return answers
        if isinstance(answers, Mapping):
            return _find(answers, prompt)
        self._asked += 1
        return answers[min(self._asked, len(answers)) - 1]


def _find(answers: Mapping[str | re.Pattern[str], str], prompt: str) -> str:
    """The text of the prompt itself, else of the first pattern that is found in it."""
    if prompt in answers:
        return answers[prompt]
    for pattern, text in answers.items():
        if isinstance(pattern, re.Pattern) and pattern.search(prompt):
            return text
    raise InvalidRequestError(f"the emulated endpoint has no answer to {prompt!r}")
