"""The context window: the limit of a prompt and its answer, and how LlamaIndex counts tokens."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from llama_index.core import (
    set_global_tokenizer,  # pyright: ignore[reportUnknownVariableType]  # LlamaIndex leaves it untyped
)
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from pydantic import Field, model_validator

from datacrunch_tgi import ArgumentError, Info, MalformedResponseError
from datacrunch_tgi._integration import MAX_NEW_TOKENS, Endpoint

_BEFORE = "\0"
"""Put before a text; it never merges with the text into one token."""


class Window(Endpoint):
    """An endpoint and its context window."""

    context_window: int = Field(DEFAULT_CONTEXT_WINDOW, gt=0)
    """Largest number of tokens of prompt and answer together: the server's `max_total_tokens`, or the sum
    of its `max_input_tokens` and `max_new_tokens` if that is less. Default: 3900, as in LlamaIndex."""

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        _check_room(self.context_window, self._num_output)
        return self

    @property
    def _num_output(self) -> int:
        return self.max_new_tokens or MAX_NEW_TOKENS

    def fetch_server_limits(self) -> Self:
        """Request the server's limits (`/info`), and return a copy of this model with those limits.

        Its `context_window` is `max_total_tokens`, or the sum of `max_input_tokens` and `max_tokens` if
        that is less. Unless `max_tokens` is set, it becomes the server's limit minus its longest
        prompt, and at least 512. If no chat template is set or known for this model's name, the copy uses
        the one for the model that the server reports.

        Raises:
            NotFoundError: The server, or a gateway in front of it, has no `/info`.
            MalformedResponseError: It does not report its limits.
            ArgumentError: `max_tokens` leaves no room for a prompt.
            DataCrunchError: As in `complete`.
        """
        return self._within(self.client.info())

    async def afetch_server_limits(self) -> Self:
        """Request the server's limits: see `fetch_server_limits`."""
        return self._within(await self.async_client.info())

    def set_global_tokenizer(self) -> None:
        """Make LlamaIndex count tokens with this model's tokenizer, in this process.

        Call it before you create indexes, engines and memories, which keep the tokenizer that is set at
        that time. LlamaIndex adds up the tokens of single words, so each word is counted as part of a
        text, without the tokens that a tokenizer adds to every text.

        Raises:
            ArgumentError: This model has no tokenizer.
        """
        if self.tokenizer is None:
            raise ArgumentError("tokenizer", "is required to count tokens as the model does")
        set_global_tokenizer(_within_text(self.tokenizer))

    def _within(self, info: Info) -> Self:
        longest, total = info.max_input_tokens, info.max_total_tokens
        if not longest or not total:
            reported = f"max_input_tokens={longest} and max_total_tokens={total}"
            error = MalformedResponseError(f"/info reports no usable limits: {reported}")
            error.hint = "Pass context_window and max_tokens."
            raise error
        answer = self.max_new_tokens or max(MAX_NEW_TOKENS, total - longest)
        window = min(total, longest + answer)
        _check_room(window, answer)
        return self.model_copy(update={"context_window": window, "max_new_tokens": answer})


def _check_room(context_window: int, num_output: int) -> None:
    if num_output >= context_window:
        raise ArgumentError(
            "max_new_tokens",
            f"must be less than context_window={context_window}, which includes the prompt",
            value=repr(num_output),
        )


def _within_text(encode: Callable[[str], Sequence[Any]]) -> Callable[[str], list[Any]]:
    before = len(encode(_BEFORE))

    def encode_within_text(text: str) -> list[Any]:
        return [*encode(_BEFORE + text)[before:]]

    return encode_within_text
