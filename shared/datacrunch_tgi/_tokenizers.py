"""Any form of a model's tokenizer, as a function from text to tokens."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from datacrunch_tgi._errors import ArgumentError

Encode = Callable[[str], Sequence[Any]]


@runtime_checkable
class Encoder(Protocol):
    """A tokenizer from tokenizers, transformers or tiktoken."""

    def encode(self, text: str, /) -> Any:
        """Return the tokens, or an object that has them as `ids`."""
        ...


def as_function(tokenizer: "Encode | Encoder | str | os.PathLike[str] | None") -> Encode | None:
    """Return the function; a file is read on first use.

    Raises:
        ArgumentError: The path is not that of a tokenizer.json.
    """
    if isinstance(tokenizer, str | os.PathLike):  # first: str has a method `encode` too
        path: str = os.fspath(tokenizer)  # pyright: ignore[reportUnknownArgumentType]  # as declared
        if not path.endswith(".json"):
            raise ArgumentError(
                "tokenizer", "must be the path of a tokenizer.json", value=repr(path)
            )
        return _OfFile(path)
    return _OfObject(tokenizer) if isinstance(tokenizer, Encoder) else tokenizer


def count_tokens(encode: Encode, text: str) -> int:
    """Count the tokens of a text.

    Raises:
        ArgumentError: The tokenizer returns something other than tokens.
    """
    tokens = encode(text)
    if isinstance(tokens, Mapping):  # a transformers tokenizer was called; its encode is needed
        raise ArgumentError("tokenizer", "must return the tokens themselves: pass its encode")
    return len(tokens)


# Classes, not closures: they can be compared and pickled.


@dataclass(frozen=True)
class _OfObject:
    tokenizer: Encoder

    def __call__(self, text: str) -> Sequence[Any]:
        tokens = self.tokenizer.encode(text)
        ids: Sequence[Any] = getattr(tokens, "ids", tokens)
        return ids


@dataclass(frozen=True)
class _OfFile:
    path: str

    def __call__(self, text: str) -> Sequence[Any]:
        try:
            written = os.stat(self.path).st_mtime_ns  # noqa: PTH116 -- a str is enough
        except OSError as error:
            rule = f"must be a tokenizer.json: {error.strerror}"
            raise ArgumentError("tokenizer", rule, value=repr(self.path)) from None
        return _read(os.path.abspath(self.path), written)(text)  # noqa: PTH100 -- likewise


@lru_cache(maxsize=8)
def _read(path: str, _written: int) -> Encode:
    try:
        import tokenizers  # noqa: PLC0415 -- needed for files only
    except ModuleNotFoundError:
        raise ArgumentError(
            "tokenizer", "a file needs the package tokenizers: pip install tokenizers", value=path
        ) from None
    try:
        return _OfObject(tokenizers.Tokenizer.from_file(path))
    except Exception as error:
        if type(error) is not Exception:  # the package raises nothing narrower
            raise
        raise ArgumentError(
            "tokenizer", f"must be a tokenizer.json: {error}", value=repr(path)
        ) from None
