"""Grammars: what may come next in an answer that must match one.

A regular expression becomes, for the tokens of a tokenizer, an index: what was generated so far
leads to the tokens that are allowed now, at the end the one that ends an answer. outlines-core does
this, as in TGI 3.3.7. Knows nothing of probabilities.
"""

# pyright: basic
# outlines-core has no types. mypy is strict here all the same.

import re
from functools import cached_property, lru_cache
from typing import Protocol

from outlines_core import Guide as IndexGuide
from outlines_core import Index, Vocabulary

from datacrunch_tgi.testing._errors import GenerationFailedError
from datacrunch_tgi.testing._tokenizer import ModelTokenizer

_KEPT_INDEXES = 32
"""As in TGI 3.3.7."""

_NEVER_IN_UTF8 = [bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))]
_BEGINS_ANY_CHARACTER = b"\xf3"
"""TGI 3.3.7 allows the bytes above where a grammar allows any character. So is this one: it begins
private characters, which no grammar spells out."""
_CLASSES = {"d": "[0-9]", "D": "[^0-9]", "w": "[a-zA-Z0-9_]", "W": "[^a-zA-Z0-9_]"} | {
    "s": r"[ \t\n\r\f\v]",
    "S": r"[^ \t\n\r\f\v]",
}
"""What TGI 3.3.7 reads; outlines-core includes characters of all scripts."""


class Guide(Protocol):
    """One answer's state in an index."""

    def get_tokens(self) -> list[int]:
        """Return the tokens that are allowed now."""
        ...

    def advance(self, token_id: int) -> object:
        """Advance by a token that is allowed and does not end the answer."""
        ...


class Grammars:
    """The grammars of one tokenizer; the last indexes are kept for further answers."""

    def __init__(self, tokenizer: ModelTokenizer) -> None:
        self._tokenizer = tokenizer
        self._index = lru_cache(_KEPT_INDEXES)(self._compile)

    def guide(self, pattern: str) -> Guide:
        """Return the guide of one answer; may take seconds for a new regular expression.

        Raises:
            GenerationFailedError: It cannot be compiled.
        """
        guide: Guide = IndexGuide(self._index(pattern))
        return guide

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        ids = self._tokenizer.ids_by_bytes()
        for byte in _NEVER_IN_UTF8:
            if byte in ids:
                ids.setdefault(_BEGINS_ANY_CHARACTER, []).extend(ids.pop(byte))
        return Vocabulary(self._tokenizer.end_id, ids)

    def _compile(self, pattern: str) -> Index:
        try:
            return Index(_ascii_classes(pattern), self._vocabulary)
        except ValueError as refused:
            # The model server sends no message, as recorded.
            raise GenerationFailedError("") from refused


def _ascii_classes(pattern: str) -> str:
    # Two signs at a time, so that the second of two backslashes escapes nothing.
    return re.sub(r"\\(.)", lambda escape: _CLASSES.get(escape[1], escape[0]), pattern)
