"""How a phone is reached by SIP: by way of the platform that one of its lines registers with, or straight."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.domain.registrar import SipAccount
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import BadValue, Refused
from ztp_server.filters import uri_host, uri_user
from ztp_server.sip.destination import Destination, TransportName, is_address
from ztp_server.sip.digest import Credentials
from ztp_server.store import Session
from ztp_server.store.registrations import Told

# A SIP address (RFC 3261, section 25.1) with its parameters, as far as it says where something is.
_URI = re.compile(
    r"<?(?:(?P<scheme>sips?):)?(?:[^@<>]{0,256}@)?(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9.]{7,15})"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:;[^<>\s]{0,512})?)>?"
)
_TRANSPORT = re.compile(r";transport=(udp|tcp|tls)(?:;|$)", re.IGNORECASE)
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class Road:
    """A way to a phone: requests for `target` go to `destination`; None: by way of the platform. `credentials` are what
    the one there is shown when it asks who we are, and `sender` is whom requests come from; empty: this server. Where
    the line is registered at several addresses, it `reaches` all of them."""

    platform: Platform
    target: str
    destination: Destination | None
    says: str
    sender: str = ""
    reaches: int = 1
    credentials: tuple[Credentials, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A line at a platform, and where it is registered, if it is."""

    platform: Platform
    line: Line
    account: SipAccount
    registered: Told | None


async def roads_to(
    session: Session,
    platforms: Sequence[Platform],
    phone: Phone,
    lines: Sequence[Line],
    values: Mapping[str, Any],
    address: str,
) -> list[Road]:
    """Ways to a phone by SIP, the best first: of its lines the one that is registered at the fewest places counts, else
    the first. `values` are its resolved settings, `address` is where it was last seen. Raises Refused when there is
    none."""
    if not lines:
        raise Refused("it has no line")
    servers = [str(values[name]) for name in ("sip_server", "sip_server_secondary") if values.get(name)]
    if not servers:
        raise Refused("it has no SIP server: set sip_server")
    found = [(server, one) for server in servers for one in platforms if one.serves(server)]
    if not found:
        raise Refused(f"no platform is known for its SIP server {servers[0]}: add one that has it among its domains")
    best = await _best(session, found, lines, phone)
    roads = [*_by_platform(best), *(_straight(best, address) if best.platform.direct else ())]
    if not roads:
        raise Refused(f"platform {best.platform.id} has no address, and does not allow requests straight to phones")
    return roads


async def _best(
    session: Session, found: Sequence[tuple[str, Platform]], lines: Sequence[Line], phone: Phone
) -> _Candidate:
    known = [(platform, line, SipAccount.of(phone, line, server)) for server, platform in found for line in lines]
    users = {account.user for _, _, account in known}
    told = [one for one in await session.registrations.of_users(users) if one.contacts and not one.untold]
    candidates = [_Candidate(*one, _told_of(one[0], one[2], told)) for one in known]
    # A line that other phones have as well reaches all of them: one with fewer contacts goes first.
    registered = [(len(one.registered.contacts), one) for one in candidates if one.registered]
    return min(registered, key=lambda one: one[0])[1] if registered else candidates[0]


def _told_of(platform: Platform, account: SipAccount, told: Sequence[Told]) -> Told | None:
    for one in told:
        if (one.platform, one.user) == (platform.id, account.user) and one.domain in ("", account.domain):
            return one
    return None


def _by_platform(best: _Candidate) -> list[Road]:
    platform, account = best.platform, best.account
    if not platform.address:
        return []
    target = f"sip:{uri_user(account.user)}@{uri_host(account.domain)}"
    sender = f"sip:{uri_user(platform.user)}@{uri_host(account.domain)}" if platform.user else ""
    # What a phone left behind at the same address when it restarted is itself still.
    hosts = {_host(one.received) or _host(one.uri) for one in (best.registered.contacts if best.registered else ())}
    return [Road(platform, target, None, f"by way of platform {platform.id}", sender, max(len(hosts), 1))]


def _straight(best: _Candidate, address: str) -> list[Road]:
    """To where the line is registered, else to where the phone was last seen. The account of the line is for the first
    alone: whoever is registered with it knows it, and of the other it is not known who that is."""
    registered = best.registered
    # Of several domains a source that tells none may mean another, where a user of this name is somebody else.
    is_ours = registered and (registered.domain or len(best.platform.domains) == 1)
    for contact in registered.contacts if registered and is_ours else ():
        place = _place(contact.received) or _place(contact.uri)
        # Of several places at which a line is registered, another phone's is none of this one.
        if place and registered and (len(registered.contacts) == 1 or place.host == address):
            target = contact.uri.strip("<>")
            return [Road(best.platform, target, place, "straight to its contact", credentials=_account(best))]
    if not address or not is_address(address):
        return []
    target = f"sip:{uri_user(best.account.user)}@{uri_host(address)}"
    return [Road(best.platform, target, Destination(address), "straight to where it was last seen")]


def _account(best: _Candidate) -> tuple[Credentials, ...]:
    password = best.line.password
    if not password or is_unreadable(password):
        return ()
    return (Credentials(best.account.auth_user, password),)


def _host(uri: str) -> str:
    found = _URI.fullmatch(uri) if len(uri) <= _LONGEST else None
    return found["host"] if found else ""


def _place(uri: str) -> Destination | None:
    """Where a contact is, if that is an address: a name could mean another place whenever it is asked for."""
    found = _URI.fullmatch(uri) if len(uri) <= _LONGEST else None
    if found is None or not is_address(found["host"].strip("[]")):
        return None
    transport = _TRANSPORT.search(found["rest"])
    name = transport[1].lower() if transport else "tls" if found["scheme"] == "sips" else "udp"
    if name != "udp" and _is_this_machine(found["host"].strip("[]")):
        return None  # A phone chose this: it is not to make us connect to what listens here for us alone.
    try:
        return Destination(found["host"].strip("[]"), int(found["port"] or 0), cast("TransportName", name))
    except BadValue:
        return None


def _is_this_machine(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
