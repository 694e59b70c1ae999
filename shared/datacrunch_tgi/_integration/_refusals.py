"""Errors that are found in an answer."""

from collections.abc import Generator
from contextlib import contextmanager

from datacrunch_tgi._errors import StructuredOutputError
from datacrunch_tgi._protocol._schema import Answer


@contextmanager
def checking(answer: Answer) -> Generator[None]:
    """Give errors of checking an answer the headers of its response, and so the request id."""
    try:
        yield
    except StructuredOutputError as error:
        error.headers = answer.headers
        raise
