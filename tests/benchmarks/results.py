"""What was measured, and how numbers are taken from it."""

from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

Result = dict[str, Any]

SYNC, ASYNC = "Sync", "Async"
LABELS = {
    "raw": "raw sockets",
    "httpx_decoded": "httpx's bytes + our decoding",
    "ours": "datacrunch_tgi, httpx",
    "ours_fast": "datacrunch_tgi, fast",
    "ours_earlier": "datacrunch_tgi, earlier",
    "plain_httpx": "httpx",
    "plain_aiohttp": "aiohttp",
    "tgi_package": "text_generation",
    "hugging_face": "huggingface_hub",
}
"""What the clients are called where people read."""
MODELS = {
    "langchain": {
        "langchain_alone": "LangChain alone",
        "langchain_ours": "DataCrunchLLM",
        "langchain_hugging_face": "HuggingFaceEndpoint",
    },
    "llamaindex": {
        "llamaindex_alone": "LlamaIndex alone",
        "llamaindex_ours": "DataCrunch",
        "llamaindex_hugging_face": "HuggingFaceInferenceAPI",
    },
}
"""What the models of each framework are called there."""


@dataclass(frozen=True)
class Key:
    """What a result is of; `number` is that of streams, callers or calls."""

    case: str
    client: str
    kind: str = ASYNC
    number: int = 0


class Results:
    """The results of all turns."""

    def __init__(self) -> None:
        self.started: dict[str, list[Result]] = defaultdict(list)
        self._turns: dict[Key, dict[int, Result | None]] = defaultdict(dict)

    def add(self, key: Key, turn: int, result: Result | None) -> None:
        """Keep the result of a turn; None where the client took too long, or broke."""
        self._turns[key][turn] = result

    def clients(self, *, floor: bool = False) -> list[str]:
        """Who was there; the floor of our own clients only where it is asked for."""
        known = [client for client in LABELS if client in self.started]
        return known if floor else [client for client in known if client != "httpx_decoded"]

    def asked(self, key: Key) -> bool:
        """Whether the client had a turn at all."""
        return bool(self._turns[key])

    def value(self, name: str, key: Key) -> float | None:
        """The median of the turns; None where there is none."""
        values = [result[name] for result in self._turns[key].values() if result]
        return median(values) if values else None

    def most(self, name: str, key: Key) -> float | None:
        """The largest of the turns: memory grows in the first and is used again in the others."""
        values = [result[name] for result in self._turns[key].values() if result]
        return max(values, default=None)

    def ratio(self, name: str, key: Key, base: str, less: str = "") -> float | None:
        """The median of each turn's ratio to another client's, without what a third one takes."""
        others = self._turns[replace(key, client=base)]
        thirds = self._turns[replace(key, client=less)]
        ratios = [
            (one[name] - (third[name] if third else 0)) / other[name]
            for turn, one in self._turns[key].items()
            if one and (other := others.get(turn)) and ((third := thirds.get(turn)) or not less)
        ]
        return median(ratios) if ratios else None

    def failures(self, client: str) -> int:
        """Streams that failed, of all turns."""
        turns = [turns for key, turns in self._turns.items() if key.client == client]
        return int(sum(r.get("failures", 0) for turn in turns for r in turn.values() if r))

    def startup(self, name: str, client: str) -> float:
        """What the client's import took: the median over its processes."""
        return median(float(started[name]) for started in self.started[client])
