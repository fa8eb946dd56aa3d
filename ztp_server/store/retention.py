"""Removing what is past keeping, so much at a time."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.schema import changes
from ztp_server.store.schema_access import idempotency_keys
from ztp_server.store.schema_history import events


class RetentionStore:
    """Each method removes at most `most` rows, and returns how many."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def forget_events(self, before: datetime, kept: int, most: int) -> int:
        """Events before a time, and those beyond the newest `kept`."""
        newest = sa.select(sa.func.max(events.c.seq)).scalar_subquery()
        old = sa.select(events.c.seq).where(sa.or_(events.c.at < before, events.c.seq <= newest - kept))
        return await self._delete(events, events.c.seq, old.limit(most))

    async def forget_changes(self, kept: int, most: int) -> int:
        """Changes beyond the newest `kept`: every process has read them long ago."""
        newest = sa.select(sa.func.max(changes.c.seq)).scalar_subquery()
        return await self._delete(
            changes, changes.c.seq, sa.select(changes.c.seq).where(changes.c.seq <= newest - kept).limit(most)
        )

    async def forget_keys(self, before: datetime, most: int) -> int:
        """Idempotency keys used before a time."""
        own = idempotency_keys.c
        old = sa.select(own.actor, own.key).where(own.at < before).limit(most)
        rows = (await self._connection.execute(old)).all()
        if rows:
            gone = sa.delete(idempotency_keys).where(own.actor == sa.bindparam("a"), own.key == sa.bindparam("k"))
            await self._connection.execute(gone, [{"a": row.actor, "k": row.key} for row in rows])
        return len(rows)

    async def _delete(self, table: sa.Table, key: sa.Column[int], old: sa.Select[tuple[int]]) -> int:
        return (await self._connection.execute(sa.delete(table).where(key.in_(old)))).rowcount
