"""What is looked at when a phone is written: who may, what it is made of, who has its address, and what to warn of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.firmware import FirmwareWish
from ztp_server.domain.phone import Phone
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.checks import checked_phone
from ztp_server.services.connection_values import connection_values
from ztp_server.services.custom_parameters import custom_warnings
from ztp_server.services.firmware_warnings import DOWNGRADE, VERSION, find_warnings
from ztp_server.services.generated_lines import completed
from ztp_server.services.log_in import check_borrowed, refuse_elsewhere
from ztp_server.store import Session


async def seen_phone(session: Session, who: Actor, text: str) -> Phone:
    """The phone of an id or a hardware ID in any notation. Raises BadValue for what is neither, and NotFound, also for
    one at a site that the one who asks may not see: as if it was not there."""
    return (await seen_running(session, who, text))[0]


async def seen_running(session: Session, who: Actor, text: str) -> tuple[Phone, str]:
    """As `seen_phone`, with the firmware the phone last said it runs."""
    phone, running = await session.phones.get_running(text)
    if not who.may("phones:view", phone.site):
        called = text.strip().lower()
        raise NotFound(f"no phone {phone.id if called == phone.id else phone.hardware_id}")
    return phone, running


async def checked_in(
    session: Session, catalog: Catalog, phone: Phone, before: Phone | None
) -> tuple[Phone, dict[int, str]]:
    """The phone in canonical form, with what is made for it: passwords by the position of their line. `before` is None
    for a new one. Raises BadValue naming the field, and Conflict for a user who is logged in on another phone."""
    try:
        site = await session.sites.get(phone.site)
    except NotFound as error:
        raise BadValue("site", str(error)) from None
    extension = await session.phones.extension_of(phone.user) if phone.user else None
    if phone.user and extension is None:
        raise BadValue("user", f"no user {phone.user[:64]}")
    try:
        base = await session.base_settings.get(phone.base_settings) if phone.base_settings else None
    except NotFound as error:
        raise BadValue("base_settings", str(error)) from None
    phone, made = completed(phone, before, extension or "")
    phone = checked_phone(catalog, phone, site, base)
    await refuse_elsewhere(session, phone)
    await check_borrowed(session, catalog, phone)
    return phone, made


async def refuse_taken(session: Session, who: Actor, phone: Phone) -> None:
    """Raises Conflict when another phone has this hardware ID, naming it to those who may see it."""
    other = await session.phones.find(phone.hardware_id) if phone.hardware_id else None
    if other is None or other.id == phone.id:
        return
    named = f": {other.name!r} at site {other.site}" if who.may("phones:view", other.site) else ""
    raise Conflict(f"phone {phone.hardware_id} exists already{named}")


async def warnings_of(session: Session, catalog: Catalog, before: Phone | None, after: Phone) -> list[str]:
    """What is to be said of a change that is made all the same. `before` is None for a new phone."""
    changed = _changed_settings(before, after)
    if after.category == "managed":
        found = [*oui_warnings(catalog, before, after), *custom_warnings(catalog, after.model, changed)]
        return found + (await _firmware_warnings(session, after) if VERSION in changed else [])
    if after.category == "remote" or (before and (before.site, before.settings) == (after.site, after.settings)):
        return []
    return _connection_warnings(catalog, after, await session.sites.get(after.site))


def _changed_settings(before: Phone | None, after: Phone) -> Mapping[str, Any]:
    was = before.settings if before else {}
    return {name: value for name, value in after.settings.items() if name not in was or was[name] != value}


def oui_warnings(catalog: Catalog, before: Phone | None, after: Phone) -> list[str]:
    """An address block confirms a maker and never decides it: makers get new ones, and other makers' phones."""
    if before and (before.hardware_id, before.model) == (after.hardware_id, after.model):
        return []
    model = catalog.models[after.model]
    vendor, owner = catalog.vendor_of(model), catalog.vendor_of_oui(after.hardware_id)
    if owner == vendor.id or (owner is None and not vendor.ouis):
        return []
    if owner is None:
        known = f"no address block of {vendor.name} that is known here"
        return [f"hardware_id: {after.hardware_id} is in {known}; is it the MAC of a {model.name}?"]
    return [
        f"hardware_id: {after.hardware_id} is an address of {catalog.vendors[owner].name}, "
        f"and {model.name} is made by {vendor.name}"
    ]


def _connection_warnings(catalog: Catalog, phone: Phone, site: Site) -> list[str]:
    found = []
    if not connection_values(catalog, phone, site)["sip_server"].value:
        found.append(f"settings.sip_server: neither the phone nor site {site.id} names a SIP server")
    if phone.category == "webrtc" and not site.webrtc_url:
        found.append(f"site: {site.id} has no webrtc_url, so no browser knows where to connect")
    return found


async def _firmware_warnings(session: Session, phone: Phone) -> list[str]:
    _, running = await session.phones.get_running(phone.hardware_id)
    wanted, downgrade = phone.settings.get(VERSION), phone.settings.get(DOWNGRADE)
    wish = FirmwareWish(phone.hardware_id, phone.model, phone.site, phone.base_settings, wanted, downgrade, running)
    source = f"phone {phone.hardware_id}"
    return [warning.text for warning in await find_warnings(session, [wish]) if warning.source == source]
