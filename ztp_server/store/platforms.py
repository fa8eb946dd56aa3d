"""SIP platforms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.platform import Platform
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store import places
from ztp_server.store.changes import record
from ztp_server.store.schema_sip import platforms
from ztp_server.store.vault import Vault

_OWN = platforms.c


class PlatformStore:
    """Every change is told to other processes as one of kind `platform`, with the id as its key. A password that does
    not open is read as `unreadable` (domain/text.py)."""

    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, platform_id: str) -> Platform:
        """Raises NotFound."""
        row = (await self._connection.execute(sa.select(platforms).where(_OWN.id == platform_id))).first()
        if row is None:
            raise NotFound(f"no platform {platform_id}")
        return self._read(row)

    async def all(self) -> list[Platform]:
        """All, by id."""
        rows = await self._connection.execute(sa.select(platforms).order_by(_OWN.id))
        return [self._read(row) for row in rows]

    async def add(self, platform: Platform) -> Platform:
        """Raises Conflict when the id is taken."""
        if (await self._connection.execute(sa.select(_OWN.id).where(_OWN.id == platform.id))).first():
            raise Conflict(f"platform {platform.id} exists already")
        await self._connection.execute(sa.insert(platforms).values(self._row(platform) | {"revision": 1}))
        await record(self._connection, "platform", [platform.id])
        return await self.get(platform.id)

    async def edit(self, platform: Platform) -> Platform:
        """Raises Stale when it is another by now."""
        unchanged = sa.and_(_OWN.id == platform.id, _OWN.revision == platform.revision)
        values = self._row(platform) | {"revision": platform.revision + 1}
        if (await self._connection.execute(sa.update(platforms).where(unchanged).values(values))).rowcount != 1:
            raise Stale(f"platform {platform.id} was changed by somebody else meanwhile")
        await record(self._connection, "platform", [platform.id])
        return await self.get(platform.id)

    async def remove(self, platform_id: str) -> None:
        """With what is known of who is registered there."""
        await self._connection.execute(sa.delete(platforms).where(_OWN.id == platform_id))
        await record(self._connection, "platform", [platform_id])

    def _row(self, platform: Platform) -> dict[str, Any]:
        return {
            "id": platform.id,
            "name": platform.name,
            "domains": list(platform.domains),
            "address": platform.address,
            "user": platform.user,
            "password": self._vault.seal(platform.password, places.platform(platform.id)),
            "ca": platform.ca,
            "direct": platform.direct,
            "source": platform.source,
            "source_address": platform.source_address,
            "source_user": platform.source_user,
            "source_password": self._vault.seal(platform.source_password, places.platform_source(platform.id)),
        }

    def _read(self, row: sa.Row[Any]) -> Platform:
        return Platform(
            id=row.id,
            name=row.name,
            domains=tuple(row.domains),
            address=row.address,
            user=row.user,
            password=self._vault.read(row.password, places.platform(row.id)),
            ca=row.ca,
            direct=row.direct,
            source=row.source,
            source_address=row.source_address,
            source_user=row.source_user,
            source_password=self._vault.read(row.source_password, places.platform_source(row.id)),
            revision=row.revision,
        )
