"""What one of several servers does for all of them, and who does it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.schema_sip import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """`holder` does it (empty: nobody); `beat` goes up as long as it does, the last time at `at` by its clock."""

    holder: str
    beat: int
    at: datetime


class LeaseStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> Lease | None:
        row = (await self._connection.execute(sa.select(leases).where(leases.c.name == name))).first()
        return Lease(row.holder, row.beat, row.at) if row else None

    async def keep(self, name: str, holder: str, now: datetime) -> None:
        """It is held by this one from now on; whoever says so has looked before, in the same transaction."""
        before = await self.get(name)
        values = {"holder": holder, "beat": before.beat + 1 if before else 1, "at": now}
        if before:
            await self._connection.execute(sa.update(leases).where(leases.c.name == name).values(values))
        else:
            await self._connection.execute(sa.insert(leases).values(name=name, **values))
