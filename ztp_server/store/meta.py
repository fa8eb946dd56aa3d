"""Facts about the data as a whole."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.schema import meta

DEMO = "demo"


class MetaStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, name: str) -> str | None:
        return (await self._connection.execute(sa.select(meta.c.value).where(meta.c.name == name))).scalar()

    async def set(self, name: str, value: str) -> None:
        await self._connection.execute(sa.delete(meta).where(meta.c.name == name))
        await self._connection.execute(sa.insert(meta).values(name=name, value=value))
