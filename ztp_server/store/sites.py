"""Sites."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.site import Site
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.changes import record
from ztp_server.store.schema import phones, sites
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
        rows = await self._connection.execute(sa.select(sites).order_by(sites.c.id))
        return [_read(row._mapping, self._vault) for row in rows]

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
        """Raises NotFound, and Conflict when phones stand there."""
        await self.get(site_id)
        used = sa.select(sa.func.count()).select_from(phones).where(phones.c.site_id == site_id)
        count = (await self._connection.execute(used)).scalar_one()
        if count:
            raise Conflict(f"site {site_id} is in use by {count} phones")
        await self._connection.execute(sa.delete(sites).where(sites.c.id == site_id))
        await record(self._connection, "site")

    def _row(self, site: Site) -> dict[str, Any]:
        return {
            "id": site.id,
            "name": site.name,
            "networks": list(site.networks),
            "proofs": list(site.proofs),
            "plain_secrets": site.plain_secrets,
            "settings": self._vault.seal_settings(site.settings, f"sites/{site.id}"),
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
        settings=vault.open_settings(row["settings"], f"sites/{site_id}"),
        civic_address=row["civic_address"],
        webrtc_url=row["webrtc_url"],
        ice_servers=tuple(row["ice_servers"]),
        revision=row["revision"],
    )
