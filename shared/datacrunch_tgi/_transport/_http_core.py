"""httpcore, imported here only. Not in `_http`: the fast engine does not need it, and importing it is slow."""

import httpcore

__all__ = ["httpcore"]
