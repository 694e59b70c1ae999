"""An emulated TGI endpoint for tests: `EmulatedEndpoint`.

Needs the extra `testing`. Imports nothing of the client, so that no test compares the client with
itself.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datacrunch_tgi.testing._endpoint import EmulatedEndpoint
    from datacrunch_tgi.testing._recording import ReceivedRequest

__all__ = ["EmulatedEndpoint", "ReceivedRequest"]


if not TYPE_CHECKING:  # pytest imports this package in every run, with the extra or without it

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from datacrunch_tgi.testing import _endpoint  # noqa: PLC0415
        except ModuleNotFoundError as missing:
            from datacrunch_tgi.testing._extra import missing_extra  # noqa: PLC0415

            raise missing_extra(missing) from missing
        return getattr(_endpoint, name)
