"""Sites."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.site import Site
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
        revision=row["revision"],
    )
