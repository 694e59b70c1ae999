"""Scripted answers, with the same tokens, counts and logprobs every time.

Texts are split into words with the space before them and single characters, so that tokens can be counted
by eye; an answer can also be scripted token by token. Nothing is random: sampling parameters only change
what a server reports about them.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from datacrunch_tgi.testing._detokenizer import TokenSpan
from datacrunch_tgi.testing._errors import InvalidRequestError
from datacrunch_tgi.testing._generation import Choice
from datacrunch_tgi.testing._recording import ReceivedRequest
from datacrunch_tgi.testing._validation import ValidRequest


@dataclass(frozen=True)
class ScriptedToken:
    """A token of a scripted answer, to test control tokens and token boundaries.

    Example:
        ```python
        call = [
            ScriptedToken("[TOOL_CALLS]", special=True),
            ScriptedToken('[{"name": "add", "argu'),
            ScriptedToken('ments": {"a": 1}}]'),
        ]
        EmulatedEndpoint(answers=call)
        ```
    """

    text: str
    """Text; "" for the first part of a character that the next token completes."""
    special: bool = False
    """Whether it is a control token, which is not part of `generated_text`."""
    ends: bool = False
    """Whether it ends the answer with the finish reason `eos_token`; `</s>` does so by default."""


Answer = str | Sequence[str | ScriptedToken]
"""A text, split into tokens by words; or the tokens themselves, with such texts between them."""
Answers = (
    str
    | Sequence[Answer | ScriptedToken]
    | Mapping[str | re.Pattern[str], Answer]
    | Callable[[str], Answer]
)
"""One answer for all, a text or its tokens; answers in turn, of which the last repeats; answers by prompt or
by a pattern found in the prompt; or a function of the prompt."""
Respond = Callable[[ReceivedRequest], Answer]
"""A function from the whole request to its answer."""

_BEGIN, _END = 1, 2
_CONTROL = {
    _BEGIN: ScriptedToken("<s>", special=True),
    _END: ScriptedToken("</s>", special=True, ends=True),
}
_VOCABULARY = 32_000
_WORDS = re.compile(r" ?[^\W\u2e80-\U0003ffff]+| ?\S|\s")
"""Words; single characters in scripts that are written without spaces."""

_LOGPROB = -0.25
_PROMPT_LOGPROB = -2.5
_ALTERNATIVES = (" the", ",", " and", " of", " to", ".")


def check_answers(answers: Answers) -> None:
    """Refuse scripts without an answer.

    Raises:
        ValueError: The sequence or mapping is empty, a sequence has both answers and tokens, or an answer
            is neither a text nor a sequence of texts and tokens.
    """
    if isinstance(answers, str) or callable(answers):
        return
    if not isinstance(cast("object", answers), Sequence | Mapping):
        raise ValueError(_not_an_answer(answers))  # noqa: TRY004 -- as for other wrong scripts
    if not answers:
        raise ValueError("answers must contain at least one text")
    if len({isinstance(part, ScriptedToken) for part in answers}) > 1:
        raise ValueError("answers mixes tokens of one answer with other answers; nest the tokens")
    for answer in answers.values() if isinstance(answers, Mapping) else answers:
        if not isinstance(answer, ScriptedToken) and not _is_answer(answer):
            raise ValueError(_not_an_answer(answer))


def _is_answer(given: object) -> bool:
    if not isinstance(given, Sequence):
        return False
    parts = cast("Sequence[object]", given)
    return isinstance(given, str) or all(isinstance(part, str | ScriptedToken) for part in parts)


def _not_an_answer(given: object) -> str:
    return f"an answer must be a text, or a sequence of texts and ScriptedToken, not {given!r}"


class WordTokenizer:
    """Words as tokens; a word's id depends on its letters, not on when it was first used."""

    def __init__(self) -> None:
        self.special_ids: set[int] = set()
        self.end_ids: set[int] = set()
        self._ids: dict[ScriptedToken, int] = {}
        self._tokens: dict[int, ScriptedToken] = {}
        for token_id, token in _CONTROL.items():
            self._add(token, token_id)

    def encode(self, text: str) -> list[int]:
        """Return the ids, beginning with that of `<s>`."""
        return [_BEGIN, *self.answer_ids(text)]

    def answer_ids(self, answer: Answer) -> Iterator[int]:
        """Yield the ids of an answer."""
        for part in [answer] if isinstance(answer, str) else answer:
            if isinstance(part, ScriptedToken):
                yield self._id(part)
            else:
                yield from (self._id(ScriptedToken(word)) for word in _WORDS.findall(part))

    def split(self, text: str) -> list[TokenSpan]:
        """Return the tokens with their places in the text's bytes."""
        spans = [TokenSpan(_BEGIN, "", 0, 0)]
        for word in _WORDS.findall(text):
            start = spans[-1].stop
            token_id = self._id(ScriptedToken(word))
            spans.append(TokenSpan(token_id, word, start, start + len(word.encode())))
        return spans

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of the ids."""
        hidden = self.special_ids if skip_special_tokens else frozenset[int]()
        return "".join(self._tokens[token_id].text for token_id in ids if token_id not in hidden)

    def _id(self, token: ScriptedToken) -> int:
        if token not in self._ids:
            token_id = zlib.crc32(token.text.encode()) % _VOCABULARY
            while token_id in self._tokens:
                token_id += 1
            self._add(token, token_id)
        return self._ids[token]

    def _add(self, token: ScriptedToken, token_id: int) -> None:
        self._ids[token] = token_id
        self._tokens[token_id] = token
        if token.special:
            self.special_ids.add(token_id)
        if token.ends:
            self.end_ids.add(token_id)


class ScriptedSequence:
    """One scripted answer, token by token, and then `</s>`."""

    def __init__(self, request: ValidRequest, answer: Answer, tokenizer: WordTokenizer) -> None:
        self.prefill_logprobs: list[float] = []
        if request.prefill:
            self.prefill_logprobs = [_PROMPT_LOGPROB] * (len(request.prompt_ids) - 1)
        self._ids = tokenizer.answer_ids(answer)
        self._others = [*tokenizer.answer_ids("".join(_ALTERNATIVES))]
        self._top_n_tokens = request.top_n_tokens

    async def choose(self) -> Choice:
        """Return the next token."""
        # Let other answers advance too, where no pace is set.
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
    """Answers from a script; whether they match a request's grammar is up to its author."""

    def __init__(self, answers: Answers = "", respond: Respond | None = None) -> None:
        self.tokenizer = WordTokenizer()
        self._answers = answers
        self._respond = respond
        self._turn = 0

    async def start(self, request: ValidRequest, received: ReceivedRequest) -> ScriptedSequence:
        """Find the answer; functions run in a thread, so that they may be slow.

        Raises:
            InvalidRequestError: There is none, or a function returned something else.
        """
        if self._respond is not None:
            answer = await asyncio.to_thread(self._respond, received)
        elif callable(self._answers):
            answer = await asyncio.to_thread(self._answers, request.inputs)
        elif isinstance(self._answers, Mapping):
            answer = _find(self._answers, request.inputs)
        else:
            answer = self._next(self._answers)
        if not _is_answer(answer):
            raise InvalidRequestError(_not_an_answer(answer))
        return ScriptedSequence(request, answer, self.tokenizer)

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _next(self, answers: str | Sequence[Answer | ScriptedToken]) -> Answer:
        if isinstance(answers, str):
            return answers
        if tokens := [part for part in answers if isinstance(part, ScriptedToken)]:
            return tokens
        turns = [part for part in answers if not isinstance(part, ScriptedToken)]
        self._turn += 1
        return turns[min(self._turn, len(turns)) - 1]


def _find(answers: Mapping[str | re.Pattern[str], Answer], prompt: str) -> Answer:
    """Return the answer to the prompt itself, else to the first pattern that is found in it."""
    if prompt in answers:
        return answers[prompt]
    for pattern, answer in answers.items():
        if isinstance(pattern, re.Pattern) and pattern.search(prompt):
            return answer
    raise InvalidRequestError(f"the emulated endpoint has no answer to {prompt!r}")
