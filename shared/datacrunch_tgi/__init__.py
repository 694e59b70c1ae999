"""Client for DataCrunch (Verda) endpoints and any other Text Generation Inference (TGI) server.

`Client` is for threads, `AsyncClient` for asyncio. Both have `generate`, `stream`, `info`, `health` and
`tokenize`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _public
    from ._public import *  # noqa: F403

    __all__: list[str] = []
    __all__ += _public.__all__

else:  # imported lazily: every run of pytest imports this package for its plug-in

    def __getattr__(name: str) -> object:
        public = import_module("datacrunch_tgi._public")
        if name != "__all__" and name not in public.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(public, name)
        return value

    def __dir__() -> list[str]:
        names = {*globals()} - {"import_module", "TYPE_CHECKING"}
        return sorted({*names, *import_module("datacrunch_tgi._public").__all__})
