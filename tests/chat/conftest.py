"""A tokenizer of transformers, which renders chat templates to compare with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def make_tokenizer(tiny_llama: Path) -> Callable[..., Any]:
    """Make a tokenizer of the tiny Llama's tokens, with these options."""
    # Imported here, so that only who needs it waits for it: not every worker has such tests.
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    def make(**options: Any) -> Any:
        file = str(tiny_llama / "tokenizer.json")
        return PreTrainedTokenizerFast(tokenizer_file=file, **options)  # type: ignore[no-untyped-call]  # it has no types

    return make
