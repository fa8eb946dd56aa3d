"""Jobs, what became of each of their items, and the files they read."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.access import Actor, Grant
from ztp_server.domain.job import DAMAGED_ORDER, ENDED, Job, JobItem, JobState, counted
from ztp_server.domain.told import Told
from ztp_server.errors import Damaged, NotFound
from ztp_server.store import places
from ztp_server.store.job_conditions import WAITING, is_over, may_begin
from ztp_server.store.schema_access import job_files, job_items, jobs
from ztp_server.store.vault import Vault

_BATCH = 1000
_LAST = 2**31 - 1


def new_job_id() -> str:
    """An id of 32 hex digits; those of later jobs sort behind."""
    return f"{int(datetime.now(UTC).timestamp() * 1000):012x}{secrets.token_hex(10)}"


class JobStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def add(self, job: Job, items: Iterable[JobItem]) -> int:
        """Keep a new job with its items; returns how many there are."""
        row = {
            "id": job.id,
            "kind": job.kind,
            "state": job.state,
            "actor": job.who.name[:255],
            "grants": [{"permissions": sorted(g.permissions), "site": g.site} for g in job.who.grants],
            "order": self._sealed_order(job),
            "total": 0,
            "done": 0,
            "failed": 0,
            "summary": dict(job.summary),
            "reason": "",
            "stop": False,
            "undoes": job.undoes,
            "owner": job.owner,
            "lease_until": job.lease_until,
            "created_at": datetime.now(UTC),
            "not_before": job.not_before,
            "not_after": job.not_after,
        }
        await self._connection.execute(sa.insert(jobs).values(row))
        total = await self.add_items(job.id, items)
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(total=total))
        return total

    async def add_items(self, job_id: str, items: Iterable[JobItem]) -> int:
        """Keep items of a job; returns how many."""
        rows: list[dict[str, Any]] = []
        count = 0
        for item in items:
            count += 1
            rows.append(self._item_row(job_id, item))
            if len(rows) == _BATCH:
                await self._connection.execute(sa.insert(job_items), rows)
                rows = []
        if rows:
            await self._connection.execute(sa.insert(job_items), rows)
        return count

    async def add_items_to_undo(self, job_id: str, undone: str) -> int:
        """Give a job an item, at the same position, for each one that another did; returns how many."""
        columns = ("job_id", "position", "subject", "label", "state", "detail", "undo")
        query = sa.select(
            sa.literal(job_id),
            *(job_items.c.position, job_items.c.subject, job_items.c.label),
            *(sa.literal("pending"), sa.literal(""), sa.literal("")),
        ).where(job_items.c.job_id == undone, job_items.c.state == "done")
        result = await self._connection.execute(sa.insert(job_items).from_select(columns, query))
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(total=result.rowcount))
        return result.rowcount

    async def extend(self, job: Job, items: Iterable[JobItem]) -> None:
        """Give a job that was not begun more items, behind those it has, and the order as it is in `job`."""
        count = await self.add_items(job.id, (replace(item, position=item.position + job.total) for item in items))
        values = {"total": job.total + count, "order": self._sealed_order(job)}
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))

    async def get(self, job_id: str) -> Job:
        """Raises NotFound."""
        row = (await self._connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).first()
        if row is None:
            raise NotFound(f"no job {job_id[:64]}")
        return self._job(row._mapping)

    async def page(
        self, *, actor: str | None = None, below: str = "", limit: int = 100, state: str = "", kind: str = ""
    ) -> list[Job]:
        """Jobs, newest first, with an id below the given one: all, or those of an actor."""
        query = sa.select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        for column, wanted in ((jobs.c.actor, actor), (jobs.c.state, state or None), (jobs.c.kind, kind or None)):
            if wanted is not None:
                query = query.where(column == wanted)
        if below:
            query = query.where(jobs.c.id < below)
        return [self._job(row._mapping) for row in await self._connection.execute(query)]

    async def items(self, job_id: str, *, after: int = 0, limit: int = 100, state: str = "") -> list[JobItem]:
        """Items by position, behind the given one; without what it takes to undo them."""
        query = sa.select(job_items).where(job_items.c.job_id == job_id, job_items.c.position > min(after, _LAST))
        if state:
            query = query.where(job_items.c.state == state)
        rows = await self._connection.execute(query.order_by(job_items.c.position).limit(limit))
        return [JobItem(r.position, r.subject, r.label, r.state, r.detail, told=Told.read(r.told)) for r in rows]

    async def undo_of(self, job_id: str, positions: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """What it takes to take back items that were done, by position (at most 1000); not what does not open any
        more."""
        query = sa.select(job_items).where(
            job_items.c.job_id == job_id, job_items.c.position.in_(positions), job_items.c.state == "done"
        )
        rows = await self._connection.execute(query)
        found: dict[int, Mapping[str, Any]] = {}
        for row in rows:
            with suppress(Damaged):
                text = self._vault.open(row.undo, places.job_undo(job_id, row.position))
                found[row.position] = json.loads(text or "{}")
        return found

    async def waiting(
        self, *, kinds: Collection[str] | None = None, others: Collection[str] = (), but: Collection[str] = (),
        of_one: int | None = None,
    ) -> str | None:  # fmt: skip
        """The oldest job whose time has come and that nobody runs: queued, or left by one whose time ran out. Of these
        `kinds` (None: of all) without `others`, and none of the ids `but`, nor of who made so many of these (`of_one`;
        None: however many)."""
        now = datetime.now(UTC)
        free = sa.or_(jobs.c.owner == "", is_over(now))
        query = sa.select(jobs.c.id).where(jobs.c.state.in_(WAITING), free, may_begin(now))
        query = query.where(jobs.c.kind.not_in(others), jobs.c.id.not_in(but))
        if kinds is not None:
            query = query.where(jobs.c.kind.in_(kinds))
        if of_one is not None:
            made = sa.select(jobs.c.actor).where(jobs.c.id.in_(but)).group_by(jobs.c.actor)
            query = query.where(jobs.c.actor.not_in(made.having(sa.func.count() >= of_one)))
        return (await self._connection.execute(query.order_by(jobs.c.id).limit(1))).scalar()

    async def take(self, job_id: str, owner: str, seconds: float) -> bool:
        """Take or keep the right to run a job for some seconds; False when another has it, it has ended, or its time
        has not come."""
        now = datetime.now(UTC)
        free = sa.or_(jobs.c.owner.in_(("", owner)), is_over(now))
        result = await self._connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state.in_(WAITING), free, may_begin(now))
            .values(
                state="running",
                owner=owner,
                lease_until=now + timedelta(seconds=seconds),
                started_at=sa.func.coalesce(jobs.c.started_at, sa.literal(now, jobs.c.started_at.type)),
            )
        )
        return result.rowcount == 1

    async def let_go(self, job_id: str, owner: str) -> None:
        """Give the right to run a job back, for the next one to take it at once."""
        mine = sa.and_(jobs.c.id == job_id, jobs.c.owner == owner)
        await self._connection.execute(sa.update(jobs).where(mine).values(owner="", lease_until=None))

    async def settle(self, job: Job, results: Sequence[JobItem]) -> Job:
        """Write down what became of items, and how far the job is with them."""
        rows = [
            {
                "b_position": r.position,
                "state": r.state,
                "detail": r.detail,
                "undo": self._sealed_undo(job.id, r),
            }
            for r in results
        ]
        if rows:
            which = sa.and_(job_items.c.job_id == job.id, job_items.c.position == sa.bindparam("b_position"))
            await self._connection.execute(sa.update(job_items).where(which), rows)
        after = counted(job, results)
        values = {"done": after.done, "failed": after.failed, "summary": dict(after.summary)}
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))
        return after

    async def mark_undone(self, job_id: str, positions: Sequence[int]) -> None:
        """Note that items that were done were taken back (at most 1000)."""
        which = sa.and_(job_items.c.job_id == job_id, job_items.c.position.in_(positions), job_items.c.state == "done")
        await self._connection.execute(sa.update(job_items).where(which).values(state="undone", undo=""))

    async def progress(self, job_id: str, done: int, total: int) -> None:
        """Note how far a job is that does everything at its end."""
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(done=done, total=total))

    async def report(self, job: Job, items: Sequence[JobItem], total: int, summary: Mapping[str, int]) -> None:
        """Put down the results of a job that did everything at once, in place of earlier ones."""
        await self._connection.execute(sa.delete(job_items).where(job_items.c.job_id == job.id))
        await self.add_items(job.id, items)
        failed = sum(item.state == "refused" for item in items)
        values = {"total": total, "done": total, "failed": failed, "summary": dict(summary)}
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))

    async def end(self, job_id: str, state: JobState, reason: str = "") -> None:
        """End a job; the file it read goes."""
        values: dict[str, Any] = {"state": state, "reason": reason[:255], "owner": "", "lease_until": None}
        if state in ENDED:
            values |= {"finished_at": datetime.now(UTC), "stop": False}
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(values))
        await self._connection.execute(sa.delete(job_files).where(job_files.c.job_id == job_id))

    async def ask_to_stop(self, job_id: str) -> None:
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(stop=True))

    async def queue_again(self, job_id: str, owner: str = "", seconds: float = 0) -> None:
        """Let an ended job go on with what is still to be done; `owner` runs it at once."""
        until = datetime.now(UTC) + timedelta(seconds=seconds) if owner else None
        values = {"state": "queued", "reason": "", "stop": False, "owner": owner, "lease_until": until}
        await self._connection.execute(
            sa.update(jobs).where(jobs.c.id == job_id).values(**values, finished_at=sa.null())
        )

    async def add_file_part(self, job_id: str, part: int, body: bytes) -> None:
        """Keep a part (counted from 1) of the file a job reads, sealed."""
        sealed = self._vault.seal(body.decode("latin-1"), places.job_file(job_id, part))
        await self._connection.execute(sa.insert(job_files).values(job_id=job_id, part=part, body=sealed))

    async def file_parts(self, job_id: str) -> AsyncIterator[bytes]:
        """The parts of the file a job reads, in order, one in memory at a time."""
        part = 0
        while True:
            part += 1
            query = sa.select(job_files.c.body).where(job_files.c.job_id == job_id, job_files.c.part == part)
            sealed = (await self._connection.execute(query)).scalar()
            if sealed is None:
                return
            yield self._vault.open(sealed, places.job_file(job_id, part)).encode("latin-1")

    async def remove_ended_before(self, before: datetime, most: int = 2000) -> int:
        """Forget the oldest job that ended before a time, so many of its items at a time and then itself; returns how
        many rows that were."""
        query = sa.select(jobs.c.id).where(jobs.c.finished_at < before).order_by(jobs.c.id).limit(1)
        job_id = (await self._connection.execute(query)).scalar()
        if job_id is None:
            return 0
        own = sa.select(job_items.c.position).where(job_items.c.job_id == job_id)
        part = sa.and_(
            job_items.c.job_id == job_id, job_items.c.position.in_(own.order_by(job_items.c.position).limit(most))
        )
        removed = (await self._connection.execute(sa.delete(job_items).where(part))).rowcount
        if removed < most:
            await self._connection.execute(sa.delete(jobs).where(jobs.c.id == job_id))
        return removed + 1

    def _item_row(self, job_id: str, item: JobItem) -> dict[str, Any]:
        return {
            "job_id": job_id,
            "position": item.position,
            "subject": item.subject[:64],
            "label": item.label[:255],
            "state": item.state,
            "detail": item.detail,
            "undo": self._sealed_undo(job_id, item),
        }

    def _sealed_order(self, job: Job) -> dict[str, str]:
        return {"sealed": self._vault.seal(json.dumps(dict(job.order)), places.job_order(job.id))}

    def _sealed_undo(self, job_id: str, item: JobItem) -> str:
        text = json.dumps(dict(item.undo)) if item.undo else ""
        return self._vault.seal(text, places.job_undo(job_id, item.position))

    def _job(self, row: Any) -> Job:
        grants = tuple(Grant(frozenset(g["permissions"]), g["site"]) for g in row["grants"])
        own = ("id", "kind", "state", "total", "done", "failed", "summary", "reason", "stop", "undoes", "owner")
        times = ("lease_until", "created_at", "started_at", "finished_at", "not_before", "not_after")
        try:
            order = json.loads(self._vault.open(row["order"]["sealed"], places.job_order(row["id"])))
        except Damaged as error:
            # A list shows it, and whoever runs jobs ends it.
            order = {DAMAGED_ORDER: str(error)}
        return Job(
            **{name: row[name] for name in (*own, *times)},
            who=Actor(row["actor"], grants),
            order=order,
        )
