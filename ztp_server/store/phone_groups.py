"""Which phones share a site or base settings: counted, and the first few."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.phone_group import PhoneGroup
from ztp_server.store.schema import phones


class PhoneGroupStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def groups(self, *, site: str = "", base_settings: str = "") -> list[PhoneGroup]:
        """The phones at a site or on base settings, the largest groups first; no phone is loaded for it."""
        kinds = (phones.c.site_id, phones.c.base_settings_id, phones.c.model)
        count = sa.func.count().label("phones")
        query = sa.select(*kinds, count, sa.func.min(phones.c.hardware_id).label("sample")).group_by(*kinds)
        rows = await self._connection.execute(query.where(_shared(site, base_settings)).order_by(count.desc(), *kinds))
        return [
            PhoneGroup(row.site_id, row.base_settings_id or "", row.model, row.phones, row.sample or "") for row in rows
        ]

    async def first(
        self, limit: int, sites: frozenset[str] | None, *, site: str = "", base_settings: str = ""
    ) -> list[dict[str, str]]:
        """The first of them by name, at these sites or (None) at all: `id`, `hardware_id` and `name`."""
        query = sa.select(phones.c.id, phones.c.hardware_id, phones.c.name).where(_shared(site, base_settings))
        if sites is not None:
            query = query.where(phones.c.site_id.in_(sites))
        rows = await self._connection.execute(query.order_by(phones.c.name_key, phones.c.id).limit(limit))
        return [{"id": row.id, "hardware_id": row.hardware_id or "", "name": row.name} for row in rows]


def _shared(site: str, base_settings: str) -> sa.ColumnElement[bool]:
    return phones.c.site_id == site if site else phones.c.base_settings_id == base_settings
