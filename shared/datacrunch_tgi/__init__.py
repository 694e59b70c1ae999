"""Client for DataCrunch (Verda) endpoints and any other Text Generation Inference (TGI) server.

`Client` is for threads, `AsyncClient` for asyncio. Both have `generate`, `stream`, `info`, `health` and
`tokenize`.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from . import _public
    from ._public import *  # noqa: F403

    __all__: list[str] = []
    __all__ += _public.__all__

else:  # imported lazily: every run of pytest imports this package for its plug-in

    def __getattr__(name: str) -> object:
        public = _importlib.import_module("datacrunch_tgi._public")
        if name != "__all__" and name not in public.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(public, name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_importlib.import_module("datacrunch_tgi._public").__all__})
