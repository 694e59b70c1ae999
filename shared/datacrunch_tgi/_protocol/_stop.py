"""Exact stop strings, in a complete text or a stream. Pure.

A server looks for stop strings only at the ends of tokens; here every position counts.
"""

from collections.abc import Sequence


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop string, and whether there is one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


class StopFilter:
    """Passes the text of an answer through, up to the first stop string.

    Text that may be the start of a stop string is held back, at most as many characters as the longest one
    has, so that no text has to be taken back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Add the next piece; return the text that is certain, "" after a stop string."""
        if self.found or not self._stops:
            return "" if self.found else text
        self._held += text
        shown, complete = cut(self._held, self._stops)
        start = self._first_possible_start()
        if complete and start >= len(shown):
            self.found, self._held = True, ""
            return shown
        # A complete stop string is not final while an earlier one may still be completed.
        shown, self._held = self._held[:start], self._held[start:]
        return shown

    def end(self) -> str:
        """End the answer here; return what was held back."""
        shown = self.flush()
        self.found = True
        return shown

    def flush(self) -> str:
        """Return what was held back, at the end of the text."""
        shown, found = cut(self._held, self._stops)
        self.found = self.found or found
        self._held = ""
        return shown

    def _first_possible_start(self) -> int:
        """Return the first position at which a stop string may start."""
        held = self._held
        first = len(held)
        for stop in self._stops:
            for place in range(max(0, len(held) - len(stop) + 1), first):
                if stop.startswith(held[place:]):
                    first = place
                    break
        return first
