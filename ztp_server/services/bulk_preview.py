"""What a change of many phones would do, before any of them is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import JobItem
from ztp_server.domain.phone import Phone
from ztp_server.domain.settings import SettingsTable, Value
from ztp_server.errors import NotFound, Refused
from ztp_server.services.effective import effective
from ztp_server.services.phone_batch import BREATHE_EVERY, Changed, PhoneBatch
from ztp_server.services.sample_diffs import MOST_SAMPLES, SampleDiffs, Shared, hidden_secret
from ztp_server.services.templates import Templates
from ztp_server.store import Session

# How many refusals a preview names; all of them are counted.
MOST_REFUSALS = 100
_READ = 500


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting that a phone would have with another value, or from another layer. None: not there. Secrets are `***`,
    and `*** (another one)` in place of another."""

    name: str
    before: Any
    before_source: str
    after: Any
    after_source: str


@dataclass(frozen=True, slots=True)
class PhonePreview:
    """One phone: `state` is `changed`, `unchanged` or `refused` (`reason` says why). `fields` are its site and base
    settings where they change, before and after; `files` unified diffs by name, of the first phones only."""

    id: str
    label: str
    state: str
    reason: str = ""
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    settings: Sequence[SettingChange] = ()
    files: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """Of `phones` meant, the first `checked` were looked at: so many would change, not change, be refused. `items` is a
    page of them; `next_cursor` is the position behind which the next one begins, empty at the end."""

    phones: int
    checked: int
    changed: int
    unchanged: int
    refused: int
    refusals: Sequence[PhonePreview]
    items: Sequence[PhonePreview]
    next_cursor: str


class BulkPreview:
    """Looks at phones as PhoneBatch would change them."""

    def __init__(self, session: Session, templates: Templates, diffs: SampleDiffs, who: Actor) -> None:
        self._session = session
        self._catalog = templates.catalog
        self._diffs = diffs
        self._batch = PhoneBatch(session, templates.catalog, who)

    async def look(
        self, items: Sequence[JobItem], changed: Changed, *, most: int | None, after: int = 0, limit: int = 100
    ) -> Preview:
        """Count what would become of the phones (of the first `most`, None for all), and show those behind position
        `after`; of a later page only those are looked at."""
        counts = {"changed": 0, "unchanged": 0, "refused": 0}
        refusals: list[PhonePreview] = []
        shown: list[PhonePreview] = []
        last = min(after + limit, len(items))
        checked = 0 if after else len(items) if most is None else min(most, len(items))
        for start in range(after, max(checked, last), _READ):
            batch = items[start : min(start + _READ, max(checked, last))]
            there = {phone.id: phone for phone in await self._session.phones.get_many([i.subject for i in batch])}
            for item in batch:
                if item.position % BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
                whole = item.position <= last
                found = await self._one(item, there.get(item.subject), changed, whole, len(shown) < MOST_SAMPLES)
                if item.position <= checked:
                    counts[found.state] += 1
                    if found.state == "refused" and len(refusals) < MOST_REFUSALS:
                        refusals.append(found)
                if whole:
                    shown.append(found)
        cursor = str(last) if last < len(items) else ""
        return Preview(len(items), checked, **counts, refusals=refusals, items=shown, next_cursor=cursor)

    async def _one(
        self, item: JobItem, before: Phone | None, changed: Changed, whole: bool, with_files: bool
    ) -> PhonePreview:
        try:
            after = await self._batch.one(item, before, changed)
            if before is None or after == before:
                return PhonePreview(item.subject, item.label, "unchanged")
            if not whole:
                return PhonePreview(item.subject, item.label, "changed")
            fields = {n: (getattr(before, n), getattr(after, n)) for n in ("site", "base_settings")}
            return PhonePreview(
                *(item.subject, item.label, "changed", ""),
                fields={name: pair for name, pair in fields.items() if pair[0] != pair[1]},
                settings=await self._settings(before, after),
                files=await self._files(before, after) if with_files else None,
            )
        except Refused as error:
            return PhonePreview(item.subject, item.label, "refused", str(error))

    async def _settings(self, before: Phone, after: Phone) -> list[SettingChange]:
        return setting_changes(await self._values(before), await self._values(after), self._catalog.settings)

    async def _values(self, phone: Phone) -> Mapping[str, Value]:
        if phone.category != "managed":
            return {name: Value(value, "phone", "phone") for name, value in phone.settings.items()}
        places = self._batch.places
        base = await places.base(phone.base_settings)
        return effective(self._catalog, phone, await places.site(phone.site), base).values

    async def _files(self, before: Phone, after: Phone) -> Mapping[str, str]:
        try:
            _, running = await self._session.phones.get_running(before.id)
            known = [await self._diffs.known(self._session, phone, running, Shared()) for phone in (before, after)]
        except NotFound:
            return {}  # of a category that is given none
        return self._diffs.file_diffs(*known)


def setting_changes(
    before: Mapping[str, Value], after: Mapping[str, Value], table: SettingsTable
) -> list[SettingChange]:
    """Settings whose value, or the kind of layer it comes from, is another one."""
    none = Value(None, "", "")
    pairs = ((name, before.get(name, none), after.get(name, none)) for name in sorted({**before, **after}))
    return [
        SettingChange(name, *_shown(table, name, old, old), *_shown(table, name, new, old))
        for name, old, new in pairs
        if (old.value, old.layer) != (new.value, new.layer)
    ]


def _shown(table: SettingsTable, name: str, value: Value, beside: Value) -> tuple[Any, str]:
    shown = hidden_secret(value.value, beside.value) if table.is_secret(name) else value.value
    return shown, value.source
