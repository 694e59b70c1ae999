"""An emulated TGI endpoint for tests: `EmulatedEndpoint`.

Requires the extra `testing`. Does not import the client, so that tests do not compare the client with
itself.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from datacrunch_tgi.testing._endpoint import EmulatedEndpoint
    from datacrunch_tgi.testing._recording import ReceivedRequest
    from datacrunch_tgi.testing._script import ScriptedToken

_MODULES = {
    "EmulatedEndpoint": "_endpoint",
    "ReceivedRequest": "_recording",
    "ScriptedToken": "_script",
}

__all__ = ["EmulatedEndpoint", "ReceivedRequest", "ScriptedToken"]

# pytest imports this package in every run, with the extra or without it.
if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            module = _importlib.import_module(f"{__name__}.{_MODULES[name]}")
        except ModuleNotFoundError as missing:
            from datacrunch_tgi.testing._extra import missing_extra  # noqa: PLC0415

            raise missing_extra(missing) from missing
        return getattr(module, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
