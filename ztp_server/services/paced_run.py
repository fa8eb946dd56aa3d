"""A job that speaks to the network, run once.

Every half second a beat: a read in which the next items are looked at and those sent before are followed, then one
transaction that keeps the lease, claims what goes next and writes down what came back. In between, items are sent at
the pace of the job, without any transaction.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.moment import shown_moment
from ztp_server.domain.told import Told
from ztp_server.errors import Damaged, StoreUnavailable
from ztp_server.services.job_kinds import Kind, PacedKind, Ready
from ztp_server.services.pace import Pace
from ztp_server.services.paced_sending import Sending
from ztp_server.store import Session, Store
from ztp_server.store.paced_items import NOT_KNOWN

BEAT_SECONDS = 0.5
FOLLOW_SECONDS = 1.0
# Items claimed ahead, in seconds of the pace, and how long the next ones are looked at in each beat.
_AHEAD_SECONDS = 1.5
_LOOK_SECONDS = 0.15
_LOOK_AT = 20
_PAGE = 1000
# How long a database that does not answer is waited for; then another process may have the job.
_PATIENCE = 8


class Claim:
    """The right to run a job, as the runner sees it."""

    async def mine(self, session: Session, job_id: str) -> Job:
        """The job as it is, its lease begun anew. Raises when it is lost, or to be stopped."""
        raise NotImplementedError

    async def still_mine(self, session: Session, job_id: str) -> Job | None:
        """The job, also when it is to be stopped; None when it is lost."""
        raise NotImplementedError


class PacedRun:
    def __init__(self, store: Store, kind: PacedKind, job: Job, claim: Claim, heard: Callable[[Job], object]) -> None:
        self._store = store
        self._kind = kind
        self._job = job
        self._claim = claim
        self._heard = heard
        self._per_second = kind.per_second(job.order)
        self._sending = Sending(kind, Pace(self._per_second, asyncio.get_running_loop().time()))
        # What the next transaction has to write, by position where it is items.
        self._claimed: list[Ready] = []
        self._unsent: list[Ready] = []
        self._sent: list[JobItem] = []
        self._results: dict[int, JobItem] = {}
        self._followed: dict[int, JobItem] = {}
        self._looked_at = 0
        self._has_seen_all = False
        self._followed_at = 0.0

    async def run(self) -> None:
        """Go on with the job until all of it is settled, and end it."""
        await self._take_up()
        self._sending.start()
        try:
            failed = 0
            while True:
                try:
                    if await self._beat():
                        return
                    failed = 0
                except Damaged:
                    raise
                except StoreUnavailable:
                    failed += 1
                    if failed == _PATIENCE:
                        raise
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            await self._wind_up(NOT_KNOWN, is_stopped=False)
            raise
        except BaseException:
            await self._wind_up("not known: the job was stopped while it was sent", is_stopped=True)
            raise
        finally:
            self._sending.close()

    async def _take_up(self) -> None:
        """What an earlier process left under way: followed, if it was sent; else nobody knows."""
        async with self._store.read() as session:
            after = 0
            while True:
                left = await session.jobs.items(self._job.id, after=after, limit=_PAGE, state="under_way")
                lost = [self._sending.unknown(item) for item in left if not item.told]
                self._followed |= {item.position: item for item in left if item.told}
                self._results |= {item.position: item for item in lost}
                self._sent += lost
                if len(left) < _PAGE:
                    return
                after = left[-1].position

    async def _beat(self) -> bool:
        """Returns whether the job has ended."""
        is_closed = self._job.not_after is not None and datetime.now(UTC) >= self._job.not_after
        async with self._store.read() as session:
            if not is_closed:
                await self._look_ahead(session)
            self._take_sent()
            await self._follow(session)
        if is_closed:
            self._claimed.clear()
            self._unsent += self._sending.take_back()
        # Cancelled in the middle, nobody could tell whether it was written.
        writing = asyncio.create_task(self._write(is_closed))
        try:
            ended = await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(Exception):
                await writing
            raise
        self._heard(self._job)
        return ended

    async def _look_ahead(self, session: Session) -> None:
        """Find the next items that can be sent; the others among them are settled, and take no time of the pace."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        wanted = math.ceil(self._per_second * _AHEAD_SECONDS) - self._sending.waiting
        while len(self._claimed) < wanted and not self._has_seen_all and loop.time() - started < _LOOK_SECONDS:
            items = await session.jobs.items(self._job.id, after=self._looked_at, limit=_LOOK_AT, state="pending")
            for result in await self._kind.ready(session, self._job, items) if items else ():
                if isinstance(result, Ready):
                    self._claimed.append(result)
                else:
                    self._results[result.position] = result
            self._has_seen_all = not items
            self._looked_at = items[-1].position if items else self._looked_at

    def _take_sent(self) -> None:
        for item in self._sending.take_results():
            self._sent.append(item)
            self._results[item.position] = item
            if item.state == "under_way":
                self._followed[item.position] = item

    async def _follow(self, session: Session) -> None:
        now = asyncio.get_running_loop().time()
        if not self._followed or now - self._followed_at < FOLLOW_SECONDS:
            return
        self._followed_at = now
        for item in await self._kind.follow(session, self._job, list(self._followed.values())):
            self._results[item.position] = item
            self._sending.release(item.position)
            if item.state == "under_way":
                self._followed[item.position] = item
            else:
                del self._followed[item.position]

    async def _write(self, is_closed: bool) -> bool:
        """One transaction. What it could not write is written by the next."""
        under_way = len(self._claimed) + self._sending.under_way + len(self._followed)
        async with self._store.write() as session:
            job = await self._claim.mine(session, self._job.id)
            await session.paced_items.claim(job.id, [ready.item.position for ready in self._claimed])
            job = await self._keep(session, job, under_way)
            if is_closed and job.not_after:
                reason = f"its time was over: it was to be done by {shown_moment(job.not_after)}"
                job = await session.paced_items.refuse_pending(job, reason, under_way)
            ended = (is_closed or self._has_seen_all) and not under_way
            if ended:
                await session.jobs.end(job.id, "done")
        self._job, self._has_seen_all = job, self._has_seen_all or is_closed
        self._sending.add(self._claimed)
        for written in (self._claimed, self._results, self._sent, self._unsent):
            written.clear()
        return ended

    async def _keep(self, session: Session, job: Job, under_way: int) -> Job:
        await session.paced_items.give_back(job.id, [ready.item.position for ready in self._unsent])
        await self._kind.note(session, job, self._sent)
        return await session.paced_items.keep(job, list(self._results.values()), under_way)

    async def _wind_up(self, unknown: str, *, is_stopped: bool) -> None:
        """Write down what is known, give back what was not sent. What was sent is no longer followed when the job is
        stopped; else the next process goes on with that."""
        self._unsent += self._sending.take_back()
        await self._sending.stop(unknown)
        self._take_sent()
        if is_stopped:
            self._results |= {place: self._sending.unfollowed(item) for place, item in self._followed.items()}
            self._followed.clear()
        with suppress(StoreUnavailable):
            async with self._store.write() as session:
                job = await self._claim.still_mine(session, self._job.id)
                if job:
                    await self._keep(session, job, len(self._followed))


async def settle_left(session: Session, kind: Kind | None, job: Job) -> None:
    """Settle what a process that is gone left under way, as the next one would."""
    after = 0
    while isinstance(kind, PacedKind):
        left = await session.jobs.items(job.id, after=after, limit=_PAGE, state="under_way")
        await kind.note(session, job, [replace(item, told=Told()) for item in left if not item.told])
        if len(left) < _PAGE:
            await session.paced_items.settle_left(job)
            return
        after = left[-1].position
