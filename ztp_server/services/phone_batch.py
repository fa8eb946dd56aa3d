"""Some phones changed in one transaction, each checked as if it were changed alone; what does not do is left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.job import JobItem
from ztp_server.domain.phone import Phone
from ztp_server.domain.site import Site
from ztp_server.errors import BadValue, Conflict, NotFound, Refused
from ztp_server.services.belief import require_for_phone
from ztp_server.services.checks import checked_phone
from ztp_server.services.records import phone_record, subject_of
from ztp_server.store import Session

# Checks of phones take a fraction of a millisecond each; after so many, phones that ask go first.
BREATHE_EVERY = 10


class Places:
    """The sites and base settings that phones of one transaction have, each read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sites: dict[str, Site] = {}
        self._bases: dict[str, BaseSettings] = {}

    async def site(self, site_id: str) -> Site:
        """Raises BadValue."""
        try:
            if site_id not in self._sites:
                self._sites[site_id] = await self._session.sites.get(site_id)
        except NotFound as error:
            raise BadValue("site", str(error)) from None
        return self._sites[site_id]

    async def base(self, base_id: str) -> BaseSettings:
        """Raises BadValue."""
        try:
            if base_id not in self._bases:
                self._bases[base_id] = await self._session.base_settings.get(base_id)
        except NotFound as error:
            raise BadValue("base_settings", str(error)) from None
        return self._bases[base_id]


# What a phone becomes. Raises Refused for one that must not be changed so.
Changed = Callable[[JobItem, Phone, Places], Awaitable[Phone]]


class PhoneBatch:
    """Phones of one transaction, changed for one actor."""

    def __init__(self, session: Session, catalog: Catalog, who: Actor, reason: str = "") -> None:
        self._session = session
        self._catalog = catalog
        self._who = who
        self._reason = reason
        self.places = Places(session)

    async def change(self, items: Sequence[JobItem], changed: Changed) -> list[JobItem]:
        """Change the phones of items and write the audit; returns the items as they are now, with what it takes to
        take back those that are done."""
        there = {phone.id: phone for phone in await self._session.phones.get_many([i.subject for i in items])}
        results: list[JobItem] = []
        pairs: list[tuple[Phone, Phone]] = []
        for number, item in enumerate(items, 1):
            before = there.get(item.subject)
            try:
                after = await self.one(item, before, changed)
            except Refused as error:
                results.append(replace(item, state="refused", detail=str(error)))
                continue
            if before is None or after == before:
                results.append(replace(item, state="unchanged"))
                continue
            pairs.append((before, after))
            results.append(replace(item, state="done", undo=_undo(before, after)))
            if number % BREATHE_EVERY == 0:
                await asyncio.sleep(0)
        await self._session.phones.replace_many([after for _, after in pairs])
        await self._session.audit.add_all(self._who, [self._entry(*pair) for pair in pairs])
        return results

    async def one(self, item: JobItem, before: Phone | None, changed: Changed) -> Phone:
        """What a phone would be after a change. Raises Refused."""
        if before is None:
            raise NotFound("was removed meanwhile")
        self._who.require("phones:edit", before.site)
        after = await changed(item, before, self.places)
        self._who.require("phones:edit", after.site)
        if after.site != before.site:
            sites = [await self.places.site(phone.site) for phone in (before, after)]
            require_for_phone(self._who, before, after, *sites)
        return await self.checked(after) if after != before else before

    async def checked(self, phone: Phone) -> Phone:
        """The phone in canonical form. Raises BadValue for one that cannot be as it is."""
        site = await self.places.site(phone.site)
        base = await self.places.base(phone.base_settings) if phone.base_settings else None
        return checked_phone(self._catalog, phone, site, base)

    def record(self, phone: Phone) -> dict[str, Any]:
        """A phone as the audit keeps it."""
        return phone_record(phone, self._catalog.settings, self._session.audit.digest)

    def _entry(self, before: Phone, after: Phone) -> AuditEntry:
        return AuditEntry("phone.changed", subject_of(after), self.record(before), self.record(after), self._reason)


def _undo(before: Phone, after: Phone) -> dict[str, Any]:
    """What bulk changes touch, as it was and as it was left, by which a later change of it is found out."""
    return {**_touched(before), "left": _touched(after)}


def _touched(phone: Phone) -> dict[str, Any]:
    return {"site": phone.site, "base_settings": phone.base_settings, "settings": dict(phone.settings)}


def set_back(undo: Mapping[int, Mapping[str, Any]]) -> Changed:
    """The change that takes back what `change` did, by the positions of the items."""

    async def changed(item: JobItem, phone: Phone, _places: Places) -> Phone:
        before = undo.get(item.position)
        if before is None:
            raise Conflict("was undone meanwhile")
        # As JSON, which is how it was kept: a list is a list again, whatever it was before.
        if json.dumps(_touched(phone), sort_keys=True) != json.dumps(before["left"], sort_keys=True):
            raise Conflict("changed since")
        own = {name: before[name] for name in before["left"]}
        return replace(phone, **own)

    return changed


def reason_of(job_id: str, undoes: str = "") -> str:
    """What the audit says of a change that a job made."""
    return f"job {job_id}, which undoes job {undoes}" if undoes else f"job {job_id}"
