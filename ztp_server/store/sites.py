"""Sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.logged_out import LoggedOut
from ztp_server.domain.phone import Line
from ztp_server.domain.site import Site
from ztp_server.domain.text import is_unreadable
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store import places
from ztp_server.store.changes import record
from ztp_server.store.schema import sites
from ztp_server.store.vault import Vault


class SiteStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, site_id: str) -> Site:
        """Raises NotFound."""
        row = (await self._connection.execute(sa.select(sites).where(sites.c.id == site_id))).first()
        if row is None:
            raise NotFound(f"no site {site_id}")
        return _read(row._mapping, self._vault)

    async def all(self) -> list[Site]:
        """All, by id."""
        return await self.page("", None, None)

    async def page(self, after: str, limit: int | None, only: frozenset[str] | None) -> list[Site]:
        """At most so many of them by id, those that come after an id; `only`: out of these."""
        query = sa.select(sites).where(sites.c.id > after).order_by(sites.c.id).limit(limit)
        if only is not None:
            query = query.where(sites.c.id.in_(only))
        return [_read(row._mapping, self._vault) for row in await self._connection.execute(query)]

    async def add(self, site: Site) -> None:
        """Raises Conflict when the id is taken."""
        if (await self._connection.execute(sa.select(sites.c.id).where(sites.c.id == site.id))).first():
            raise Conflict(f"site {site.id} exists already")
        await self._connection.execute(sa.insert(sites).values(self._row(site) | {"revision": 1}))
        await record(self._connection, "site")

    async def replace(self, site: Site) -> None:
        values = self._row(site) | {"revision": site.revision + 1}
        unchanged = sa.and_(sites.c.id == site.id, sites.c.revision == site.revision)
        result = await self._connection.execute(sa.update(sites).where(unchanged).values(values))
        if result.rowcount != 1:
            raise Stale(f"site {site.id} was changed by somebody else meanwhile")
        await record(self._connection, "site")

    async def remove(self, site_id: str) -> None:
        """Whoever calls has seen that no phone stands there."""
        await self._connection.execute(sa.delete(sites).where(sites.c.id == site_id))
        await record(self._connection, "site")

    def _row(self, site: Site) -> dict[str, Any]:
        return {
            "id": site.id,
            "name": site.name,
            "networks": list(site.networks),
            "proofs": list(site.proofs),
            "plain_secrets": site.plain_secrets,
            "settings": self._vault.seal_settings(site.settings, places.site(site.id)),
            "civic_address": dict(site.civic_address),
            "webrtc_url": site.webrtc_url,
            "ice_servers": list(site.ice_servers),
            "logged_out": self._vault.seal_settings(_flat(site.logged_out), places.site_logged_out(site.id)),
        }


def _read(row: Any, vault: Vault) -> Site:
    site_id = row["id"]
    return Site(
        id=site_id,
        name=row["name"],
        networks=tuple(row["networks"]),
        proofs=tuple(row["proofs"]),
        plain_secrets=row["plain_secrets"],
        settings=vault.open_settings(row["settings"], places.site(site_id)),
        civic_address=row["civic_address"],
        webrtc_url=row["webrtc_url"],
        ice_servers=tuple(row["ice_servers"]),
        logged_out=_profile(vault.open_settings(row["logged_out"], places.site_logged_out(site_id))),
        revision=row["revision"],
    )


# How the fields of a line stand among the settings of a profile; no setting is called so, so all of them are sealed.
_LINE = "line."


def _flat(profile: LoggedOut) -> dict[str, Any]:
    line = {f"{_LINE}{name}": value for name, value in asdict(profile.line).items()} if profile.line else {}
    # A switch is no secret and no text: it is written as one.
    return {**profile.settings, **{name: str(value or "") for name, value in line.items()}}


def _profile(values: Mapping[str, Any]) -> LoggedOut:
    line = {name.removeprefix(_LINE): value for name, value in values.items() if name.startswith(_LINE)}
    settings = {name: value for name, value in values.items() if not name.startswith(_LINE)}
    if not line:
        return LoggedOut(settings)
    # Of a line that does not open no file is made, whichever part of it that is.
    password = next(filter(is_unreadable, line.values()), line["password"])
    return LoggedOut(settings, Line(**{**line, "password": password, "shared": bool(line["shared"])}))
