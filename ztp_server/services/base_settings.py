"""Base settings: add, clone, edit and return to an earlier revision (a new revision each time), remove."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.settings import SettingsTable
from ztp_server.domain.site import check_slug
from ztp_server.domain.support import check_clock, check_texts, check_values
from ztp_server.services.address import ServerAddress
from ztp_server.services.approval_rules import refuse_ruled
from ztp_server.services.checks import Changes, changed_settings, checked_name, known_model
from ztp_server.services.custom_parameters import custom_warnings
from ztp_server.services.edits import (
    Affected,
    Edited,
    FieldChange,
    changes_between,
    check_revision,
    checked_reason,
    firmware_warnings,
    refuse_in_use,
)
from ztp_server.services.group_checks import check_group
from ztp_server.services.records import base_settings_record
from ztp_server.services.reveals import note_reveal
from ztp_server.services.sample_diffs import SampleDiffs, Shared
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.time_zones import clock_rule

# From base settings as they are to how they shall be; raises when that cannot be.
Change = Callable[[Session, BaseSettings], Awaitable[BaseSettings]]


class BaseSettingsService:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._samples = SampleDiffs(templates, address)

    async def all(self, who: Actor) -> list[BaseSettings]:
        """All, by id."""
        return await self.page(who, "", None)

    async def page(self, who: Actor, after: str, limit: int | None) -> list[BaseSettings]:
        """At most so many of them, by id, that come after an id. Raises Forbidden."""
        who.sites("base_settings:view")
        async with self._store.read() as session:
            return await session.base_settings.page(after, limit)

    async def get(self, who: Actor, base_id: str, revision: int | None = None) -> BaseSettings:
        """The current revision, or the one asked for. Raises NotFound and Forbidden."""
        who.sites("base_settings:view")
        async with self._store.read() as session:
            return await session.base_settings.get(base_id, revision)

    async def add(
        self, who: Actor, base_id: str, name: str, model: str, changes: Changes, *, reason: str = ""
    ) -> Edited[BaseSettings]:
        """Base settings for the family of `model`. Raises BadValue, Conflict and Forbidden."""
        who.require("base_settings:add")
        check_slug("id", base_id)
        known_model(self._templates.catalog, model)
        bare = BaseSettings(base_id, checked_name(name or base_id), model, revision=1)
        return await self._add(who, self._changed(bare, changes, unset_any=True), checked_reason(reason), {})

    async def clone(
        self,
        who: Actor,
        base_id: str,
        new_id: str,
        name: str = "",
        changes: Changes | None = None,
        *,
        reason: str = "",
        merge: bool = False,
    ) -> Edited[BaseSettings]:
        """New base settings with what others are set to, and some changes; `merge` as in `edit`. Raises BadValue,
        NotFound, Conflict and Forbidden."""
        who.require("base_settings:add")
        source = await self.get(who, base_id)
        check_slug("id", new_id)
        copy = replace(source, id=new_id, name=checked_name(name or new_id), settings={}, revision=1)
        # Set anew, so that what a family no longer takes is refused here and not found out later.
        copy = self._changed(self._changed(copy, source.settings), changes or {}, unset_any=merge)
        return await self._add(who, copy, checked_reason(reason), {"cloned_from": f"{source.id}@{source.revision}"})

    async def _add(self, who: Actor, base: BaseSettings, reason: str, origin: dict[str, str]) -> Edited[BaseSettings]:
        async with self._store.write() as session:
            await session.base_settings.add(base, who.name, reason)
            record = origin | base_settings_record(base, self._table, session.audit.digest)
            await session.audit.add(who, "base_settings.added", base.id, after=record, reason=reason)
        async with self._store.read() as session:
            return Edited(base, warnings=await self._warnings(session, base, base.settings))

    async def edit(
        self,
        who: Actor,
        base_id: str,
        name: str | None,
        changes: Changes,
        *,
        reason: str = "",
        revision: int | None = None,
        dry_run: bool = False,
        merge: bool = False,
    ) -> Edited[BaseSettings]:
        """Make a new revision the current one, unless nothing changes; `dry_run` only says what it would do.
        `revision` is the one that was read; with `merge`, unsetting what is not set is no mistake. Raises NotFound,
        Stale, Forbidden, and BadValue naming a phone it would not suit."""

        async def change(_session: Session, before: BaseSettings) -> BaseSettings:
            named = before if name is None else replace(before, name=checked_name(name))
            return self._changed(named, changes, unset_any=merge)

        return await self._revise(who, base_id, change, "base_settings.changed", reason, revision, dry_run)

    async def revert(
        self,
        who: Actor,
        base_id: str,
        number: int,
        *,
        reason: str = "",
        revision: int | None = None,
        dry_run: bool = False,
    ) -> Edited[BaseSettings]:
        """A new revision with the settings of an earlier one, checked against the phones of today. Otherwise as
        `edit`."""

        async def change(session: Session, before: BaseSettings) -> BaseSettings:
            earlier = await session.base_settings.get(base_id, number)
            return self._changed(replace(before, settings={}), earlier.settings)

        action = "base_settings.reverted"
        return await self._revise(who, base_id, change, action, reason or f"back to {number}", revision, dry_run)

    async def _revise(
        self,
        who: Actor,
        base_id: str,
        change: Change,
        action: str,
        reason: str,
        revision: int | None,
        dry_run: bool,
    ) -> Edited[BaseSettings]:
        who.require("base_settings:edit")
        reason = checked_reason(reason)
        async with self._store.read() as session:
            seen = await session.last_change()
            before, after = await self._pair(session, base_id, change, revision)
            edited = await self._edited(who, session, before, after, dry_run)
        if dry_run or not edited.changes:
            return edited
        async with self._store.write() as session:
            if await session.last_change() != seen:
                # Somebody wrote meanwhile; what was checked, without holding up anybody, may be another thing now.
                before, after = await self._pair(session, base_id, change, revision)
                edited = replace(edited, changes=self._changes(before, after))
                if not edited.changes:
                    return replace(edited, record=before)
            number = await session.base_settings.revise(after, who.name, reason)
            records = [base_settings_record(base, self._table, session.audit.digest) for base in (before, after)]
            old, new = ({"revision": n} | record for n, record in zip((before.revision, number), records, strict=True))
            await session.audit.add(who, action, base_id, before=old, after=new, reason=reason)
        return replace(edited, record=replace(after, revision=number))

    async def _pair(
        self, session: Session, base_id: str, change: Change, revision: int | None
    ) -> tuple[BaseSettings, BaseSettings]:
        """The base settings before and after a change that suits every phone on them."""
        before = await session.base_settings.get(base_id)
        check_revision(f"base settings {base_id} were", revision, before.revision)
        after = await change(session, before)
        await self._check_phones(session, after)
        return before, after

    async def _edited(
        self, who: Actor, session: Session, before: BaseSettings, after: BaseSettings, with_samples: bool
    ) -> Edited[BaseSettings]:
        changes = self._changes(before, after)
        groups = await session.phone_groups.groups(base_settings=after.id)
        shared = Shared(base=before), Shared(base=after)
        samples = await self._samples.samples(who, session, groups, *shared) if with_samples and changes else ()
        new = {name: value for name, value in after.settings.items() if before.settings.get(name) != value}
        return Edited(after, changes, Affected.of(groups), await self._warnings(session, after, new), samples)

    def _changes(self, before: BaseSettings, after: BaseSettings) -> tuple[FieldChange, ...]:
        return changes_between(self._table, *(base_settings_record(base, self._table, str) for base in (before, after)))

    async def _warnings(self, session: Session, base: BaseSettings, new: Changes) -> tuple[str, ...]:
        custom = custom_warnings(self._templates.catalog, base.model, new)
        return (*custom, *await firmware_warnings(session, f"base settings {base.id}", new, Shared(base=base)))

    async def remove(self, who: Actor, base_id: str, *, reason: str = "", revision: int | None = None) -> None:
        """Remove them with their revisions. Raises NotFound, Stale, Forbidden, and InUse while phones use them."""
        who.require("base_settings:delete")
        reason = checked_reason(reason)
        async with self._store.write() as session:
            base = await session.base_settings.get(base_id)
            check_revision(f"base settings {base_id} were", revision, base.revision)
            await refuse_in_use(session, who, f"base settings {base_id} are", base_settings=base_id)
            await refuse_ruled(session, who, base_settings=base_id)
            record = {"revision": base.revision} | base_settings_record(base, self._table, session.audit.digest)
            await session.base_settings.remove(base_id)
            await session.audit.add(who, "base_settings.removed", base_id, before=record, reason=reason)

    async def reveal(self, who: Actor, base_id: str, reason: str) -> dict[str, Any]:
        """The secrets that phones on them are given: the admin password, and whatever else is one. That it was looked
        at, and why, is written down. Raises NotFound, Forbidden, and BadValue without a reason."""
        who.sites("base_settings:view")
        who.require("phones:reveal")
        reason = checked_reason(reason, needed=True)
        async with self._store.write() as session:
            base = await session.base_settings.get(base_id)
            await note_reveal(session, who, "base_settings.revealed", base_id, reason=reason)
        return {name: value for name, value in base.settings.items() if value and self._table.is_secret(name)}

    @property
    def _table(self) -> SettingsTable:
        return self._templates.catalog.settings

    def _changed(self, base: BaseSettings, changes: Changes, *, unset_any: bool = False) -> BaseSettings:
        catalog = self._templates.catalog
        model = known_model(catalog, base.model)
        settings = changed_settings(catalog, base.settings, changes, unset_any=unset_any)
        new = {name: settings[name] for name in changes if name in settings}
        family = catalog.family_of(model)
        check_values(family, catalog.most_capable(family), new)
        check_texts(family, new)
        if "time_zone" in new:
            check_clock(family, clock_rule(new["time_zone"]), "time_zone", new["time_zone"])
        return replace(base, settings=settings)

    async def _check_phones(self, session: Session, base: BaseSettings) -> None:
        await check_group(session, self._templates.catalog, base=base)
