"""Items of jobs that speak to the network: claimed before they are sent, settled once it is known what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.job import Job, JobItem, counted
from ztp_server.store.schema_access import job_items, jobs

# Why nobody knows what became of a phone.
NOT_KNOWN = "not known: the server stopped while it was sent"


class PacedItemStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim(self, job_id: str, positions: Sequence[int]) -> None:
        """Note that these are about to be sent: from here on nobody else sends them, whatever happens to us."""
        await self._move(job_id, positions, "pending", "under_way")

    async def give_back(self, job_id: str, positions: Sequence[int]) -> None:
        """Let these, that were claimed and never sent, be sent later."""
        await self._move(job_id, positions, "under_way", "pending")

    async def keep(self, job: Job, results: Sequence[JobItem], under_way: int) -> Job:
        """Write down what became of items: settled, or sent and still `under_way`, which so many of the job are."""
        rows = [
            {
                "b_position": item.position,
                "state": item.state,
                "detail": item.detail,
                "told": item.told and item.told.as_dict(),
            }
            for item in results
        ]
        if rows:
            which = sa.and_(job_items.c.job_id == job.id, job_items.c.position == sa.bindparam("b_position"))
            await self._connection.execute(sa.update(job_items).where(which), rows)
        return await self._count(counted(job, [item for item in results if item.state != "under_way"]), under_way)

    async def settle_left(self, job: Job) -> Job:
        """Settle what a process that is gone left under way: what was told is done, of the rest nobody knows."""
        left = sa.and_(job_items.c.job_id == job.id, job_items.c.state == "under_way")
        lost = await self._connection.execute(
            sa.update(job_items).where(left, job_items.c.told.is_(None)).values(state="refused", detail=NOT_KNOWN)
        )
        done = await self._connection.execute(sa.update(job_items).where(left).values(state="done"))
        summary = dict(job.summary)
        for state, count in (("refused", lost.rowcount), ("done", done.rowcount)):
            if count:
                summary[state] = summary.get(state, 0) + count
        settled = lost.rowcount + done.rowcount
        after = replace(job, done=job.done + settled, failed=job.failed + lost.rowcount, summary=summary)
        return await self._count(after, 0)

    async def refuse_pending(self, job: Job, reason: str, under_way: int) -> Job:
        """Refuse all that was not begun."""
        left = sa.and_(job_items.c.job_id == job.id, job_items.c.state == "pending")
        count = (
            await self._connection.execute(sa.update(job_items).where(left).values(state="refused", detail=reason))
        ).rowcount
        summary = {**job.summary, "refused": job.summary.get("refused", 0) + count} if count else job.summary
        return await self._count(
            replace(job, done=job.done + count, failed=job.failed + count, summary=summary), under_way
        )

    async def not_begun(self, actor: str, kind: str) -> set[str]:
        """What jobs of one kind that somebody made, and that go on, are about and did not begin with yet."""
        query = sa.select(job_items.c.subject).join(jobs, jobs.c.id == job_items.c.job_id).distinct()
        going_on = sa.and_(jobs.c.state.in_(("queued", "running")), sa.not_(jobs.c.stop))
        query = query.where(jobs.c.actor == actor, jobs.c.kind == kind, going_on)
        return set((await self._connection.execute(query.where(job_items.c.state == "pending"))).scalars())

    async def _count(self, job: Job, under_way: int) -> Job:
        summary = {state: count for state, count in job.summary.items() if state != "under_way"}
        after = replace(job, summary={**summary, "under_way": under_way} if under_way else summary)
        values: dict[str, Any] = {"done": after.done, "failed": after.failed, "summary": dict(after.summary)}
        await self._connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(values))
        return after

    async def _move(self, job_id: str, positions: Sequence[int], before: str, after: str) -> None:
        if positions:
            which = sa.and_(
                job_items.c.job_id == job_id, job_items.c.position.in_(positions), job_items.c.state == before
            )
            await self._connection.execute(sa.update(job_items).where(which).values(state=after))
