"""Name of the model that a server reports (`/info`)."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._protocol._schema import Info
from datacrunch_tgi._settings import SettingsArguments

ASK_ONCE: SettingsArguments = {"max_retries": 0, "connect_timeout": 3.0, "deadline": 3.0}
"""Settings of the request: no call should wait long for a name that it may not need."""


class ServedModels:
    """Cache of model names by base URL; each server is asked once, and a failure is cached as None.

    Copies of a model share it; a pickle of it is empty.
    """

    def __init__(self) -> None:
        self._names: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._locks = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()

    def find(self, base_url: str, ask: Callable[[], Info]) -> str | None:
        """Return the name of the model at a base URL; None if the server does not report it."""
        with self._lock:
            if base_url not in self._names:
                self._names[base_url] = None
                with suppress(DataCrunchError):
                    self._names[base_url] = ask().model_id
        return self._names[base_url]

    async def afind(self, base_url: str, ask: Callable[[], Awaitable[Info]]) -> str | None:
        """Return the name of the model at a base URL: see `find`."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if base_url not in self._names:
                name = None
                with suppress(DataCrunchError):
                    name = (await ask()).model_id
                self._names.setdefault(base_url, name)
        return self._names[base_url]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
