"""A place where phones stand, and which proofs count there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ztp_server.domain.logged_out import LoggedOut
from ztp_server.domain.proof import PROOFS
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

# RFC 1918 and RFC 4193: what an office network is made of.
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")

MOST_ICE_SERVERS = 16

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
# No user and no fragment: nothing that a browser would refuse or keep to itself.
_WEBRTC_URL = re.compile(rf"wss://{_HOST}(?:/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?(?:\?[A-Za-z0-9._~!$&()*+,;=:%/?-]*)?")
_ICE_SERVER = re.compile(rf"(?P<scheme>stuns?|turns?):{_HOST}(?P<query>\?transport=(?:udp|tcp))?")

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Site:
    """A place. `networks` are CIDRs whose addresses prove a phone when `proofs` holds `network`;
    without `plain_secrets`, plain HTTP gives nothing but the bootstrap file. `civic_address` has the element names of
    RFC 5139; `webrtc_url` (wss://…) and `ice_servers` (stun:…, turn:…) are what a browser's softphone connects to.
    `logged_out` is for phones on which nobody is logged in."""

    id: str
    name: str
    networks: tuple[str, ...] = PRIVATE_NETWORKS
    proofs: tuple[str, ...] = PROOFS
    plain_secrets: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    civic_address: Mapping[str, str] = field(default_factory=dict)
    webrtc_url: str = ""
    ice_servers: tuple[str, ...] = ()
    logged_out: LoggedOut = field(default_factory=LoggedOut)
    revision: int = 0


def check_slug(field_name: str, text: str) -> str:
    """An id of a site, base settings or model: lower-case letters, digits, `-` and `_`."""
    if not _SLUG.fullmatch(text):
        raise BadValue(field_name, f"{text[:64]!r} is not an id (lower-case letters, digits, - and _, at most 64)")
    return text


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_among(address: str, networks: Iterable[Network]) -> bool:
    """Whether a text is an address in one of some networks. An IPv4 address in IPv6 clothes, which is how it comes to a
    listener that takes both, counts as IPv4."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in network for network in networks)


def parse_networks(texts: list[str]) -> tuple[str, ...]:
    """CIDRs in canonical form. Raises BadValue naming the one that is none."""
    networks = []
    for text in texts:
        try:
            networks.append(str(ipaddress.ip_network(text)))
        except ValueError as error:
            raise BadValue("networks", f"{text[:64]!r} is not a network such as 10.1.0.0/16 ({error})") from None
    return tuple(dict.fromkeys(networks))


def parse_webrtc_url(text: str) -> str:
    """Where a browser's softphone connects to, or empty. Raises BadValue."""
    if text and not _is_reachable(_WEBRTC_URL.fullmatch(check_text("webrtc_url", text))):
        raise BadValue("webrtc_url", "must be a URL such as wss://sip.example.net:8443/ws")
    return text


def parse_ice_servers(texts: list[str]) -> tuple[str, ...]:
    """URIs of STUN and TURN servers (RFC 7064, RFC 7065). Raises BadValue naming the one that is none."""
    if len(texts) > MOST_ICE_SERVERS:
        raise BadValue("ice_servers", f"{len(texts)} servers, at most {MOST_ICE_SERVERS}")
    for number, text in enumerate(texts, 1):
        found = _ICE_SERVER.fullmatch(check_text(f"ice_servers.{number}", text))
        if not _is_reachable(found) or (found and found["query"] and found["scheme"].startswith("stun")):
            reason = "must be a URI such as stun:stun.example.net or turn:turn.example.net:3478?transport=tcp"
            raise BadValue(f"ice_servers.{number}", reason)
    return tuple(dict.fromkeys(texts))


def _is_reachable(found: re.Match[str] | None) -> bool:
    """Whether a URL was read, with an address where one in brackets stands, and a port that exists."""
    if found is None or len(found["host"]) > 253:
        return False
    is_host = not found["host"].startswith("[") or is_address(found["host"].strip("[]"))
    return is_host and (found["port"] is None or 0 < int(found["port"]) < 65_536)
