"""What a phone is going to be told, and how: decided from what is known of it, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ztp_server.domain.notify import Notify, RestartWay
from ztp_server.domain.phone import Phone
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import Refused
from ztp_server.services.effective import effective
from ztp_server.services.given_phones import given_phones
from ztp_server.services.phone_reach import Road, roads_to
from ztp_server.services.shared_records import SharedRecords
from ztp_server.services.templates import Templates
from ztp_server.sip.destination import is_address
from ztp_server.store import Session

Action = Literal["resync", "restart"]
When = Literal["now", "idle"]


@dataclass(frozen=True, slots=True)
class SipTry:
    """A NOTIFY to be sent."""

    name: str
    event: str
    road: Road
    content_type: str = ""
    body: str = ""

    @property
    def says(self) -> str:
        return f"{self.name} {self.road.says}"


@dataclass(frozen=True, slots=True)
class RestTry:
    """A request to a phone's own HTTP interface. `has_certificate` when its model has one from the factory."""

    name: str
    address: str
    row: RestartWay
    vendor: str
    mac: str
    has_certificate: bool
    password: str = field(repr=False)

    @property
    def says(self) -> str:
        return f"{self.name} at {self.address}"


Try = SipTry | RestTry


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent to one phone: the `tries` in order, until one is taken. `way` names the first of them; `does` and
    `cost` tell people what comes of it."""

    phone_id: str
    hardware_id: str
    site: str
    action: Action
    when: When
    tries: tuple[Try, ...]
    does: str = ""
    cost: str = ""

    @property
    def way(self) -> str:
        return self.tries[0].says


@dataclass(frozen=True, slots=True)
class _Known:
    """A phone with what decides how it is told something."""

    session: Session
    shared: SharedRecords
    phone: Phone
    given: Phone
    values: Mapping[str, Any]
    address: str
    firmware: str

    async def roads(self) -> list[Road]:
        """As `roads_to`. A line that the phone gets no more, for who logged out, may still be registered."""
        own = [line for line in self.phone.lines if line not in self.given.lines]
        platforms = await self.shared.platforms(self.session)
        lines = [*self.given.lines, *own]
        return await roads_to(self.session, platforms, self.phone, lines, self.values, self.address)


async def make_plan(
    session: Session, shared: SharedRecords, templates: Templates, phone: Phone, action: Action, when: When
) -> Plan:
    """The plan for one phone. Raises Refused with what could be done about it."""
    called = f"phone {phone.hardware_id or phone.id}"
    if phone.proofs == ():
        raise Refused(f"{called} is blocked")
    if phone.category != "managed":
        raise Refused(f"{called} is not configured here ({phone.category}): what it understands is not known")
    catalog = templates.catalog
    model = catalog.models.get(phone.model)
    if model is None:
        raise Refused(f"{called}: its model {phone.model} is not in the catalogue")
    notify = catalog.family_of(model).notify
    known = await _known(session, shared, templates, phone)
    if action == "resync":
        tries, chosen = await _resync(known, notify, when, called), notify
        return Plan(phone.id, phone.hardware_id, phone.site, action, when, tries, chosen.does, _cost(notify, known))
    mac_known = catalog.has_factory_certificate(model)
    tries, first = await _restart(known, notify, when, called, catalog.vendor_of(model).id, mac_known)
    return Plan(phone.id, phone.hardware_id, phone.site, action, when, tries, first.does, first.cost)


async def _known(session: Session, shared: SharedRecords, templates: Templates, phone: Phone) -> _Known:
    site = await shared.site(session, phone.site)
    base = await shared.base_settings(session, phone.base_settings)
    values = effective(templates.catalog, phone, site, base).plain
    seen = await session.phone_status.get(phone.id)
    given = (await given_phones(session, [phone], {site.id: site}))[0]
    return _Known(session, shared, phone, given, values, seen.address if seen else "", seen.firmware if seen else "")


async def _resync(known: _Known, notify: Notify, when: When, called: str) -> tuple[Try, ...]:
    if when == "idle" and not notify.idle:
        raise Refused(f"{called} is not known to wait until it is idle: say now, or at a time")
    try:
        roads = await known.roads()
        if _cost(notify, known):
            roads = _to_it_alone(roads)
        return tuple(SipTry(notify.resync, notify.resync, road) for road in roads)
    except Refused as error:
        raise Refused(f"{called}: {error}") from None


def _to_it_alone(roads: list[Road]) -> list[Road]:
    """Those by which no other phone is restarted. Raises Refused when there is none."""
    alone = [road for road in roads if road.reaches < 2]
    if not alone:
        places = max(road.reaches for road in roads)
        raise Refused(
            f"its line is registered at {places} addresses, and all who are there would restart: "
            "log a user in on it, or have its platform allow requests straight to phones (direct)"
        )
    return alone


def _cost(notify: Notify, known: _Known) -> str:
    """What a re-sync costs a phone that it restarts."""
    ways = (way for way in notify.restart if way.way == "resync")
    return next((way.cost for way in ways if not way.closed_because(known.values, known.firmware)), "")


async def _restart(
    known: _Known, notify: Notify, when: When, called: str, vendor: str, has_certificate: bool
) -> tuple[tuple[Try, ...], RestartWay]:
    """What to try, and the row of the first. Raises Refused with why each way is closed."""
    tries: list[Try] = []
    rows: list[RestartWay] = []
    closed: list[str] = []
    roads: list[Road] | None = None
    for row in notify.restart:
        reason = row.closed_because(known.values, known.firmware)
        if not reason and when == "idle" and not row.idle:
            reason = "the phone is not known to wait until it is idle"
        try:
            if reason:
                raise Refused(reason)
            if row.way == "rest":
                await _check_rest(known, row)
                tries.append(_rest(known, row, vendor, has_certificate))
            else:
                roads = _to_it_alone(await known.roads()) if roads is None else roads
                event = notify.resync if row.way == "resync" else row.event
                tries += [SipTry(row.name, event, road, row.content_type, row.body) for road in roads]
            rows.append(row)
        except Refused as error:
            closed.append(f"{row.name}: {error}")
    if not tries:
        raise Refused(f"{called} cannot be restarted from here: {'; '.join(closed) or _no_way(notify)}")
    return tuple(tries), rows[0]


def _no_way(notify: Notify) -> str:
    return notify.no_restart or "no way is known for its family; restart it at the phone"


async def _check_rest(known: _Known, row: RestartWay) -> None:
    """Raises Refused when its interface cannot be asked: where it is must be known, and be it alone."""
    if not known.address or not is_address(known.address):
        raise Refused("where it is is not known: it was never seen")
    if is_unreadable(known.values.get(row.password)):
        raise Refused(f"{row.password} as it is stored does not open any more; set it anew")
    if await known.session.phone_status.is_shared(known.address):
        raise Refused(f"other phones were seen at {known.address} as well: it is behind a router or a proxy")


def _rest(known: _Known, row: RestartWay, vendor: str, has_certificate: bool) -> RestTry:
    password = str(known.values.get(row.password, "")) if row.password else ""
    return RestTry(row.name, known.address, row, vendor, known.phone.hardware_id, has_certificate, password)
