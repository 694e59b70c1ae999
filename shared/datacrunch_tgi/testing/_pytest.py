"""A pytest plugin: the fixture `emulated_endpoint`.

pytest loads it in every run where the package is installed, so it imports nothing before it is used.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from datacrunch_tgi.testing import EmulatedEndpoint


@pytest.fixture
def emulated_endpoint() -> "Iterator[Callable[..., EmulatedEndpoint]]":
    """Start emulated endpoints, with the arguments of `EmulatedEndpoint`, until the test ends.

    Example:
        ```python
        def test_greeting(emulated_endpoint):
            endpoint = emulated_endpoint(answers="Hello there")
        ```
    """
    from datacrunch_tgi.testing import EmulatedEndpoint  # noqa: PLC0415 - see the module's docstring

    with ExitStack() as stack:

        def start(**arguments: Any) -> EmulatedEndpoint:
            return stack.enter_context(EmulatedEndpoint(**arguments))

        yield start
