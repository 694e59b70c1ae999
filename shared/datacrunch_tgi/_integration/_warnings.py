"""Warnings that are logged once."""

import logging
from functools import lru_cache

from datacrunch_tgi._protocol._schema import Answer

LOGGER = logging.getLogger("datacrunch_tgi")


@lru_cache(maxsize=1000)
def warn_once(message: str) -> None:
    """Log a warning, once per process."""
    LOGGER.warning(message)


def warn_without_usage(answer: Answer, base_url: str) -> None:
    """Log once for each server that it does not report prompt tokens, and what to do."""
    if answer.usage.prompt_tokens is None:
        warn_once(
            f"{base_url} does not report prompt tokens, so usage is incomplete: pass `tokenizer` "
            "(a tokenizer.json, for example) to count them locally"
        )
