"""Files that phones sent: logs. Each belongs to one phone."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.schema import uploads


class UploadStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, phone_id: str, name: str) -> bytes | None:
        query = sa.select(uploads.c.body).where(uploads.c.phone_id == phone_id, uploads.c.name == name)
        body = (await self._connection.execute(query)).scalar()
        return None if body is None else zlib.decompress(body)

    async def put(self, phone_id: str, name: str, body: bytes, size: int) -> bool:
        """Keep a file instead of the one of that name; returns whether there was none. `body` is packed with zlib,
        `size` what it was before."""
        own = sa.and_(uploads.c.phone_id == phone_id, uploads.c.name == name)
        removed = await self._connection.execute(sa.delete(uploads).where(own))
        row = {"phone_id": phone_id, "name": name, "body": body, "size": size}
        await self._connection.execute(sa.insert(uploads).values(row | {"at": datetime.now(UTC)}))
        return removed.rowcount == 0
