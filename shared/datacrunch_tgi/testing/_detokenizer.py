"""Token ids to text, one token at a time, as TGI's model server does it.

A token's text depends on its neighbours (a leading space, a character in several tokens), so the
server decodes a few tokens twice, with and without the new one, and sends the difference. The
results in odd cases are part of the protocol, and kept: an unfinished character is "" until it is
complete, and is lost if it never is.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

_LOOK_BACK = 5
"""Tokens of the prompt that are decoded with the first new token (TGI 1.1.1 and 3.3.7)."""

_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class TokenSpan:
    """A token and its offsets in the UTF-8 text, in bytes; both are 0 for a token that was added."""

    id: int
    text: str
    start: int
    stop: int


class Tokenizer(Protocol):
    """Splits text into tokens and joins them again."""

    @property
    def special_ids(self) -> AbstractSet[int]:
        """Control tokens, which are not text."""
        ...

    @property
    def end_ids(self) -> AbstractSet[int]:
        """Tokens that end an answer."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids, with the special tokens that are added to every text."""
        ...

    def split(self, text: str) -> list[TokenSpan]:
        """Return the same tokens as `encode`, with their places in the text."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of the ids."""
        ...


class Detokenizer:
    """One sequence's text so far."""

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._prompt_length = len(prompt_ids)
        self._ids = list(prompt_ids)
        # Below zero for a prompt of fewer than five tokens, and used as an index like that: this is
        # how the servers come to lose the first token's leading space there.
        self._start = len(prompt_ids) - _LOOK_BACK
        self._read = len(prompt_ids)

    def add(self, token_id: int) -> str:
        """Add the next token and return the text that it completes; "" if none."""
        self._ids.append(token_id)
        text = self._decode(self._start, self._read, skip_special_tokens=False)
        if text:
            self._start, self._read = self._read, len(self._ids)
        return text

    def generated_text(self) -> str:
        """Return the text of all new tokens; "" if it ends inside a character."""
        end_of_prompt = self._prompt_length
        return self._decode(end_of_prompt - 1, end_of_prompt, skip_special_tokens=True)

    def _decode(self, start: int, read: int, *, skip_special_tokens: bool) -> str:
        def decode(ids: Sequence[int]) -> str:
            return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

        before, text = decode(self._ids[start:read]), decode(self._ids[start:])
        if len(text) <= len(before) or text.endswith(_REPLACEMENT):
            return ""
        return text[len(before) :]
