"""What a table of phones needs to know before its first row: their order, and how wide the widest is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.phone_conditions import listed
from ztp_server.store.schema import lines, phone_overrides, phones


@dataclass(frozen=True, slots=True)
class Widths:
    """The most lines and line keys that any of some phones has, the names of all settings that one of them overrides,
    and whether the user was taken off one."""

    lines: int
    line_keys: int
    settings: tuple[str, ...]
    logged_out: bool


class PhoneWidthStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def by_name(self, ids: Sequence[str]) -> list[str]:
        """Those of these ids that there are, in the order of the phones' names."""
        query = sa.select(phones.c.id).where(phones.c.id.in_(listed(ids, self._is_sqlite)))
        return list((await self._connection.execute(query.order_by(phones.c.name_key, phones.c.id))).scalars())

    async def of_ids(self, ids: Sequence[str]) -> Widths:
        these = listed(ids, self._is_sqlite)
        most_lines = sa.select(sa.func.max(lines.c.position)).where(lines.c.phone_id.in_(these))
        keys = sa.select(sa.func.max(sa.func.json_array_length(phones.c.line_keys))).where(phones.c.id.in_(these))
        names = sa.select(phone_overrides.c.name).where(phone_overrides.c.phone_id.in_(these)).distinct()
        found = [(await self._connection.execute(query)).scalar() or 0 for query in (most_lines, keys)]
        settings = (await self._connection.execute(names.order_by(phone_overrides.c.name))).scalars()
        nobody = sa.select(phones.c.id).where(phones.c.id.in_(these), phones.c.logged_out).limit(1)
        return Widths(found[0], found[1], tuple(settings), bool((await self._connection.execute(nobody)).first()))
