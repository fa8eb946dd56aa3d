"""Which firmware images there are; the bytes lie on disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.firmware import Firmware
from ztp_server.errors import Conflict, NotFound
from ztp_server.store.changes import record
from ztp_server.store.schema import firmware


class FirmwareStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all(self) -> list[Firmware]:
        rows = await self._connection.execute(sa.select(firmware).order_by(firmware.c.model, firmware.c.version))
        return [_read(row) for row in rows]

    async def add(self, image: Firmware) -> None:
        """Raises Conflict when the model has that version already. A new default takes the place of the old one."""
        own = sa.and_(firmware.c.model == image.model, firmware.c.version == image.version)
        if (await self._connection.execute(sa.select(firmware.c.sha256).where(own))).first():
            raise Conflict(f"firmware {image.version} for {image.model} exists already")
        if image.is_default:
            others = sa.update(firmware).where(firmware.c.model == image.model)
            await self._connection.execute(others.values(is_default=False))
        await self._connection.execute(sa.insert(firmware).values(asdict(image)))
        await record(self._connection, "firmware")

    async def remove(self, model: str, version: str) -> Firmware:
        """Raises NotFound. Returns what was removed, whose bytes other rows may still name."""
        own = sa.and_(firmware.c.model == model, firmware.c.version == version)
        row = (await self._connection.execute(sa.select(firmware).where(own))).first()
        if row is None:
            raise NotFound(f"no firmware {version} for {model}")
        await self._connection.execute(sa.delete(firmware).where(own))
        await record(self._connection, "firmware")
        return _read(row)


def _read(row: sa.Row[Any]) -> Firmware:
    return Firmware(**row._mapping)
