"""Which addresses of other servers may be talked to, whatever name led there."""

from __future__ import annotations

import ipaddress

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where clouds keep what a machine may know of itself, and what is nobody's server: closed also where private addresses
# are open (AWS, Azure, Google, Alibaba, Oracle; RFC 3927, RFC 4291).
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "169.254.0.0/16", "100.100.100.200/32", "192.0.0.192/32", "224.0.0.0/3"),
            *("::/128", "fe80::/10", "fd00:ec2::/32", "ff00::/8"),
        ),
    )
)
# An IPv4 address in its last 32 bits, which is where a translator would connect to (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def may_ask(address: str, *, allow_private: bool = False) -> bool:
    """Whether an address is one that anybody may reach; or, with `allow_private`, one of a private network."""
    ip = _meant(ipaddress.ip_address(address.partition("%")[0]))
    if any(ip in network for network in _NEVER if network.version == ip.version):
        return False
    # Addresses that IPv6 once had for a site (RFC 3879) are counted as global by `ipaddress`.
    is_of_a_site = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return (ip.is_global and not ip.is_reserved and not is_of_a_site) or allow_private


def _meant(ip: _IP) -> _IP:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    teredo = ip.teredo[1] if ip.teredo else None
    nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
    return ip.ipv4_mapped or ip.sixtofour or teredo or nat64 or ip
