"""Base settings: add, list, edit (a new revision each time), remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.site import check_slug
from ztp_server.domain.support import check_clock, check_texts, check_values
from ztp_server.errors import BadValue, ZtpError
from ztp_server.services.checks import Changes, changed_settings, checked_name, known_model
from ztp_server.services.effective import check
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.time_zones import clock_rule


class BaseSettingsService:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def all(self) -> list[BaseSettings]:
        async with self._store.read() as session:
            return await session.base_settings.all()

    async def get(self, base_id: str, revision: int | None = None) -> BaseSettings:
        """Raises NotFound."""
        async with self._store.read() as session:
            return await session.base_settings.get(base_id, revision)

    async def diff(self, base_id: str, before: int, after: int) -> list[tuple[str, Any, Any]]:
        """What changed between two revisions: name, old and new value (None: inherited), secrets as `***`.
        Raises NotFound."""
        old, new = [(await self.get(base_id, number)).settings for number in (before, after)]
        table = self._templates.catalog.settings
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        shown = [table.redacted({name: side[name] for name in changed if name in side}) for side in (old, new)]
        return [(name, shown[0].get(name), shown[1].get(name)) for name in changed]

    async def add(self, who: Actor, base_id: str, name: str, model: str, changes: Changes) -> BaseSettings:
        """Base settings for the family of `model`. Raises BadValue and Conflict."""
        check_slug("id", base_id)
        known_model(self._templates.catalog, model)
        base = self._changed(BaseSettings(base_id, checked_name(name or base_id), model, revision=1), changes)
        async with self._store.write() as session:
            await session.base_settings.add(base, who.name)
            await session.events.add(who.name, "base_settings.added", base_id)
        return base

    async def edit(self, who: Actor, base_id: str, name: str | None, changes: Changes) -> BaseSettings:
        """Make a new revision the current one. Raises NotFound, and BadValue naming a phone it would not suit."""
        async with self._store.read() as session:
            seen = await session.last_change()
            after = await self._edited(session, base_id, name, changes)
        async with self._store.write() as session:
            if await session.last_change() != seen:
                # Somebody wrote meanwhile; what was checked, without holding up anybody, may be another thing now.
                after = await self._edited(session, base_id, name, changes)
            number = await session.base_settings.revise(after, who.name)
            detail = {"revision": number, "changed": sorted(changes)}
            await session.events.add(who.name, "base_settings.changed", base_id, detail)
        return replace(after, revision=number)

    async def _edited(self, session: Session, base_id: str, name: str | None, changes: Changes) -> BaseSettings:
        """The base settings after a change that suits every phone on them."""
        before = await session.base_settings.get(base_id)
        after = self._changed(replace(before, name=checked_name(name or before.name)), changes)
        await self._check_phones(session, after)
        return after

    async def remove(self, who: Actor, base_id: str) -> None:
        """Raises NotFound, and Conflict while phones use them."""
        async with self._store.write() as session:
            await session.base_settings.remove(base_id)
            await session.events.add(who.name, "base_settings.removed", base_id)

    def _changed(self, base: BaseSettings, changes: Changes) -> BaseSettings:
        catalog = self._templates.catalog
        model = known_model(catalog, base.model)
        settings = changed_settings(catalog, base.settings, changes)
        new = {name: settings[name] for name in changes if name in settings}
        family = catalog.family_of(model)
        check_values(family, catalog.most_capable(family), new)
        check_texts(family, new)
        if "time_zone" in new:
            check_clock(family, clock_rule(new["time_zone"]), "time_zone", new["time_zone"])
        return replace(base, settings=settings)

    async def _check_phones(self, session: Session, base: BaseSettings) -> None:
        sites = {site.id: site for site in await session.sites.all()}
        for phone in await session.phones.all(base_settings=base.id):
            if phone.model not in self._templates.catalog.models:
                continue  # of a brand whose folder was taken away; it gets nothing as it is
            try:
                check(self._templates.catalog, phone, sites[phone.site], base)
            except ZtpError as error:
                raise BadValue(f"phone {phone.hardware_id}", str(error)) from None
