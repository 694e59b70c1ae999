"""Runs of characters that the messages of a server have in common with a secret or the prompt. Pure.

The prompt may have a million characters, and a server may choose its messages to be expensive. So the prompt
is read once, without an index, and what has to be looked up after that is limited:

    prompt ──► each ninth block of 8 characters: is it in a message?
                  │ with the characters around it
                  ▼
               its runs of 16 characters: are they in a message?

Every run of 16 characters of the prompt contains one of the blocks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datacrunch_tgi._protocol._spellings import Spelling

SHORTEST_WORD = 16
"""Shortest run of lower-case letters that counts; a shorter one is more often a word than a secret."""
_MANY = 8000
"""Most places of the text that are looked at closely. If there are more, a run counts when it has a block in
common with the text, so that up to a block too much is found at either end."""


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Runs of `size` characters that messages have in common with a folded text of `length` characters."""

    size: int = 1
    length: int = 0
    runs: frozenset[str] = frozenset()

    def find(self, message: Spelling) -> Iterator[tuple[int, int]]:
        """Yield the spans of the message that are excerpts."""
        if not self.runs:
            return
        begin = end = 0
        for place, run in enumerate(_substrings(message.text, self.size)):
            if run in self.runs:
                if place > end:
                    yield from self._span(message, begin, end)
                    begin = place
                end = place + self.size
        yield from self._span(message, begin, end)

    def _span(self, message: Spelling, begin: int, end: int) -> Iterator[tuple[int, int]]:
        run = message.unfolded(begin, end)
        is_short = end - begin < min(SHORTEST_WORD, self.length)
        if run and not (is_short and run.isalpha() and run.islower()):
            yield message.spans[begin][0], message.spans[end - 1][1]


def excerpts(text: str, messages: Iterable[Spelling], size: int) -> Excerpts:
    """Return the excerpts of a folded text, of at least `size` characters, in spelled messages."""
    spelled = {each.text for each in messages}
    block = size // 2
    runs = {run for each in spelled for run in _substrings(each, size)}
    blocks = {part for each in spelled for part in _substrings(each, block)}
    every = size - block + 1
    places = [
        at for at in range(0, len(text) - block + 1, every) if text[at : at + block] in blocks
    ]
    if len(places) <= _MANY:
        around = {text[max(0, at - every + 1) : at + size] for at in places}
        found = runs.intersection(run for part in around for run in _substrings(part, size))
    else:
        shared = {text[at : at + block] for at in places}
        found = {run for run in runs if not shared.isdisjoint(_substrings(run, block))}
    return Excerpts(size, len(text), frozenset(found))


def _substrings(text: str, size: int) -> Iterator[str]:
    return (text[place : place + size] for place in range(len(text) - size + 1))
