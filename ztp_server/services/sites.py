"""Sites: add, list, edit, remove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.settings import CUSTOM, SettingsTable
from ztp_server.domain.site import LOOPBACK_NETWORKS, PRIVATE_NETWORKS, Site, check_slug
from ztp_server.errors import BadValue, NotFound
from ztp_server.services.address import ServerAddress
from ztp_server.services.approval_rules import refuse_ruled
from ztp_server.services.belief import require_for_new_site, require_for_site
from ztp_server.services.checks import Changes, changed_settings, checked_name
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
from ztp_server.services.profile_fields import changed_profile
from ztp_server.services.records import site_record
from ztp_server.services.reveals import note_reveal
from ztp_server.services.role_grants import refuse_granted_at
from ztp_server.services.sample_diffs import SampleDiffs, Shared
from ztp_server.services.site_fields import changed_fields, is_field
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.meta import DEMO
from ztp_server.time_zones import clock_rule


class Sites:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress) -> None:
        self._store = store
        self._templates = templates
        self._samples = SampleDiffs(templates, address)

    async def all(self, who: Actor) -> list[Site]:
        """Those that the one who asks may see, by id."""
        return await self.page(who, "", None)

    async def page(self, who: Actor, after: str, limit: int | None) -> list[Site]:
        """At most so many of them, by id, that come after an id. Raises Forbidden."""
        visible = who.sites("sites:view")
        async with self._store.read() as session:
            return await session.sites.page(after, limit, visible)

    async def get(self, who: Actor, site_id: str) -> Site:
        """Raises NotFound, also for a site that the one who asks may not see, and Forbidden."""
        async with self._store.read() as session:
            return await self._seen(who, session, site_id)

    async def add(
        self, who: Actor, site_id: str, name: str, changes: Changes, *, reason: str = "", merge: bool = False
    ) -> Edited[Site]:
        """A new site trusts private networks, or loopback alone in a demonstration. Raises BadValue, Conflict and
        Forbidden."""
        who.require("sites:add")
        check_slug("id", site_id)
        reason = checked_reason(reason)
        async with self._store.write() as session:
            await require_for_new_site(who, session, site_id)
            networks = LOOPBACK_NETWORKS if await session.meta.get(DEMO) else PRIVATE_NETWORKS
            bare = Site(site_id, checked_name(name or site_id), networks, revision=1)
            site = self._changed(bare, changes, unset_any=merge)
            await session.sites.add(site)
            record = site_record(site, self._table, session.audit.digest)
            await session.audit.add(who, "site.added", site_id, after=record, reason=reason)
        return Edited(site)

    async def edit(
        self,
        who: Actor,
        site_id: str,
        name: str | None,
        changes: Changes,
        *,
        reason: str = "",
        revision: int | None = None,
        dry_run: bool = False,
        merge: bool = False,
    ) -> Edited[Site]:
        """Change a site; `dry_run` only says what that would do. `revision` is the one that was read; with `merge`,
        unsetting what is not set is no mistake. Raises NotFound, Stale, Forbidden, and BadValue when a phone of the
        site could not be given what it would inherit."""
        reason = checked_reason(reason)
        async with self._store.read() as session:
            await self._seen(who, session, site_id)
            who.require("sites:edit", site_id)
            seen = await session.last_change()
            before, after = await self._pair(who, session, site_id, name, changes, revision, merge)
            edited = await self._edited(who, session, before, after, dry_run)
        if dry_run or not edited.changes:
            return edited
        async with self._store.write() as session:
            if await session.last_change() != seen:
                # Somebody wrote meanwhile; what was checked, without holding up anybody, may be another thing now.
                before, after = await self._pair(who, session, site_id, name, changes, revision, merge)
                edited = replace(edited, changes=self._changes(before, after))
                if not edited.changes:
                    return replace(edited, record=before)
            await session.sites.replace(after)
            old, new = (site_record(site, self._table, session.audit.digest) for site in (before, after))
            await session.audit.add(who, "site.changed", site_id, before=old, after=new, reason=reason)
        return replace(edited, record=replace(after, revision=after.revision + 1))

    async def _pair(
        self,
        who: Actor,
        session: Session,
        site_id: str,
        name: str | None,
        changes: Changes,
        revision: int | None,
        merge: bool,
    ) -> tuple[Site, Site]:
        """The site before and after a change that suits every phone there."""
        before = await session.sites.get(site_id)
        check_revision(f"site {site_id} was", revision, before.revision)
        named = before if name is None else replace(before, name=checked_name(name))
        after = self._changed(named, changes, unset_any=merge)
        require_for_site(who, before, after)
        await self._check_phones(session, after)
        return before, after

    async def _edited(
        self, who: Actor, session: Session, before: Site, after: Site, with_samples: bool
    ) -> Edited[Site]:
        changes = self._changes(before, after)
        groups = await session.phone_groups.groups(site=after.id)
        shared = Shared(site=before), Shared(site=after)
        samples = await self._samples.samples(who, session, groups, *shared) if with_samples and changes else ()
        new = [name for name, value in after.settings.items() if before.settings.get(name) != value]
        warnings = await firmware_warnings(session, f"site {after.id}", new, Shared(site=after))
        return Edited(after, changes, Affected.of(groups), tuple(warnings), samples)

    def _changes(self, before: Site, after: Site) -> tuple[FieldChange, ...]:
        return changes_between(self._table, *(site_record(site, self._table, str) for site in (before, after)))

    async def remove(self, who: Actor, site_id: str, *, reason: str = "", revision: int | None = None) -> None:
        """Raises NotFound, Stale, Forbidden, and InUse while phones stand there."""
        reason = checked_reason(reason)
        async with self._store.write() as session:
            site = await self._seen(who, session, site_id)
            who.require("sites:delete", site_id)
            check_revision(f"site {site_id} was", revision, site.revision)
            await refuse_in_use(session, who, f"site {site_id} is", site=site_id)
            await refuse_granted_at(session, who, site_id)
            await refuse_ruled(session, who, site=site_id)
            record = site_record(site, self._table, session.audit.digest)
            await session.sites.remove(site_id)
            await session.audit.add(who, "site.removed", site_id, before=record, reason=reason)

    async def reveal(self, who: Actor, site_id: str, reason: str) -> dict[str, Any]:
        """The secrets that phones inherit from a site. That it was looked at, and why, is written down. Raises
        NotFound, Forbidden, and BadValue without a reason."""
        reason = checked_reason(reason, needed=True)
        async with self._store.write() as session:
            site = await self._seen(who, session, site_id)
            who.require("phones:reveal", site_id)
            await note_reveal(session, who, "site.revealed", site_id, reason=reason)
        return {name: value for name, value in site.settings.items() if value and self._table.is_secret(name)}

    @property
    def _table(self) -> SettingsTable:
        return self._templates.catalog.settings

    async def _seen(self, who: Actor, session: Session, site_id: str) -> Site:
        visible = who.sites("sites:view")
        if visible is not None and site_id not in visible:
            raise NotFound(f"no site {site_id}")
        return await session.sites.get(site_id)

    def _changed(self, site: Site, changes: Changes, *, unset_any: bool) -> Site:
        settings = {name: value for name, value in changes.items() if not is_field(name)}
        _refuse_custom(settings)
        after = changed_settings(self._templates.catalog, site.settings, settings, unset_any=unset_any)
        if "time_zone" in settings and "time_zone" in after:
            _check_zone(after["time_zone"])
        profile = changed_profile(self._templates.catalog, site.logged_out, changes, unset_any=unset_any)
        return replace(site, settings=after, logged_out=profile, **changed_fields(site, changes))

    async def _check_phones(self, session: Session, site: Site) -> None:
        await check_group(session, self._templates.catalog, site=site)


def _refuse_custom(settings: Changes) -> None:
    for name in settings:
        if name.startswith(CUSTOM):
            raise BadValue(
                f"settings.{name}", "a maker's own parameter belongs to base settings or a phone, not to a site"
            )


def _check_zone(zone: str) -> None:
    try:
        clock_rule(zone)
    except BadValue as error:
        raise error.within("settings") from None
