"""What bulk work needs to know of each phone before it begins: not the phone itself, with its lines and secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.phone_conditions import listed
from ztp_server.store.schema import phones

_BATCH = 1000


class Target(NamedTuple):
    """A phone that is meant, in short."""

    id: str
    hardware_id: str
    name: str
    site: str

    @property
    def label(self) -> str:
        """What a list calls it."""
        return f"{self.hardware_id} {self.name}".strip()


class PhoneTargetStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def of_ids(self, ids: Sequence[str]) -> list[Target]:
        """Those of these ids that there are, in that order."""
        return await self._found(phones.c.id, ids)

    async def of_hardware_ids(self, hardware_ids: Sequence[str]) -> list[Target]:
        """Those of these hardware IDs, in their one spelling, that there are, in that order."""
        return await self._found(phones.c.hardware_id, hardware_ids)

    async def _found(self, column: sa.Column[str], wanted: Sequence[str]) -> list[Target]:
        found: dict[str, Target] = {}
        shown = (phones.c.id, phones.c.hardware_id, phones.c.name, phones.c.site_id)
        for start in range(0, len(wanted), _BATCH):
            batch = listed(wanted[start : start + _BATCH], self._is_sqlite)
            query = sa.select(*shown, column.label("key")).where(column.in_(batch))
            for row in await self._connection.execute(query):
                found[row.key] = Target(row.id, row.hardware_id or "", row.name, row.site_id)
        return [found[key] for key in wanted if key in found]
