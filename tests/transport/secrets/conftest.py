"""What programs print, and the secrets that must not be in it."""

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from datacrunch_tgi import AsyncClient, Client, Settings

KEY = "sk-0123456789/abcdefghij"
PASSWORD = "the-proxys-password"  # noqa: S105 -- made up, and so is the next
TOKEN = "another-header-value"  # noqa: S105
PROMPT = "My name is Olivier and I"
SECRETS = (KEY, PASSWORD, TOKEN, base64.b64encode(f"user:{PASSWORD}".encode()).decode())


class Shown:
    """Everything that a program may print of a thing or an error."""

    def own(self, thing: Any) -> str:
        """What a thing says of itself, printed, dumped or pickled."""
        inside = dict(getattr(thing, "__dict__", {}))
        texts = [str(thing), repr(thing), pretty_repr(thing), repr(inside), pretty_repr(inside)]
        texts.append(json.dumps(inside, default=str))
        if not isinstance(
            thing, Settings | Client | AsyncClient
        ):  # they work elsewhere, with the key
            texts.append(repr(pickle.dumps(thing)))
        return "\n".join(texts)

    def trace(self, error: BaseException) -> str:
        """What rich prints of an error, less the source: all locals, and what led to it."""
        options: Any = {"show_locals": True, "locals_max_string": 10_000}
        trace = Traceback.extract(type(error), error, error.__traceback__, **options)
        texts = [self.locals(error)]
        for stack in trace.stacks:
            texts += [stack.exc_type, stack.exc_value, *stack.notes]
            texts += [str(node) for frame in stack.frames for node in (frame.locals or {}).values()]
        chain = [error.__cause__, error.__context__]
        return "\n".join(texts + [self.trace(other) for other in chain if other])

    def locals(self, error: BaseException) -> str:
        """The locals of a traceback's frames, those of the tests' own apart."""
        return "\n".join(
            _repr(value)
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if "tests" not in frame.f_code.co_filename
            for value in frame.f_locals.values()
        )

    def secrets(self, text: str) -> list[str]:
        """The secrets in a text, and long parts of the key."""
        return [secret for secret in (*SECRETS, KEY[:12], KEY[-12:]) if secret in text]


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except AttributeError:  # an object whose making was interrupted
        return ""


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture, shown: Shown) -> Iterator[None]:
    """Whatever a test does, no log record of any library holds a secret or the prompt."""
    caplog.set_level(logging.DEBUG)
    yield
    records = caplog.get_records("call")
    text = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert not shown.secrets(text)
    assert PROMPT not in text
