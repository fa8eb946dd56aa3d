"""What phones asked for and were given, time after time: a row for each run of attempts alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.attempt import Attempt, Given, MadeOf
from ztp_server.store.schema_history import check_in_runs, served_files

_BATCH = 1000
_NAMES = tuple(field.name for field in fields(Attempt) if field.name not in ("mac", "made_of", "model"))
# What one more attempt of a run changes.
_MOVING = ("last_at", "count", "address", "certificate", "firmware", "milliseconds", "made_of")

# Whose run: a phone, a file, and whether it was the phone itself. What others ask in its name never ends a run of its.
Chain = tuple[str, str, bool]


# The sites of which the one who asks may see phones, None for all.
Sites = frozenset[str] | None


class CheckInLog:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def last_runs(self, hardware_ids: Iterable[str]) -> dict[Chain, Attempt]:
        """The newest run of each chain of these phones."""
        wanted, found = list(hardware_ids), {}
        own = check_in_runs.c
        for start in range(0, len(wanted), _BATCH):
            batch = own.hardware_id.in_(wanted[start : start + _BATCH])
            newest = sa.select(sa.func.max(own.seq)).where(batch)
            newest = newest.group_by(own.hardware_id, own.file, sa.case((own.proof == "", 0), else_=1))
            for row in await self._connection.execute(sa.select(check_in_runs).where(own.seq.in_(newest))):
                found[row.hardware_id, row.file, row.proof != ""] = _read(row)
        return found

    async def add(self, new: Sequence[Attempt]) -> None:
        """Begin runs. Their tags are those of `ServedFileStore.tag`."""
        for start in range(0, len(new), _BATCH):
            rows = [self._row(attempt) for attempt in new[start : start + _BATCH]]
            await self._connection.execute(sa.insert(check_in_runs), rows)

    async def prolong(self, runs: Sequence[Attempt]) -> None:
        """Keep what more attempts changed of runs that are there, each named once."""
        moving = {name: sa.bindparam(f"new_{name}", type_=check_in_runs.c[name].type) for name in _MOVING}
        statement = sa.update(check_in_runs).where(check_in_runs.c.seq == sa.bindparam("old_seq")).values(moving)
        for start in range(0, len(runs), _BATCH):
            rows = [
                {"old_seq": run.seq, **{f"new_{name}": _value(run, name) for name in _MOVING}}
                for run in runs[start : start + _BATCH]
            ]
            await self._connection.execute(statement, rows)

    async def page(
        self, hardware_id: str, *, limit: int, file: str = "", below: int | None = None, sites: Sites = None
    ) -> list[Attempt]:
        """Runs of a phone, newest first, with a number below the given one, without what was given at other sites."""
        own = check_in_runs.c
        query = sa.select(check_in_runs).where(own.hardware_id == hardware_id, _given_at(sites))
        query = query.order_by(own.seq.desc()).limit(limit)
        if file:
            query = query.where(own.file == file)
        if below is not None:
            query = query.where(own.seq < below)
        return [_read(row) for row in await self._connection.execute(query)]

    async def given(self, hardware_id: str, at: datetime, file: str = "", *, sites: Sites = None) -> list[Given]:
        """What a phone itself had been given last of each of its files (or of this one) by then, at these sites. A run
        that went on past that time counts with that time."""
        own = check_in_runs.c
        mine = sa.and_(own.hardware_id == hardware_id, own.proof != "", own.status == 200, own.first_at <= at)
        mine = sa.and_(mine, _given_at(sites))
        if file:
            mine = sa.and_(mine, own.file == file)
        newest = sa.select(sa.func.max(own.seq)).where(mine).group_by(own.file)
        query = (
            sa.select(own.file, own.etag, own.last_at, served_files.c.size)
            .outerjoin(served_files, served_files.c.etag == own.etag)
            .where(own.seq.in_(newest))
            .order_by(own.file)
        )
        rows = await self._connection.execute(query)
        return [Given(row.file, row.etag, min(row.last_at, at), row.size) for row in rows]

    async def forget(self, before: datetime, most: int) -> int:
        """Remove at most so many runs that ended before then; returns how many."""
        own = check_in_runs.c
        old = sa.select(own.seq).where(own.last_at < before).limit(most)
        return (await self._connection.execute(sa.delete(check_in_runs).where(own.seq.in_(old)))).rowcount

    @staticmethod
    def _row(attempt: Attempt) -> dict[str, Any]:
        row = {name: _value(attempt, name) for name in (*_NAMES, "made_of") if name != "seq"}
        return row | {"hardware_id": attempt.mac}


def _given_at(sites: Sites) -> sa.ColumnElement[bool]:
    """Whether a run's file was made for one of these sites, or for none: its MAC may have been a phone elsewhere."""
    if sites is None:
        return sa.true()
    site = check_in_runs.c.made_of["site"].as_string()
    return sa.or_(site.is_(None), site.in_(sorted(sites)))


def _value(attempt: Attempt, name: str) -> Any:
    if name == "made_of":
        return attempt.made_of.as_dict() if attempt.made_of else {}
    return getattr(attempt, name)


def _read(row: sa.Row[Any]) -> Attempt:
    found = row._mapping
    return Attempt(
        mac=found["hardware_id"],
        made_of=MadeOf.read(found["made_of"]),
        **{name: found[name] for name in _NAMES},
    )
