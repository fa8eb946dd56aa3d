"""Phones of every family at a site whose platform is known, and what is known of where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.conftest import ADMIN, HOSTILE_NAME, HOSTILE_PASSWORD
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import Contact
from ztp_server.domain.status import Progress
from ztp_server.services.messenger import Messenger
from ztp_server.services.notify_plan import Action, Plan, When
from ztp_server.services.opening import Services
from ztp_server.store.registrations import Told

MACS = {"poly": "0004f2aa{:04x}", "audiocodes": "00908faa{:04x}", "spectralink": "00907aaa{:04x}"}
NOW = datetime(2026, 11, 24, tzinfo=UTC)


async def make_platform(services: Services, **changes: Any) -> Platform:
    """The platform of sip.example.net, and the site that uses it."""
    await services.sites.add(ADMIN, "lab", "Lab", {"sip_server": "sip.example.net", "time_zone": "Etc/GMT-1"})
    platform = Platform("pbx", "PBX", ("sip.example.net",), address="udp:192.0.2.5:5060")
    async with services.store.write() as session:
        return await session.platforms.add(replace(platform, **changes))


async def plan_now(services: Services, messenger: Messenger, phone: Phone, action: Action, when: When = "now") -> Plan:
    """How a messenger would tell a phone as things are."""
    async with services.store.read() as session:
        return await messenger.plan(session, phone, action, when=when)


async def make_phone(
    services: Services,
    model: str,
    settings: Mapping[str, Any] | None = None,
    *,
    firmware: str = "",
    address: str = "",
    number: int = 1,
    lines: Sequence[Line] | None = None,
) -> Phone:
    """A managed phone of a model, last seen with a firmware at an address; never seen where it has neither."""
    vendor = services.templates.catalog.vendor_of(services.templates.catalog.models[model]).id
    base = f"{model}-{number}"
    await services.base_settings.add(ADMIN, base, "", model, dict(settings or {}))
    mac = MACS.get(vendor, "020000aa{:04x}").format(number)
    given = (Line("1001", "auth 1001", HOSTILE_PASSWORD, HOSTILE_NAME),) if lines is None else tuple(lines)
    phone = (await services.phones.add(ADMIN, Phone(HOSTILE_NAME, mac, model, "lab", base, lines=given))).phone
    if firmware or address:
        async with services.store.write() as session:
            await session.phone_status.keep([Progress(phone.id, NOW, NOW, NOW, address, firmware)])
    return phone


async def register(
    services: Services, user: str, *contacts: Contact, domain: str = "sip.example.net", untold: str = ""
) -> None:
    """What the platform told of one address of record."""
    async with services.store.write() as session:
        await session.registrations.keep([Told("pbx", user, domain, contacts, untold)], NOW)
