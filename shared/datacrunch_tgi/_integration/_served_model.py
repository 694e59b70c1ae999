"""What servers report of themselves (`/info`): the name of the model, and the version."""

import asyncio
import re
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


_FIRST_WITH_GRAMMARS = (1, 4)


class ServedModels:
    """Cache of `/info` by base URL; each server is asked once, and a failure is cached as None.

    Copies of a model share it; a pickle of it is empty.
    """

    def __init__(self) -> None:
        self._infos: dict[str, Info | None] = {}
        self._lock = threading.Lock()
        self._locks = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()

    def find(self, base_url: str, ask: Callable[[], Info]) -> str | None:
        """Return the name of the model at a base URL; None if the server does not report it."""
        with self._lock:
            if base_url not in self._infos:
                self._infos[base_url] = None
                with suppress(DataCrunchError):
                    self._infos[base_url] = ask()
        return self._name(base_url)

    async def afind(self, base_url: str, ask: Callable[[], Awaitable[Info]]) -> str | None:
        """Return the name of the model at a base URL: see `find`."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if base_url not in self._infos:
                info = None
                with suppress(DataCrunchError):
                    info = await ask()
                self._infos.setdefault(base_url, info)
        return self._name(base_url)

    def keep(self, base_url: str, info: Info) -> None:
        """Remember what a server has reported."""
        self._infos[base_url] = info

    def lacks_grammars(self, base_url: str) -> bool:
        """Whether a server is known to have no grammars, as TGI before 1.4. It is not asked."""
        info = self._infos.get(base_url)
        found = re.match(r"v?(\d{1,6})\.(\d{1,6})", info.version) if info else None
        return found is not None and (int(found[1]), int(found[2])) < _FIRST_WITH_GRAMMARS

    def _name(self, base_url: str) -> str | None:
        info = self._infos[base_url]
        return info.model_id if info else None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
