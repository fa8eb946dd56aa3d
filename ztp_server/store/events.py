"""Events, and the last check-in of each phone for each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.event import CheckIn, Event
from ztp_server.store.schema_history import check_ins, events
from ztp_server.store.vault import Vault


class EventStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        row = {"actor": actor, "action": action, "subject": subject, "detail": dict(detail or {})}
        await self._connection.execute(sa.insert(events).values(row | {"at": datetime.now(UTC)}))

    async def latest(self, limit: int = 100) -> list[Event]:
        query = sa.select(events).order_by(events.c.seq.desc()).limit(limit)
        rows = await self._connection.execute(query)
        return [Event(row.at, row.actor, row.action, row.subject, row.detail) for row in rows]

    async def page(
        self, *, below: int | None, limit: int, subject: str = "", action: str = ""
    ) -> list[tuple[int, Event]]:
        """Events with their numbers, newest first, with a number below the given one."""
        query = sa.select(events).order_by(events.c.seq.desc()).limit(limit)
        if below is not None:
            query = query.where(events.c.seq < below)
        for column, wanted in ((events.c.subject, subject), (events.c.action, action)):
            if wanted:
                query = query.where(column == wanted)
        rows = await self._connection.execute(query)
        return [(row.seq, Event(row.at, row.actor, row.action, row.subject, row.detail)) for row in rows]


class CheckInStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def of_phone(self, hardware_id: str) -> list[CheckIn]:
        query = sa.select(check_ins).where(check_ins.c.hardware_id == hardware_id).order_by(check_ins.c.at)
        return [
            CheckIn(r.hardware_id, r.file, r.at, r.status, r.etag, r.address, r.proof, r.firmware)
            for r in await self._connection.execute(query)
        ]

    async def note(self, rows: Sequence[CheckIn]) -> None:
        """Keep the last check-in of each phone for each file, tags under our key. `rows` names each pair once."""
        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(check_ins)
        kept = ("at", "status", "etag", "address", "proof", "firmware")
        statement = statement.on_conflict_do_update(
            index_elements=["hardware_id", "file"], set_={name: statement.excluded[name] for name in kept}
        )
        # Not asdict, which costs more than the statement: thousands come in a second.
        values = [
            {"hardware_id": row.mac, "file": row.file, "at": row.at, "status": row.status,
             "etag": self._vault.tag(row.etag), "address": row.address, "proof": row.proof, "firmware": row.firmware}
            for row in rows
        ]  # fmt: skip
        await self._connection.execute(statement, values)
