"""Phones that were removed: kept whole for a while, brought back, and purged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import Phone
from ztp_server.domain.removed_phone import RemovedPhone
from ztp_server.domain.settings import SettingsTable
from ztp_server.errors import NotFound
from ztp_server.services.phone_checks import checked_in, refuse_taken
from ztp_server.services.records import phone_record, subject_of
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

# How long a phone can be brought back.
RETENTION = timedelta(days=30)
_SERVER = Actor.trusted("server")
_BATCH = 1000


class RemovedPhones:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def page(self, who: Actor, after: tuple[datetime, str] | None = None, limit: int = 100) -> list[RemovedPhone]:
        """Phones that can be brought back, the last one removed first, behind the time and id of the last one seen."""
        sites = who.sites("phones:view")
        async with self._store.read() as session:
            return await session.removed_phones.page(sites, after, limit)

    async def all(self, who: Actor) -> AsyncIterator[RemovedPhone]:
        """Every phone that can be brought back, in that order."""
        after = None
        while found := await self.page(who, after, _BATCH):
            for row in found:
                yield row
            after = (found[-1].at, found[-1].id)

    async def restore(self, who: Actor, text: str) -> Phone:
        """Bring a phone back with its id, lines, passwords and what it sent: that of an id, or the last one removed
        that had this hardware ID. Raises NotFound, Conflict when the hardware ID is another's by now, and BadValue
        naming what it needs and is gone."""
        async with self._store.write() as session:
            gone, phone = await session.removed_phones.get(_called(text))
            if not who.may("phones:view", gone.site):
                raise NotFound(f"no removed phone {_called(text)}")
            (restored,) = await restore_phones(session, self._templates, who, [phone])
        return restored

    async def purge(self, now: datetime) -> int:
        """Forget for good what was removed longer ago than RETENTION; returns how many phones that were."""
        count = 0
        while True:
            async with self._store.write() as session:
                gone = await session.removed_phones.removed_before(now - RETENTION, _BATCH)
                entries = [AuditEntry("phone.purged", row.hardware_id or row.id) for row in gone]
                await session.audit.add_all(_SERVER, entries)
                await session.removed_phones.purge([row.id for row in gone])
            count += len(gone)
            if len(gone) < _BATCH:
                return count


async def remove_phones(
    session: Session, table: SettingsTable, who: Actor, phones: Sequence[Phone], reason: str = ""
) -> None:
    """Take phones out of service, keeping them for RETENTION. Raises Forbidden, and Stale when one has changed since it
    was read."""
    for site in dict.fromkeys(phone.site for phone in phones):
        who.require("phones:delete", site)
    await session.phones.remove(phones)
    await session.removed_phones.add(phones, who.name, datetime.now(UTC))
    entries = [
        AuditEntry("phone.removed", subject_of(p), before=phone_record(p, table, session.audit.digest), reason=reason)
        for p in phones
    ]
    await session.audit.add_all(who, entries)


async def restore_phones(
    session: Session, templates: Templates, who: Actor, gone: Sequence[Phone], reason: str = ""
) -> list[Phone]:
    """Bring phones back, all or none, each checked as a new one would be. Raises Forbidden, Conflict and BadValue."""
    catalog = templates.catalog
    back: list[Phone] = []
    for phone in gone:
        who.require("phones:add", phone.site)
        await refuse_taken(session, who, phone)
        checked, _made = await checked_in(session, catalog, phone, phone)
        back.append(checked)
    await session.removed_phones.take_out([phone.id for phone in back])
    back = await session.phones.add(back)
    digest = session.audit.digest
    entries = [
        AuditEntry("phone.restored", subject_of(p), after=phone_record(p, catalog.settings, digest), reason=reason)
        for p in back
    ]
    await session.audit.add_all(who, entries)
    return back


def _called(text: str) -> str:
    """An id, or a hardware ID in its one spelling. Raises BadValue for what is neither."""
    wanted = text.strip().lower()
    return wanted if len(wanted) == 32 and wanted.isalnum() else HardwareId.parse(text).value


def restorable_until(removed: RemovedPhone) -> datetime:
    """When it can no longer be brought back."""
    return removed.at + RETENTION
