"""The SIP connection of a phone, for whoever sets up a device or a browser's softphone that is not configured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.site import Site
from ztp_server.domain.text import is_unreadable, reason_unreadable
from ztp_server.errors import BadValue, Damaged, NotFound
from ztp_server.services.connection_values import connection_values
from ztp_server.services.edits import checked_reason
from ztp_server.services.effective import effective
from ztp_server.services.generated_lines import new_password
from ztp_server.services.given_phones import given_phones
from ztp_server.services.phone_checks import seen_phone
from ztp_server.services.phones import Phones
from ztp_server.services.records import subject_of
from ztp_server.services.reveals import note_reveal
from ztp_server.services.templates import Templates
from ztp_server.services.written_phone import Written
from ztp_server.store import Session, Store

# RFC 3261, 19.1.2. By DNS the records say the port.
_PORTS = {"tls": 5061, "tcp": 5060, "udp": 5060, "dns": 0}


@dataclass(frozen=True)
class Account:
    """What one line registers with. `address` is its SIP address; `password` is `***` unless revealed."""

    user: str
    auth_user: str
    display_name: str
    address: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Connection:
    """`port` 0 is found by DNS. A browser connects to `websocket_url`, with `ice_servers` to find a way for the voice;
    another device has none of the two."""

    category: str
    server: str
    server_secondary: str
    port: int
    transport: str
    outbound_proxy: str
    register_expires: int
    srtp: str
    accounts: Sequence[Account]
    websocket_url: str = ""
    ice_servers: Sequence[str] = ()


class Connections:
    def __init__(self, store: Store, templates: Templates, phones: Phones) -> None:
        self._store = store
        self._templates = templates
        self._phones = phones

    async def get(self, who: Actor, text: str, *, reveal: bool = False, reason: str = "") -> Connection:
        """The connection of a phone by its id or hardware ID. To be shown the passwords takes a permission and a
        reason, and is written down. Raises BadValue, Forbidden, and NotFound, also for a remote phone: it has none."""
        async with self._store.read() as session:
            phone = await seen_phone(session, who, text)
            values, site = await self._values(session, phone)
            (phone,) = await given_phones(session, [phone])
        if reveal:
            who.require("phones:reveal", phone.site)
            reason = checked_reason(reason, needed=True)
            async with self._store.write() as session:
                shown = {"connection": [line.user for line in phone.lines]}
                await note_reveal(session, who, "phone.revealed", subject_of(phone), after=shown, reason=reason)
        return _connection(phone, values, site, reveal)

    async def new_password(self, who: Actor, text: str, line: int = 1, *, revision: int | None = None) -> Written:
        """Make a new password for a line, counted from 1; the answer shows it once. The SIP server has to be told of
        it. Raises BadValue and NotFound, and Stale."""
        made = new_password()

        def changed(phone: Phone) -> Phone:
            if not 1 <= line <= len(phone.lines):
                raise BadValue("line", f"the phone has {len(phone.lines)} lines, numbered from 1")
            lines = list(phone.lines)
            lines[line - 1] = replace(lines[line - 1], password=made)
            return replace(phone, lines=tuple(lines))

        written = await self._phones.change(who, text, changed, revision=revision)
        return replace(written, passwords={**written.passwords, line: made})

    async def _values(self, session: Session, phone: Phone) -> tuple[Mapping[str, Any], Site]:
        site = await session.sites.get(phone.site)
        if phone.category == "remote":
            raise NotFound(f"phone {subject_of(phone)} is remote: calls go to its remote_address, nothing registers")
        if phone.category != "managed":
            found = connection_values(self._templates.catalog, phone, site)
            return {name: value.value for name, value in found.items()}, site
        if phone.model not in self._templates.catalog.models:
            raise NotFound(f"phone {phone.hardware_id} is a {phone.model}, of a brand that is not here any more")
        base = await session.base_settings.get(phone.base_settings)
        return effective(self._templates.catalog, phone, site, base).plain, site


def _connection(phone: Phone, values: Mapping[str, Any], site: Site, reveal: bool) -> Connection:
    is_webrtc = phone.category == "webrtc"
    transport = "wss" if is_webrtc else values["sip_transport"]
    return Connection(
        category=phone.category,
        server=values["sip_server"],
        server_secondary="" if is_webrtc else values["sip_server_secondary"],
        port=0 if is_webrtc else values["sip_port"] or _PORTS[transport],
        transport=transport,
        outbound_proxy="" if is_webrtc else values["outbound_proxy"],
        register_expires=values["register_expires"],
        # A browser's voice is always encrypted (RFC 8827, 6.5).
        srtp="required" if is_webrtc else values["srtp"],
        accounts=[_account(line, values["sip_server"], reveal) for line in phone.lines],
        websocket_url=site.webrtc_url if is_webrtc else "",
        ice_servers=list(site.ice_servers) if is_webrtc else [],
    )


def _account(line: Line, server: str, reveal: bool) -> Account:
    host = f"[{server}]" if ":" in server else server
    address = f"sip:{line.user}@{host}" if server and "@" not in line.user else ""
    password = line.password if reveal or not line.password else "***"
    if is_unreadable(password):
        raise Damaged(reason_unreadable(password))
    return Account(line.user, line.auth_user or line.user, line.display_name, address, password)


def connection_view(connection: Connection) -> dict[str, Any]:
    """As doors show it."""
    return asdict(connection)
