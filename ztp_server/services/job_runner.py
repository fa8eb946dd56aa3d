"""The running of jobs: one at a time in a process, and never one job in two processes. Those that speak to the network
wait most of the time: some of them are run at once, beside the others.

A process runs a job while it holds its lease, which every step takes anew within its own transaction. One that lost it
(stopped by a debugger, say, for longer than the lease) does nothing more. A job whose process was killed is free as
soon as its lease has run out.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from ztp_server.domain.job import DAMAGED_ORDER, RETENTION_DAYS, Job, JobItem
from ztp_server.errors import Damaged, ImportRefused, Refused, StoreUnavailable
from ztp_server.services.job_kinds import Kind, Kinds, PacedKind, Progress, StepKind, WholeKind
from ztp_server.services.paced_run import Claim, PacedRun
from ztp_server.store import Session, Store

# Items of one step: the lock is held for a fraction of a second, and a kill loses no more than this.
STEP = 50
LEASE_SECONDS = 10.0
# How often a process looks for jobs of others, follows a job that another runs, or says how far it is.
LOOK_SECONDS = 1.0
# Of those that speak to the network, how many a process runs at once: one phone does not wait for a thousand others.
# And of one actor: nobody takes all the places, with whatever many jobs.
PACED_AT_ONCE = 8
PACED_OF_ONE = 4
_DAY = timedelta(days=1)

log = structlog.get_logger()

Heard = Callable[[Job], object]


class _Lost(Exception):
    """Another process has the job now."""


class _Stopped(Exception):
    """Somebody asked the job to stop."""


class JobRunner(Claim):
    def __init__(self, store: Store, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds
        self._wake, self._wake_paced = asyncio.Event(), asyncio.Event()
        self._running: set[str] = set()
        self._pruned_at: datetime | None = None
        self.owner = f"{os.getpid()}-{secrets.token_hex(8)}"

    def wake(self) -> None:
        """Say that there is a new job."""
        self._wake.set()
        self._wake_paced.set()

    async def run(self, job_id: str, heard: Heard = lambda job: None) -> Job:
        """Run a job to its end, or follow it there while another process runs it. Raises NotFound."""
        while True:
            async with self._store.read() as session:
                job = await session.jobs.get(job_id)
            heard(job)
            if job.ended:
                return job
            if not await self.try_to_run(job_id, heard):
                await asyncio.sleep(LOOK_SECONDS)

    async def run_forever(self) -> None:
        """Run what is waiting, in the order it was asked for; a server's task."""
        await asyncio.gather(self._run_others(), self._run_paced())

    async def _run_others(self) -> None:
        while True:
            self._wake.clear()
            try:
                if await self._run_next():
                    continue
                await self._prune()
            except StoreUnavailable as error:
                log.error("job.waits", reason=str(error))
            except Exception:
                log.exception("job.failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)

    async def _run_paced(self) -> None:
        """Run those that speak to the network, some at once."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._wake_paced.clear()
                try:
                    async with self._store.read() as session:
                        found = await session.jobs.waiting(kinds=self._paced, but=self._running, of_one=PACED_OF_ONE)
                    if found and len(tasks) < PACED_AT_ONCE:
                        self._running.add(found)
                        tasks.add(asyncio.create_task(self._run_one(found)))
                        continue
                except StoreUnavailable as error:
                    log.error("job.waits", reason=str(error))
                except Exception:
                    log.exception("job.failed")
                tasks = {task for task in tasks if not task.done()}
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake_paced.wait(), LOOK_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_one(self, job_id: str) -> None:
        try:
            await self.try_to_run(job_id)
        except StoreUnavailable as error:
            log.error("job.waits", reason=str(error))
        except Exception:
            log.exception("job.failed")
        finally:
            self._running.discard(job_id)

    @property
    def _paced(self) -> list[str]:
        return [name for name, kind in self._kinds.items() if isinstance(kind, PacedKind)]

    async def try_to_run(self, job_id: str, heard: Heard = lambda job: None) -> bool:
        """Run a job to its end unless another process does; returns whether we did. Raises StoreUnavailable; whoever
        looks next goes on with it."""
        async with self._store.write() as session:
            if not await session.jobs.take(job_id, self.owner, LEASE_SECONDS):
                return False
            job = await session.jobs.get(job_id)
        try:
            await self._run(self._kinds.get(job.kind), job, heard)
        except _Lost:
            return False
        except _Stopped:
            await self._end(job, "stopped", "")
        except ImportRefused as error:
            await self._refuse(job, error)
        except Refused as error:
            await self._end(job, "failed", str(error))
        except Damaged as error:
            await self._end(job, "failed", str(error))
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("job.failed", job=job.id)
            await self._end(job, "failed", "a mistake of the server; its log has more")
        except BaseException:
            async with self._store.write() as session:
                await session.jobs.let_go(job.id, self.owner)
            raise
        return True

    async def _run_next(self) -> bool:
        async with self._store.read() as session:
            found = await session.jobs.waiting(others=self._paced)
        return found is not None and await self.try_to_run(found)

    async def _run(self, kind: Kind | None, job: Job, heard: Heard) -> None:
        if DAMAGED_ORDER in job.order:
            raise Refused(job.order[DAMAGED_ORDER])
        if isinstance(kind, StepKind):
            has_more = True
            while has_more:
                has_more = await self._step(kind, job.id, heard)
        elif isinstance(kind, WholeKind):
            await self._whole(kind, job, heard)
        elif isinstance(kind, PacedKind):
            await PacedRun(self._store, kind, job, self, heard).run()
        else:
            raise Refused(f"this ztp knows no job of kind {job.kind}")

    async def _step(self, kind: StepKind, job_id: str, heard: Heard) -> bool:
        """One transaction of work; returns whether there may be more. Whoever else waits goes first then."""
        async with self._store.write() as session:
            job = await self.mine(session, job_id)
            items = await session.jobs.items(job_id, limit=STEP, state="pending")
            if items:
                results = await kind.step(session, job, items)
                if {r.position for r in results if r.state != "pending"} != {i.position for i in items}:
                    raise AssertionError(f"{kind.name} left items of a step pending")
                job = await session.jobs.settle(job, results)
            else:
                await session.jobs.end(job_id, "done")
        heard(job)
        await asyncio.sleep(0)
        return bool(items)

    async def _whole(self, kind: WholeKind[Any], job: Job, heard: Heard) -> None:
        async with self._store.read() as session:
            seen = await session.last_change()
            prepared = await kind.prepare(session, job, session.jobs.file_parts(job.id), self._progress(job, heard))
        async with self._store.write() as session:
            job = await self.mine(session, job.id)
            if await session.last_change() != seen:
                # Somebody wrote meanwhile; what was checked, without holding up anybody, may be another thing now.
                prepared = await kind.prepare(session, job, session.jobs.file_parts(job.id), _breathe)
            report = await kind.apply(session, job, prepared)
            await session.jobs.report(job, report.items, report.total, report.summary)
            await session.jobs.end(job.id, "done")

    def _progress(self, job: Job, heard: Heard) -> Progress:
        """Says how far a job is, keeps its lease and sees that it was asked to stop, once a second at most."""
        loop = asyncio.get_running_loop()
        said_at = loop.time()

        async def progress(done: int, total: int) -> None:
            nonlocal said_at
            await asyncio.sleep(0)
            if loop.time() - said_at < LOOK_SECONDS:
                return
            said_at = loop.time()
            async with self._store.write() as session:
                await self.mine(session, job.id)
                await session.jobs.progress(job.id, done, total)
                now = await session.jobs.get(job.id)
            heard(now)

        return progress

    async def mine(self, session: Session, job_id: str) -> Job:
        """The job as it is, its lease begun anew. Raises _Lost and _Stopped."""
        job = await self.still_mine(session, job_id)
        if job is None:
            raise _Lost
        if job.stop:
            raise _Stopped
        return job

    async def still_mine(self, session: Session, job_id: str) -> Job | None:
        taken = await session.jobs.take(job_id, self.owner, LEASE_SECONDS)
        return await session.jobs.get(job_id) if taken else None

    async def _end(self, job: Job, state: Any, reason: str) -> None:
        async with self._store.write() as session:
            if await session.jobs.take(job.id, self.owner, LEASE_SECONDS):
                await session.jobs.end(job.id, state, reason)

    async def _refuse(self, job: Job, error: ImportRefused) -> None:
        items = [JobItem(n, "", "", "refused", problem) for n, problem in enumerate(error.problems, 1)]
        async with self._store.write() as session:
            if await session.jobs.take(job.id, self.owner, LEASE_SECONDS):
                await session.jobs.report(job, items, len(items), {"refused": len(items)})
                await session.jobs.end(job.id, "failed", str(error))

    async def _prune(self) -> None:
        """Once a day, forget jobs that ended long ago."""
        now = datetime.now(UTC)
        if self._pruned_at and now - self._pruned_at < _DAY:
            return
        while await self._forget(now - timedelta(days=RETENTION_DAYS)):
            continue
        self._pruned_at = now

    async def _forget(self, before: datetime) -> int:
        async with self._store.write() as session:
            return await session.jobs.remove_ended_before(before)


async def _breathe(_done: int, _total: int) -> None:
    await asyncio.sleep(0)
