"""The endpoint of the recipes: yours, or a tiny Llama in this process."""

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from datacrunch_tgi.testing import EmulatedEndpoint

TINY_LLAMA = Path(__file__).parent / "tiny-llama"


@contextmanager
def endpoint(tokens_per_second: float = 60, *, chat: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the settings of a client or model, and print which endpoint they are for.

    They are empty if DATACRUNCH_API_KEY or DATACRUNCH_BASE_URL is set, because clients and models read
    these themselves. Otherwise they are for an endpoint that is started here.

    Args:
        tokens_per_second: Speed of the tiny Llama.
        chat: Whether to include the tiny Llama's chat template.
    """
    if "DATACRUNCH_API_KEY" in os.environ or "DATACRUNCH_BASE_URL" in os.environ:
        print("Your endpoint answers, as DATACRUNCH_* in the environment say.")
        yield {}
        return
    with EmulatedEndpoint(model=TINY_LLAMA, tokens_per_second=tokens_per_second) as emulated:
        print("No DATACRUNCH_API_KEY is set: a tiny Llama in this process answers.")
        template = {"chat_template": TINY_LLAMA} if chat else {}
        yield {"base_url": emulated.url, "model": "tiny-llama", **template}


def connect(tokens_per_second: float = 60, *, chat: bool = False) -> dict[str, Any]:
    """Return the settings for a notebook; the endpoint runs as long as the process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(endpoint(tokens_per_second, chat=chat))
