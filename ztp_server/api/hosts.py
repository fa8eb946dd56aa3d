"""By which names this server is asked. A page elsewhere, whose name suddenly means our address (DNS rebinding), would
speak to us with the rights of its visitor's network; the name it asks for gives it away."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from aiohttp import web

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)]|([a-z0-9._-]+))(?::[0-9]{1,5})?")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class HostNames:
    """The names and addresses in the Host header that are ours: those of this machine to itself, those given, and the
    address on which a request came in."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(_spelled(name) for name in (*LOOPBACK, *names))

    def fit(self, request: web.BaseRequest) -> bool:
        """Whether a request asks for us."""
        host = host_of(request)
        return bool(host) and (host in self._names or host == _own_address(request))


def host_of(request: web.BaseRequest) -> str:
    """Whom a request asks for, without the port; empty when it does not say so, once and clearly."""
    given = request.headers.getall("Host", [])
    found = _HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
    return _spelled(found[1] or found[2]) if found else ""


def is_loopback_name(host: str) -> bool:
    return host in LOOPBACK


def _own_address(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return _spelled(name[0]) if name else ""


def _spelled(host: str) -> str:
    """One spelling of each name and address: lower case, no dot at the end, no IPv4 in IPv6."""
    text = host.lower().strip("[]").rstrip(".").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
