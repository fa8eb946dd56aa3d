"""Where a request is sent, as the caller says: never where an answer points."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from ztp_server.errors import BadValue

TransportName = Literal["udp", "tcp", "tls"]

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class Destination:
    """A host and port, by default 5060, or 5061 with TLS. `host` is a name or an address (IPv6 without brackets).

    Names are looked up with the standard resolver, A and AAAA only: the NAPTR and SRV records of RFC 3263 are not asked
    for. With TLS the certificate must be for `tls_name`, or for `host` when that is empty; RFC 5922 wants the domain
    of the service there, which is not always the name of the machine. Raises BadValue.
    """

    host: str
    port: int = 0
    transport: TransportName = "udp"
    tls_name: str = ""

    def __post_init__(self) -> None:
        if self.transport not in ("udp", "tcp", "tls"):
            raise BadValue("transport", "must be udp, tcp or tls")
        if not 0 <= self.port <= 65_535:
            raise BadValue("port", "must be between 1 and 65535")
        if not is_address(self.host) and not _HOST.fullmatch(self.host):
            raise BadValue("host", f"{self.host[:64]!r} is no host name or address")
        if self.port == 0:
            object.__setattr__(self, "port", 5061 if self.transport == "tls" else 5060)

    def __str__(self) -> str:
        return f"{self.transport}:{bracketed(self.host)}:{self.port}"


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def bracketed(host: str) -> str:
    """A host as it stands in URIs and Via: without the zone of a link-local address, which means nothing elsewhere."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host
