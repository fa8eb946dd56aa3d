"""Phones that were removed: whole and sealed, until they come back or are purged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.phone import Phone
from ztp_server.domain.removed_phone import RemovedPhone
from ztp_server.errors import Damaged, NotFound
from ztp_server.store.phone_rows import PhoneRows
from ztp_server.store.schema import removed_phones, uploads
from ztp_server.store.schema_history import phone_status
from ztp_server.store.vault import Vault

_BATCH = 1000
_SHOWN = tuple(column for column in removed_phones.columns if column.name != "record")


class RemovedPhoneStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._rows = PhoneRows(vault)

    async def add(self, gone: Sequence[Phone], actor: str, at: datetime) -> None:
        """Keep phones whose rows are removed in the same transaction."""
        for start in range(0, len(gone), _BATCH):
            rows = [self._row(phone, actor, at) for phone in gone[start : start + _BATCH]]
            await self._connection.execute(sa.insert(removed_phones), rows)

    async def get(self, text: str) -> tuple[RemovedPhone, Phone]:
        """What was removed last under this id or hardware ID, in its one spelling. Raises NotFound."""
        mine = sa.or_(removed_phones.c.id == text, removed_phones.c.hardware_id == text)
        query = sa.select(removed_phones).where(mine).order_by(removed_phones.c.at.desc(), removed_phones.c.id).limit(1)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"no removed phone {text}")
        return _read(row), self._rows.open_whole(row.id, row.record)

    async def get_many(self, ids: Sequence[str]) -> list[Phone]:
        """Those of these ids that can come back, in that order; not one whose record does not open any more."""
        found: dict[str, Phone] = {}
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            query = sa.select(removed_phones.c.id, removed_phones.c.record).where(removed_phones.c.id.in_(batch))
            for row in await self._connection.execute(query):
                with suppress(Damaged):
                    found[row.id] = self._rows.open_whole(row.id, row.record)
        return [found[phone_id] for phone_id in ids if phone_id in found]

    async def page(
        self, sites: Iterable[str] | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[RemovedPhone]:
        """Removed phones of some sites (None: of all), newest first, behind the time and id of the last one seen."""
        at, own_id = removed_phones.c.at, removed_phones.c.id
        query = sa.select(*_SHOWN).order_by(at.desc(), own_id).limit(limit)
        if sites is not None:
            query = query.where(removed_phones.c.site.in_(sorted(sites)))
        if after is not None:
            query = query.where(sa.or_(at < after[0], sa.and_(at == after[0], own_id > after[1])))
        return [_read(row) for row in await self._connection.execute(query)]

    async def removed_before(self, at: datetime, limit: int) -> list[RemovedPhone]:
        """Some of those that were removed before that time."""
        query = sa.select(*_SHOWN).where(removed_phones.c.at < at).order_by(removed_phones.c.at).limit(limit)
        return [_read(row) for row in await self._connection.execute(query)]

    async def take_out(self, ids: Sequence[str]) -> None:
        """Forget the records of phones that came back."""
        for start in range(0, len(ids), _BATCH):
            mine = removed_phones.c.id.in_(ids[start : start + _BATCH])
            await self._connection.execute(sa.delete(removed_phones).where(mine))

    async def purge(self, ids: Sequence[str]) -> None:
        """Forget phones for good, with what they sent and how far they came."""
        await self.take_out(ids)
        for start in range(0, len(ids), _BATCH):
            for table in (uploads, phone_status):
                theirs = table.c.phone_id.in_(ids[start : start + _BATCH])
                await self._connection.execute(sa.delete(table).where(theirs))

    def _row(self, phone: Phone, actor: str, at: datetime) -> dict[str, Any]:
        return {
            "id": phone.id,
            "hardware_id": phone.hardware_id,
            "name": phone.name,
            "category": phone.category,
            "site": phone.site,
            "actor": actor[:255],
            "at": at,
            "record": self._rows.seal_whole(phone),
        }


def _read(row: sa.Row[Any]) -> RemovedPhone:
    return RemovedPhone(row.id, row.hardware_id, row.name, row.category, row.site, row.actor, row.at)
