"""Answers of a Llama read from a folder.

Combines the network, its tokenizer, grammars and sampling. All computation happens in one thread, one token
at a time, so that sequences alternate and the event loop stays free.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datacrunch_tgi.testing._generation import Choice
from datacrunch_tgi.testing._grammar import Grammars
from datacrunch_tgi.testing._llama import Array, Cache, Llama
from datacrunch_tgi.testing._recording import ReceivedRequest
from datacrunch_tgi.testing._sampling import Sampler, log_softmax
from datacrunch_tgi.testing._tokenizer import ModelTokenizer
from datacrunch_tgi.testing._validation import ValidRequest


class ModelFolder:
    """A Llama and its tokenizer."""

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ValueError: The model is not a Llama.
            OSError: A file is missing.
        """
        # First, since another model's tokenizer may be another kind of file.
        self.network = Llama.load(folder)
        self.tokenizer = ModelTokenizer(folder)
        self.grammars = Grammars(self.tokenizer)


class ModelSequence:
    """One answer of the network."""

    def __init__(
        self, model: ModelFolder, request: ValidRequest, executor: ThreadPoolExecutor
    ) -> None:
        """Compile the grammar and read the prompt.

        Raises:
            ServerError: The grammar cannot be compiled.
        """
        self.prefill_logprobs: list[float] = []
        self._network = model.network
        self._executor = executor
        self._guide = model.grammars.guide(request.pattern) if request.pattern is not None else None
        self._sampler = Sampler(request.sampling, request.top_n_tokens)
        self._ids = list(request.prompt_ids)
        self._cache = Cache(self._network.config)
        self._logits = self._read_prompt(every=request.prefill)

    async def choose(self) -> Choice:
        """Choose the next token, in the engine's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._choose)

    def _choose(self) -> Choice:
        if len(self._ids) > self._cache.length:
            self._logits = self._network.forward(self._ids[-1:], self._cache)[-1]
            if self._guide is not None:
                self._guide.advance(self._ids[-1])
        allowed = None if self._guide is None else self._guide.get_tokens()
        choice = self._sampler.choose(self._ids, self._logits, allowed)
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
    """Answers of a Llama."""

    def __init__(self, model: ModelFolder) -> None:
        self.tokenizer = model.tokenizer
        self._model = model
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emulated-llama")

    async def start(
        self,
        request: ValidRequest,
        received: ReceivedRequest,  # noqa: ARG002
    ) -> ModelSequence:
        """Compile the grammar and read the prompt, in the engine's thread.

        Raises:
            ServerError: The grammar cannot be compiled.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, ModelSequence, self._model, request, self._executor
        )

    def close(self) -> None:
        """Wait for the running computation and end the thread."""
        self._executor.shutdown(cancel_futures=True)
