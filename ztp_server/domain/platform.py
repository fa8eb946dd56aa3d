"""A SIP platform: the service that phones register with, how it is talked to, and who tells of its registrations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from ztp_server.domain.reachable import may_ask
from ztp_server.domain.settings_table import Host
from ztp_server.domain.site import is_address
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue

# Who tells which lines are registered: `reg_event` is SUBSCRIBE with Event: reg (RFC 3680), sent where requests go; the
# others have a door of their own: JSON-RPC over HTTP, the Asterisk Manager Interface, the Event Socket.
SourceKind = Literal["none", "reg_event", "kamailio_rpc", "asterisk_ami", "freeswitch_esl"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
# Ports by default: RFC 3261, section 19.1.2; manager.conf of Asterisk; event_socket.conf.xml of FreeSWITCH, which has
# no TLS of its own: something before it ends it.
_SIP_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061}
_DOOR_PORTS = {"asterisk_ami": {"tcp": 5038, "tls": 5039}, "freeswitch_esl": {"tcp": 8021, "tls": 8021}}

MOST_PLATFORMS = 100
MOST_DOMAINS = 100
LONGEST_ADDRESS = 300
LONGEST_LOGIN = 128
LONGEST_CA = 65_536

_PLACE = re.compile(r"(?P<transport>[a-z]+):(?P<host>\[[^\[\]]*\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]/-]+")
_host = TypeAdapter[str](Host)


@dataclass(frozen=True, slots=True)
class Platform:
    """`domains` are the SIP servers, as settings name them, whose lines register here. Requests to phones go to
    `address` (`udp:192.0.2.5:5060`, `tcp:…`, `tls:…`; empty: none are sent by way of it), with `user` and `password`
    where it asks for them; `ca` is the PEM of the CA that signs for it over TLS, empty: those of the operating system.
    `direct` allows requests straight to a phone where the platform does not reach it. `source` tells who is registered,
    at `source_address`, which only those that have a door of their own need (a URL, or `tcp:host:port`)."""

    id: str
    name: str
    domains: tuple[str, ...]
    address: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    direct: bool = False
    source: SourceKind = "none"
    source_address: str = ""
    source_user: str = ""
    source_password: str = field(default="", repr=False)
    revision: int = 0

    def serves(self, server: str) -> bool:
        """Whether lines with this SIP server register here."""
        return bool(server) and server.lower().rstrip(".") in self.domains


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is sent or connected to. IPv6 addresses stand without brackets."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_domains(texts: Iterable[str]) -> tuple[str, ...]:
    """SIP servers in the spelling of the setting, each once. Raises BadValue naming the one that is none."""
    found = tuple(dict.fromkeys(_parsed_host(f"domains.{number}", text) for number, text in enumerate(texts, 1)))
    if not found or len(found) > MOST_DOMAINS:
        raise BadValue("domains", f"must be 1 to {MOST_DOMAINS} SIP servers, as sip_server of phones has them")
    return found


def parse_address(text: str) -> str:
    """Where requests are sent, with its port; empty: nowhere. Raises BadValue."""
    return str(sip_place("address", text)) if text else ""


def sip_place(name: str, text: str) -> Place:
    """An `address` taken apart. Raises BadValue naming it `name`."""
    return _place(name, text, _SIP_PORTS, "udp:192.0.2.5:5060, tcp:… or tls:…")


def parse_source_address(kind: SourceKind, text: str) -> str:
    """Where a source has its door, with its port; empty for those that have none. Raises BadValue."""
    if kind in _DOOR_PORTS:
        ports = _DOOR_PORTS[kind]
        if not text:
            raise BadValue("source_address", f"is missing: {kind} needs tcp:HOST:{ports['tcp']} or tls:HOST:PORT")
        return str(source_place(kind, text))
    if kind == "kamailio_rpc":
        return _url(text)
    if text:
        raise BadValue("source_address", f"must be empty: the source {kind} has no door of its own")
    return ""


def source_place(kind: SourceKind, text: str) -> Place:
    """A `source_address` taken apart, of a kind with a door of its own that is no URL. Raises BadValue."""
    ports = _DOOR_PORTS[kind]
    return _place("source_address", text, ports, f"tcp:127.0.0.1:{ports['tcp']} or tls:…")


def check_platform(platform: Platform) -> Platform:
    """A platform of which each field is well by itself. Raises BadValue for what does not go together."""
    if platform.password and not platform.user:
        raise BadValue("user", "is missing: there is a password")
    if platform.source == "reg_event" and not platform.address:
        raise BadValue("address", "is missing: reg_event asks there")
    has_door = platform.source in _DOOR_PORTS or platform.source == "kamailio_rpc"
    if not has_door and (platform.source_user or platform.source_password):
        raise BadValue("source_user", f"must be empty: the source {platform.source} has no login of its own")
    if platform.source == "asterisk_ami" and not platform.source_user:
        raise BadValue("source_user", "is missing: asterisk_ami logs in")
    if platform.source in _DOOR_PORTS and not platform.source_password:
        raise BadValue("source_password", f"is missing: {platform.source} logs in")
    if platform.source == "kamailio_rpc" and platform.source_password and not platform.source_user:
        raise BadValue("source_user", "is missing: there is a password")
    return platform


def _place(name: str, text: str, ports: dict[str, int], example: str) -> Place:
    found = _PLACE.fullmatch(check_text(name, text, max_length=LONGEST_ADDRESS))
    if found is None or found["transport"] not in ports:
        raise BadValue(name, f"is no address such as {example}")
    host = _parsed_host(name, found["host"])
    port = int(found["port"]) if found["port"] else ports[found["transport"]]
    if not 0 < port < 65_536:
        raise BadValue(name, "must have a port from 1 to 65535")
    _refuse_reserved(name, host)
    return Place(found["transport"], host, port)


def _url(text: str) -> str:
    """A URL of JSON-RPC. Raises BadValue."""
    name = "source_address"
    if not text:
        raise BadValue(name, "is missing: kamailio_rpc needs a URL such as http://192.0.2.5:8080/RPC")
    try:
        parts = urlsplit(check_text(name, text, max_length=LONGEST_ADDRESS))
        fits = _URL.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or brackets around what is no address
        fits = None
    if not fits:
        raise BadValue(name, "is no URL such as http://192.0.2.5:8080/RPC")  # not quoted: a password may be in it
    _refuse_reserved(name, _parsed_host(name, parts.hostname or ""))
    return text


def _parsed_host(name: str, text: str) -> str:
    try:
        host = _host.validate_python(check_text(name, text))
    except ValidationError:
        host = ""
    if not host:
        raise BadValue(name, "is no host name or IP address")
    return host


def _refuse_reserved(name: str, host: str) -> None:
    """Private addresses are where platforms are; those at which clouds tell a machine its secrets are nobody's."""
    if is_address(host) and not may_ask(host, allow_private=True):
        raise BadValue(name, f"{host} is a reserved address, to which nothing is sent")
