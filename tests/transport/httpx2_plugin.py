"""A pytest plugin: run tests as if the package imported httpx's successor, httpx2, and httpcore2.

python -m pytest -p tests.transport.httpx2_plugin tests/transport
"""

import sys
from types import ModuleType

import httpcore2
import httpx2

PACKAGE = "datacrunch_tgi._transport"

for name, library in {"_http.httpx": httpx2, "_http_core.httpcore": httpcore2}.items():
    module, _, attribute = f"{PACKAGE}.{name}".rpartition(".")
    if module in sys.modules:
        raise ImportError(f"{module} is already imported")
    sys.modules[module] = ModuleType(module)
    setattr(sys.modules[module], attribute, library)
