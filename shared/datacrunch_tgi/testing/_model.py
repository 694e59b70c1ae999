"""Answers of a Llama read from a folder.

Puts together what the folder holds: the network, its tokenizer and the choice of tokens. All
computing happens in one thread, a token at a time, so that sequences take turns and the event loop
stays free.
"""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tokenizers

from datacrunch_tgi.testing._detokenizer import Piece
from datacrunch_tgi.testing._generation import Choice
from datacrunch_tgi.testing._llama import Array, Cache, Llama
from datacrunch_tgi.testing._sampling import Sampler, log_softmax
from datacrunch_tgi.testing._validation import ValidRequest


class ModelTokenizer:
    """The tokenizer of a folder: `tokenizer.json`, and which token ends an answer."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(i for i, token in added.items() if token.special)
        self.end_ids = self._read_end_ids(folder)

    def encode(self, text: str) -> list[int]:
        """Return the ids, the beginning of every text in front."""
        return self._tokenizer.encode(text).ids

    def split(self, text: str) -> list[Piece]:
        """Return the tokens with their places in the text's bytes."""
        encoding = self._tokenizer.encode(text)
        bytes_before = [0]
        for character in text:
            bytes_before.append(bytes_before[-1] + len(character.encode()))
        return [
            Piece(token_id, text[start:stop], bytes_before[start], bytes_before[stop])
            for token_id, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of the ids."""
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def _read_end_ids(self, folder: Path) -> frozenset[int]:
        settings: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
        token = settings["eos_token"]
        # Either the token's text or an object that describes it.
        text: str = token if isinstance(token, str) else token["content"]
        token_id = self._tokenizer.token_to_id(text)
        if token_id is None:
            raise ValueError(f"{folder}: the tokenizer has no token {text!r}, its own eos_token")
        return frozenset({token_id})


class ModelFolder:
    """A Llama and its tokenizer."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ValueError: It holds something else than a Llama.
            OSError: A file is missing.
        """
        # Before the tokenizer, which in another model's folder may be another kind of file.
        self.network = Llama.load(folder)
        self.tokenizer = ModelTokenizer(folder)


class ModelSequence:
    """One answer of the network."""

    def __init__(self, network: Llama, request: ValidRequest, executor: ThreadPoolExecutor) -> None:
        self.prefill_logprobs: list[float] = []
        self._network = network
        self._executor = executor
        self._sampler = Sampler(request.sampling, request.top_n_tokens)
        self._ids = list(request.prompt_ids)
        self._cache = Cache(network.config)
        self._logits = self._read_prompt(every=request.prefill)

    async def choose(self) -> Choice:
        """Choose the next token, when it is this sequence's turn."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._choose)

    def _choose(self) -> Choice:
        if len(self._ids) > self._cache.length:
            self._logits = self._network.forward(self._ids[-1:], self._cache)[-1]
        choice = self._sampler.choose(self._ids, self._logits)
        self._ids.append(choice.id)
        return choice

    def _read_prompt(self, *, every: bool) -> Array:
        logits: Array = self._network.forward(self._ids, self._cache, every=every)
        if every:
            logprobs = log_softmax(logits[:-1])
            self.prefill_logprobs = [
                float(after[token_id])
                for after, token_id in zip(logprobs, self._ids[1:], strict=True)
            ]
        last: Array = logits[-1]
        return last


class ModelEngine:
    """A Llama that answers."""

    takes_grammar = False
    """As a server that runs with `--disable-grammar-support`: none is obeyed here."""

    def __init__(self, model: ModelFolder) -> None:
        self.tokenizer = model.tokenizer
        self._network = model.network
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emulated-llama")

    async def start(self, request: ValidRequest) -> ModelSequence:
        """Read the prompt, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, ModelSequence, self._network, request, self._executor
        )

    def close(self) -> None:
        """Wait for what is being computed and end the thread."""
        self._executor.shutdown(cancel_futures=True)
