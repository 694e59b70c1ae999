"""Marks around a model's reasoning, by family. Pure."""

from datacrunch_tgi._protocol._schema import Token

REASONING = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<scratch_pad>": "</scratch_pad>",
}
"""What begins and ends a model's reasoning. It is shown, also where it is a special token: without it,
reasoning would run into the answer. A call or JSON in between is only quoted."""
REASONING_MARKS = frozenset((*REASONING, *REASONING.values()))
ONLY_SPECIAL = ("[THINK]", "[/THINK]")
"""Marks that are special tokens: as ordinary text they are text."""


def is_hidden(token: Token) -> bool:
    """Return whether a token is not part of an answer's text: a control token, apart from these marks."""
    return token.special and token.text not in REASONING_MARKS
