"""Sites: add, list, edit, remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.settings import CUSTOM
from ztp_server.domain.site import LOOPBACK_NETWORKS, PRIVATE_NETWORKS, Site, check_slug, parse_networks, parse_proofs
from ztp_server.errors import BadValue, ZtpError
from ztp_server.services.checks import Changes, changed_settings, checked_name
from ztp_server.services.effective import check
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.meta import DEMO
from ztp_server.time_zones import clock_rule

# Fields of a site that are written like settings (`--set networks=…`) and are none.
FIELDS = ("networks", "proofs", "plain_secrets")


class Sites:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def all(self) -> list[Site]:
        async with self._store.read() as session:
            return await session.sites.all()

    async def get(self, site_id: str) -> Site:
        """Raises NotFound."""
        async with self._store.read() as session:
            return await session.sites.get(site_id)

    async def add(self, who: Actor, site_id: str, name: str, changes: Changes) -> Site:
        """A new site trusts private networks, or loopback alone in a demonstration. Raises BadValue and Conflict."""
        check_slug("id", site_id)
        async with self._store.write() as session:
            demo = await session.meta.get(DEMO)
            networks = LOOPBACK_NETWORKS if demo else PRIVATE_NETWORKS
            site = self._changed(Site(site_id, checked_name(name or site_id), networks), changes)
            await session.sites.add(site)
            await session.events.add(who.name, "site.added", site_id, self._shown(site))
        return site

    async def edit(self, who: Actor, site_id: str, name: str | None, changes: Changes) -> Site:
        """Raises NotFound, and BadValue when a phone of the site could not be given what it would inherit."""
        async with self._store.read() as session:
            seen = await session.last_change()
            after = await self._edited(session, site_id, name, changes)
        async with self._store.write() as session:
            if await session.last_change() != seen:
                # Somebody wrote meanwhile; what was checked, without holding up anybody, may be another thing now.
                after = await self._edited(session, site_id, name, changes)
            await session.sites.replace(after)
            await session.events.add(who.name, "site.changed", site_id, self._shown(after))
        return after

    async def _edited(self, session: Session, site_id: str, name: str | None, changes: Changes) -> Site:
        """The site after a change that suits every phone there."""
        before = await session.sites.get(site_id)
        after = self._changed(replace(before, name=checked_name(name or before.name)), changes)
        await self._check_phones(session, after)
        return after

    async def remove(self, who: Actor, site_id: str) -> None:
        """Raises NotFound, and Conflict while phones stand there."""
        async with self._store.write() as session:
            await session.sites.remove(site_id)
            await session.events.add(who.name, "site.removed", site_id)

    def _changed(self, site: Site, changes: Changes) -> Site:
        settings = {name: value for name, value in changes.items() if name not in FIELDS}
        _refuse_custom(settings)
        after = changed_settings(self._templates.catalog, site.settings, settings)
        if "time_zone" in settings and "time_zone" in after:
            _check_zone(after["time_zone"])
        return replace(site, settings=after, **_fields(changes))

    async def _check_phones(self, session: Session, site: Site) -> None:
        bases = {base.id: base for base in await session.base_settings.all()}
        for phone in await session.phones.all(site=site.id):
            if phone.model not in self._templates.catalog.models:
                continue  # of a brand whose folder was taken away; it gets nothing as it is
            try:
                check(self._templates.catalog, phone, site, bases[phone.base_settings])
            except ZtpError as error:
                raise BadValue(f"phone {phone.hardware_id}", str(error)) from None

    def _shown(self, site: Site) -> dict[str, Any]:
        return {"settings": self._templates.catalog.settings.redacted(site.settings), "networks": list(site.networks)}


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


def _fields(changes: Changes) -> Mapping[str, Any]:
    fields: dict[str, Any] = {}
    for name, parse in (("networks", parse_networks), ("proofs", parse_proofs)):
        if name in changes:
            fields[name] = parse(_listed(name, changes[name]))
    if "plain_secrets" in changes:
        fields["plain_secrets"] = _switch(changes["plain_secrets"])
    return fields


def _listed(name: str, value: Any) -> list[str]:
    if value is None:
        raise BadValue(name, "cannot be unset; write the list it shall be")
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("on", "off", "true", "false"):
        raise BadValue("plain_secrets", "must be on or off")
    return str(value).lower() in ("on", "true")
