"""Whose a connection or a request is, for counting: single addresses are too many where each host has 2^64 of them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

# What belongs to one who holds an address: an IPv4 address, or the subnet of a host (RFC 7084, section 3.2: a router
# gives each link a /64, in which a host chooses as many addresses as it likes).
_ONE_IPV6 = 64
# The smallest IPv4 block that is announced in the Internet, and so the smallest that has one owner.
_NETWORK_IPV4 = 24


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """One source: an IPv4 address as it is, an IPv6 address as its /64. Text that is no address is its own source."""
    return _named(address, 32)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The neighbourhood of an address: its /24 or /64. Text that is no address is its own."""
    return _named(address, _NETWORK_IPV4)


def _named(address: str, ipv4_bits: int) -> str:
    try:
        # A zone (`fe80::1%eth0`) says by which interface, not who.
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    found = mapped or found
    bits = ipv4_bits if found.version == 4 else _ONE_IPV6
    if bits == found.max_prefixlen:
        return str(found)
    return str(ipaddress.ip_network((found, bits), strict=False))
