"""Which phones share a site or base settings: counted, and the first few."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.firmware import FirmwareWish
from ztp_server.domain.phone_group import PhoneGroup
from ztp_server.store.phones import RUNNING
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

    async def firmware_wishes(self, *, site: str = "", base_settings: str = "") -> list[FirmwareWish]:
        """What the phones there have to do with firmware, those that name no version themselves; one row, without a
        hardware ID, for all that are alike in it."""
        own = phones.c.settings
        each = (
            sa.select(
                *(phones.c.model, phones.c.site_id, phones.c.base_settings_id),
                own["firmware_version"].as_string().label("version"),
                own["firmware_downgrade"].as_boolean().label("downgrade"),
                RUNNING,
            )
            .where(_shared(site, base_settings), phones.c.category == "managed")
            .subquery()
        )
        kinds = (each.c.model, each.c.site_id, each.c.base_settings_id, each.c.downgrade, each.c.running)
        query = sa.select(*kinds, sa.func.count().label("phones")).where(each.c.version.is_(None)).group_by(*kinds)
        return [
            FirmwareWish(
                *("", row.model, row.site_id, row.base_settings_id, None),
                *(row.downgrade, row.running or "", row.phones),
            )
            for row in await self._connection.execute(query)
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
