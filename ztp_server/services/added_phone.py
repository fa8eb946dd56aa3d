"""A new phone, within the transaction of whoever adds it."""

from __future__ import annotations

from dataclasses import replace

from ztp_server.domain.access import Actor
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.phone import Phone
from ztp_server.services.phone_checks import checked_in, refuse_taken, warnings_of
from ztp_server.services.records import phone_record, subject_of
from ztp_server.services.written_phone import Written
from ztp_server.store import Session


async def add_phone(session: Session, catalog: Catalog, who: Actor, phone: Phone, reason: str = "") -> Written:
    """Check a phone as a new one and add it, with its audit record. What is refused is refused before anything is
    written. Raises Forbidden, BadValue naming the field, and Conflict when the hardware ID is taken."""
    who.require("phones:add", phone.site)
    checked, made = await checked_in(session, catalog, replace(phone, id="", revision=0), None)
    await refuse_taken(session, who, checked)
    (added,) = await session.phones.add([checked])
    record = phone_record(added, catalog.settings, session.audit.digest)
    await session.audit.add(who, "phone.added", subject_of(added), after=record, reason=reason)
    return Written(added, await warnings_of(session, catalog, None, added), made)
