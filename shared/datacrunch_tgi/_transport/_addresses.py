"""Addresses of a host, in the order of attempts. Pure.

Happy Eyeballs (RFC 8305): the next address is tried after a quarter of a second, or when one has failed;
IPv6 and IPv4 alternate. All attempts share one time limit.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any

STAGGER = 0.25
"""Seconds after which the next address is tried in parallel."""


@dataclass(frozen=True, slots=True)
class Address:
    """Arguments for creating and connecting a socket."""

    family: int
    kind: int
    protocol: int
    sockaddr: Any

    def open(self) -> socket.socket:
        """Create a non-blocking socket."""
        made = socket.socket(self.family, self.kind, self.protocol)
        try:
            made.setblocking(False)  # noqa: FBT003 -- the socket's API
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        return made


@lru_cache
def literal(host: str, port: int) -> Sequence[Address]:
    """Return the address of a host that is an IP address; otherwise none."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):  # another family, or a name
            socket.inet_pton(family, host)
            return (Address(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, (host, port)),)
    return ()


def in_order(found: Sequence[tuple[Any, Any, int, str, Any]]) -> list[Address]:
    """Return the addresses from getaddrinfo with alternating families, starting with the first one's."""
    addresses = [Address(family, kind, proto, where) for family, kind, proto, _, where in found]
    first = [each for each in addresses if each.family == addresses[0].family]
    others = [each for each in addresses if each.family != addresses[0].family]
    return [each for each in chain(*zip_longest(first, others)) if each]
