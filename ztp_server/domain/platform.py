"""A SIP platform: the service that phones register with, how it is talked to, and who tells of its registrations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

# Who tells which lines are registered: `reg_event` is SUBSCRIBE with Event: reg (RFC 3680), sent where requests go; the
# others have a door of their own: JSON-RPC over HTTP, the Asterisk Manager Interface, the Event Socket.
SourceKind = Literal["none", "reg_event", "kamailio_rpc", "asterisk_ami", "freeswitch_esl"]
SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)


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
