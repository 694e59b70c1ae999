"""httpx, imported here only: its successor httpx2 replaces it in this line, and httpcore in `_http_core`."""

import httpx

__all__ = ["httpx"]
