"""Phones that asked and are none of ours. Whoever can send a request fills this table, so it is bounded, and what is
read from it may be anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import NotFound
from ztp_server.store.schema import phones
from ztp_server.store.schema_trust import unknown_phones

# Of those that wait and, apart from them, of those that were denied.
MOST = 10_000
WAITING_KEPT = timedelta(hours=24)
DENIED_KEPT = timedelta(days=90)
_BATCH = 500
_COLUMNS = tuple(field.name for field in fields(UnknownPhone))
_OWN = unknown_phones.c
_IS_DENIED = _OWN.denied_by != ""


class UnknownPhoneStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, mac: str) -> UnknownPhone:
        """Raises NotFound."""
        found = await self.of([mac])
        if mac not in found:
            raise NotFound(f"no unknown phone {mac}")
        return found[mac]

    async def of(self, macs: Iterable[str]) -> dict[str, UnknownPhone]:
        """Those of these MACs that are listed and can be read."""
        wanted = list(macs)
        found: dict[str, UnknownPhone] = {}
        for start in range(0, len(wanted), _BATCH):
            query = sa.select(unknown_phones).where(_OWN.mac.in_(wanted[start : start + _BATCH]))
            found |= {phone.mac: phone for phone in await self._readable(query)}
        return found

    async def page(
        self,
        now: datetime,
        after: tuple[datetime, str] | None,
        limit: int,
        *,
        denied: bool,
        vendor: str = "",
        model: str = "",
    ) -> list[UnknownPhone]:
        """Those that wait, or were denied: the one that came last first, behind the time and MAC of the last one seen.
        What is a phone by now is left out, and so is what cannot be read."""
        query = sa.select(unknown_phones).where(_IS_DENIED if denied else ~_IS_DENIED, _is_kept(now))
        query = query.where(~sa.exists().where(phones.c.hardware_id == _OWN.mac))
        for column, wanted in ((_OWN.vendor, vendor), (_OWN.model, model)):
            if wanted:
                query = query.where(column == wanted)
        if after is not None:
            same = sa.and_(_OWN.first_at == after[0], _OWN.mac > after[1])
            query = query.where(sa.or_(_OWN.first_at < after[0], same))
        return await self._readable(query.order_by(_OWN.first_at.desc(), _OWN.mac).limit(limit))

    async def keep(self, rows: Sequence[UnknownPhone]) -> None:
        """Keep these instead of what was kept of their MACs. Whoever calls makes room."""
        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(unknown_phones)
        statement = statement.on_conflict_do_update(
            index_elements=["mac"], set_={name: statement.excluded[name] for name in _COLUMNS if name != "mac"}
        )
        if rows:
            values = [asdict(row) | {"files": list(row.files)} for row in rows]
            await self._connection.execute(statement, values)

    async def make_room(self, now: datetime) -> int:
        """Forget what is past keeping, and beyond MOST those that were seen longest ago; returns how many."""
        gone = (await self._connection.execute(sa.delete(unknown_phones).where(sa.not_(_is_kept(now))))).rowcount
        for kind in (_IS_DENIED, ~_IS_DENIED):
            count = sa.select(sa.func.count()).select_from(unknown_phones).where(kind)
            beyond = (await self._connection.execute(count)).scalar_one() - MOST
            if beyond > 0:
                longest_ago = sa.select(_OWN.mac).where(kind).order_by(_OWN.last_at, _OWN.mac).limit(beyond)
                await self._connection.execute(sa.delete(unknown_phones).where(_OWN.mac.in_(longest_ago)))
                gone += beyond
        return gone

    async def forget(self, mac: str) -> bool:
        """Returns whether it was listed."""
        gone = await self._connection.execute(sa.delete(unknown_phones).where(_OWN.mac == mac))
        return gone.rowcount > 0

    async def _readable(self, query: sa.Select[Any]) -> list[UnknownPhone]:
        """The rows of a query, but for those whose values are none."""
        bad: set[str] = set()
        while True:
            good = query.where(_OWN.mac.not_in(sorted(bad))) if bad else query
            try:
                return [_read(row) for row in await self._connection.execute(good)]
            except (ValueError, TypeError):
                bad |= await self._unreadable(good, bad)

    async def _unreadable(self, query: sa.Select[Any], known: Collection[str]) -> set[str]:
        """Which rows of a query cannot be read, one by one. Never none, or we would ask for ever."""
        found = set()
        for row in (await self._connection.execute(query.with_only_columns(_OWN.mac))).all():
            try:
                one = sa.select(unknown_phones).where(_OWN.mac == row.mac)
                [_read(whole) for whole in await self._connection.execute(one)]
            except (ValueError, TypeError):
                found.add(row.mac)
        if found <= set(known):
            raise AssertionError("a row that reads alone and not with others")
        return found


def _is_kept(now: datetime) -> sa.ColumnElement[bool]:
    waiting, denied = now - WAITING_KEPT, now - DENIED_KEPT
    return sa.or_(_OWN.last_at >= waiting, sa.and_(_IS_DENIED, _OWN.last_at >= denied))


def _read(row: sa.Row[Any]) -> UnknownPhone:
    """Raises ValueError and TypeError."""
    found = {name: row._mapping[name] for name in _COLUMNS}
    files = found["files"]
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise ValueError("files")
    return UnknownPhone(**found | {"files": tuple(files), "count": int(found["count"])})
