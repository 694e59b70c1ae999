"""Where an answer ends: the exact place of the earliest stop string, in a whole text or a stream of it.

A server looks for a stop string only at the end of a token; here every character counts. Pure.
"""

from collections.abc import Sequence


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the earliest stop string, and whether there was one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


class StopFilter:
    """Lets the text of an answer through, up to the earliest stop string.

    What may still turn out to be the beginning of a stop string is held back, at most as many
    characters as the longest one has, so nothing that was let through is ever taken back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Take the next piece; return what can be shown now, "" once a stop string was found."""
        if self.found or not self._stops:
            return "" if self.found else text
        self._held += text
        shown, complete = cut(self._held, self._stops)
        begun = self._first_beginning()
        if complete and begun >= len(shown):
            self.found, self._held = True, ""
            return shown
        # Here a stop string is complete, but an earlier one may yet be: it would end the answer first.
        shown, self._held = self._held[:begun], self._held[begun:]
        return shown

    def flush(self) -> str:
        """Return what was held back, now that no more text comes."""
        shown, found = cut(self._held, self._stops)
        self.found = self.found or found
        self._held = ""
        return shown

    def _first_beginning(self) -> int:
        """The first place from which the held text could be the beginning of a stop string."""
        held = self._held
        first = len(held)
        for stop in self._stops:
            for place in range(max(0, len(held) - len(stop) + 1), first):
                if stop.startswith(held[place:]):
                    first = place
                    break
        return first
