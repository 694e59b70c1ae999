"""All I/O: sessions, pools, limiters, connections, engines.

Client.generate, Client.stream          what to do: a Call, a generator of steps (_protocol)
  └─ Session       _session.py          a client's running calls; closing ends them
      └─ Driver    _driver.py           performs the steps, one after the other
          ├─ Limiter     _limiter.py    waits until a connection is free
          ├─ Pool        _pool.py       takes an idle connection, or creates one
          └─ Connection  _connections.py  performs one step; errors get their words in _failures.py
              └─ Wire    _fast.py, _httpx.py  an engine: writes the request, reads the response
                  └─ Link, stream  _link.py, _socket_stream.py, _asyncio_stream.py  the socket
"""

from datacrunch_tgi._transport._driver import AsyncDriver, SyncDriver
from datacrunch_tgi._transport._session import AsyncSession, SyncSession
from datacrunch_tgi._transport._target import Target
from datacrunch_tgi._transport._tls import TLSConfig

__all__ = ["AsyncDriver", "AsyncSession", "SyncDriver", "SyncSession", "TLSConfig", "Target"]
