"""Unknown phones: who knocked, and who of them is let in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_network

from ztp_server.domain.access import Actor
from ztp_server.domain.hardware_id import normalise_mac
from ztp_server.domain.phone import Line, LineChange, Phone, changed_lines
from ztp_server.domain.site import Network, parse_networks
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import BadValue, NotFound, Refused
from ztp_server.services.address import ServerAddress
from ztp_server.services.edits import checked_reason
from ztp_server.services.fleet import lies_in
from ztp_server.services.letting_in import LettingIn
from ztp_server.services.phone_checks import refuse_taken
from ztp_server.services.templates import Templates
from ztp_server.services.windows import checked_minutes
from ztp_server.services.written_phone import Written
from ztp_server.store import Session, Store

PERMISSION = "phones:approve"
MOST_AT_ONCE = 1000
WINDOW_MINUTES = 60
# Phones approved in one transaction: the lock is held for a fraction of a second.
_STEP = 50
STATES = ("waiting", "denied")
_BATCH = 1000

Place = tuple[datetime, str]


@dataclass(frozen=True)
class Approval:
    """What became of one MAC among many: the phone it is now, or why not."""

    mac: str
    written: Written | None = None
    problem: str = ""


class UnknownPhones:
    """They belong to no site yet, so whoever may approve phones at some site sees all of them."""

    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._address = address

    async def page(
        self,
        who: Actor,
        *,
        state: str = "waiting",
        vendor: str = "",
        model: str = "",
        network: str = "",
        after: Place | None = None,
        limit: int = 100,
    ) -> tuple[list[UnknownPhone], bool]:
        """Those that wait, or were denied: the one that came last first, behind the time of its first knock and the MAC
        of the last one seen; and whether there are more. `network` is a CIDR or an address. Raises Forbidden, and
        BadValue naming the filter."""
        who.sites(PERMISSION)
        if state not in STATES:
            raise BadValue("state", f"{state[:64]!r} is none of {', '.join(STATES)}")
        networks = _networks(network)
        now, found, size = datetime.now(UTC), list[UnknownPhone](), _BATCH if networks else limit + 1
        async with self._store.read() as session:
            while len(found) <= limit:
                part = await session.unknown_phones.page(
                    now, after, size, denied=state == "denied", vendor=vendor, model=model
                )
                found += [phone for phone in part if not networks or lies_in(phone.address, networks)]
                if len(part) < size:
                    break
                after = (part[-1].first_at, part[-1].mac)
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, mac: str) -> UnknownPhone:
        """One that waits or was denied. Raises Forbidden, BadValue for what is no MAC, and NotFound."""
        who.sites(PERMISSION)
        async with self._store.read() as session:
            return await session.unknown_phones.get(_mac(mac))

    async def approve(
        self,
        who: Actor,
        mac: str,
        site: str,
        base_settings: str,
        *,
        name: str = "",
        model: str = "",
        lines: Sequence[Line | LineChange] = (),
        open_window: int = WINDOW_MINUTES,
    ) -> Written:
        """Make it a phone, which is configured when it asks again. `model` is needed when the phone did not say it;
        `open_window` are the minutes in which it may come without a proof of its own, if it has none. Raises Forbidden,
        NotFound, Conflict when it is a phone already, and BadValue naming the field."""
        who.require(PERMISSION, site)
        who.require("phones:add", site)
        minutes = checked_minutes(open_window, field="open_window", least=0)
        phone = Phone(name, _mac(mac), model, site, base_settings, lines=changed_lines((), lines))
        async with self._store.write() as session:
            return await self._approved(session, who, phone, minutes)

    async def approve_many(
        self,
        who: Actor,
        macs: Sequence[str],
        site: str,
        base_settings: str,
        *,
        model: str = "",
        open_window: int = WINDOW_MINUTES,
    ) -> list[Approval]:
        """Approve each of at most MOST_AT_ONCE as `approve` does: whole, or not at all. Raises Forbidden, and BadValue
        for what is wrong for all of them; what is wrong with one is in its result. When StoreUnavailable is raised,
        those of the steps before are approved."""
        who.require(PERMISSION, site)
        who.require("phones:add", site)
        minutes = checked_minutes(open_window, field="open_window", least=0)
        if len(macs) > MOST_AT_ONCE:
            raise BadValue("macs", f"{len(macs)} phones, at most {MOST_AT_ONCE} at once")
        results = []
        for start in range(0, len(macs), _STEP):
            async with self._store.write() as session:
                for mac in macs[start : start + _STEP]:
                    try:
                        phone = Phone("", _mac(mac), model, site, base_settings)
                        written = await self._approved(session, who, phone, minutes)
                        results.append(Approval(written.phone.hardware_id, written))
                    except Refused as error:  # before anything of it was written
                        results.append(Approval(mac, problem=str(error)))
        return results

    async def _approved(self, session: Session, who: Actor, phone: Phone, minutes: int) -> Written:
        """A phone with what is not said of it: its name, and the model that it told us. What is refused is refused
        before anything is written."""
        # Of two who approve it at once, the second is told so, and not that there is no such phone.
        await refuse_taken(session, who, phone)
        unknown = await session.unknown_phones.get(phone.hardware_id)
        phone = replace(phone, name=phone.name or unknown.mac, model=phone.model or _model(unknown))
        letting_in = LettingIn(session, self._templates.catalog, self._address, who)
        return await letting_in.let_in(unknown, phone, minutes, _reason(unknown))

    async def deny(self, who: Actor, mac: str, reason: str = "") -> None:
        """Hear no more of it: it is neither listed as waiting nor approved by a rule. Raises Forbidden and NotFound."""
        who.sites(PERMISSION)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            unknown = await session.unknown_phones.get(_mac(mac))
            denied = replace(unknown, denied_by=who.name[:255], why=reason)
            await session.unknown_phones.keep([denied])
            await session.unknown_phones.make_room(datetime.now(UTC))
            before, after = _record(unknown), _record(denied)
            await session.audit.add(who, "unknown_phone.denied", unknown.mac, before=before, after=after, reason=reason)

    async def forget(self, who: Actor, mac: str, reason: str = "") -> None:
        """Take it off the list; it comes back when it asks again, also one that was denied. Raises Forbidden and
        NotFound."""
        who.sites(PERMISSION)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            # Also one whose row cannot be read.
            found = await session.unknown_phones.of([mac := _mac(mac)])
            if not await session.unknown_phones.forget(mac):
                raise NotFound(f"no unknown phone {mac}")
            before = _record(found[mac]) if mac in found else {}
            await session.audit.add(who, "unknown_phone.forgotten", mac, before=before, reason=reason)


def _record(unknown: UnknownPhone) -> dict[str, str]:
    return {"vendor": unknown.vendor, "model": unknown.model, "address": unknown.address, "state": unknown.state}


def _mac(text: str) -> str:
    mac = normalise_mac(text.strip())
    if mac is None:
        raise BadValue("mac", f"{text[:64]!r} is not a MAC address (12 hex digits)")
    return mac


def _model(unknown: UnknownPhone) -> str:
    if not unknown.model:
        raise BadValue("model", f"{unknown.mac} did not say which model it is; name it")
    return unknown.model


def _reason(unknown: UnknownPhone) -> str:
    return f"it asked from {unknown.address}" if unknown.address else "it asked"


def _networks(text: str) -> tuple[Network, ...]:
    if not text:
        return ()
    try:
        return tuple(map(ip_network, parse_networks([text.strip()])))
    except BadValue as error:
        raise BadValue("network", error.reason) from None
