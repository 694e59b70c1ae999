"""The environment's proxy for a URL. Pure.

NO_PROXY is read as curl and requests read it: names with their subdomains, addresses and networks, each
with an optional port, and `*` for everything.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def environment_proxy(url: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name of the variable and the proxy's URL; None for a direct connection.

    Args:
        url: URL of the request.
        variables: Environment variables; lower case takes precedence, empty ones are ignored.
    """
    names = {name.lower(): name for name in sorted(variables) if variables[name].strip()}
    parts = urlsplit(url)
    no_proxy = variables.get(names.get("no_proxy", ""), "")
    if is_excluded(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0), no_proxy):
        return None
    for kind in (f"{parts.scheme}_proxy", "all_proxy"):
        name = names.get(kind)
        if name and (proxy := variables[name].strip()):
            return name, proxy if "://" in proxy else f"http://{proxy}"
    return None


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Return whether NO_PROXY excludes a host."""
    host = host.rstrip(".").lower()
    entries = no_proxy.replace(",", " ").split()
    return any(_matches(host, _address(host), port, entry.lower()) for entry in entries)


def _matches(host: str, address: IPv4Address | IPv6Address | None, port: int, entry: str) -> bool:
    name, wanted_port = _split(entry)
    if wanted_port not in {None, port}:
        return False
    if name == "*":
        return True
    if address is None:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _split(entry: str) -> tuple[str, int | None]:
    """Split an entry into a name or network and a port."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        network, _, port = rest.rpartition(":")
        if not port.isdigit():
            network, port = rest, ""
        return name + network, int(port) if port else None
    name, _, port = entry.rpartition(":")
    if name and ":" not in name and port.isdigit():
        return name, int(port)
    return entry, None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
