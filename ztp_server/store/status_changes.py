"""Which phones may have another status than some time before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.changes import last_change
from ztp_server.store.schema import changes
from ztp_server.store.schema_history import phone_status
from ztp_server.store.schema_sip import phone_registrations


@dataclass(frozen=True, slots=True)
class Newest:
    """How far things were written: the number of the last change, and of the last registration."""

    change: int
    registration: int


class StatusChangeStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def newest(self) -> Newest:
        query = sa.select(sa.func.max(phone_registrations.c.number))
        number = (await self._connection.execute(query)).scalar() or 0
        return Newest(await last_change(self._connection), number)

    async def oldest_change(self) -> int:
        """The number of the oldest change that is kept, 0 when there is none."""
        return (await self._connection.execute(sa.select(sa.func.min(changes.c.seq)))).scalar() or 0

    async def changed(self, since: Newest, most: int) -> list[tuple[str, str]]:
        """Changes (kind, key) that were written since, so many at most."""
        query = sa.select(changes.c.kind, changes.c.key).where(changes.c.seq > since.change)
        rows = await self._connection.execute(query.order_by(changes.c.seq).limit(most))
        return [(row.kind, row.key) for row in rows]

    async def registered(self, since: Newest, most: int) -> list[str]:
        """Ids of the phones whose registration was written since, so many at most."""
        own = phone_registrations.c
        query = sa.select(own.phone_id).where(own.number > since.registration).order_by(own.number).limit(most)
        return list((await self._connection.execute(query)).scalars())

    async def seen(self, since: datetime, most: int) -> list[tuple[str, datetime]]:
        """Phones (by their id) that asked for something since, and when, so many at most."""
        own = phone_status.c
        query = sa.select(own.phone_id, own.last_at).where(own.last_at > since).order_by(own.last_at).limit(most)
        return [(row.phone_id, row.last_at) for row in await self._connection.execute(query)]

    async def due(self, since: datetime, until: datetime, most: int) -> list[str]:
        """Ids of the phones that should have asked again by a time between these two, so many at most."""
        own = phone_status.c
        query = sa.select(own.phone_id).where(own.due_at > since, own.due_at <= until).order_by(own.due_at).limit(most)
        return list((await self._connection.execute(query)).scalars())
