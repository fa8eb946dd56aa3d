"""Jobs as people ask for them: made, looked at, stopped, resumed, undone. They are run by job_runner.py, and what they
do is written in kinds (job_kinds.py).

Whoever made a job sees it. Jobs of others are seen with `jobs:view`, and stopped or resumed with `jobs:stop`, held
everywhere: a job has no site. A resumed job goes on with the permissions of who made it, so whoever resumes it must
have these as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import ITEM_STATES, JOB_STATES, Job, JobItem
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound
from ztp_server.services.job_kinds import Kinds, PacedKind, StepKind
from ztp_server.services.job_runner import LEASE_SECONDS, JobRunner
from ztp_server.services.paced_run import settle_left
from ztp_server.store import Session, Store
from ztp_server.store.jobs import new_job_id

# Of the file that a job reads: what is sealed, and later held in memory, as one piece.
FILE_PART = 256 * 1024


class Jobs:
    def __init__(self, store: Store, kinds: Kinds, runner: JobRunner) -> None:
        self._store = store
        self._kinds = kinds
        self._runner = runner

    async def submit(
        self, who: Actor, kind: str, order: Mapping[str, Any], items: Iterable[JobItem], *, run_here: bool = False,
        not_before: datetime | None = None, not_after: datetime | None = None,
    ) -> Job:  # fmt: skip
        """Make a job of these items, to be done in that time. `run_here` keeps it for this process, which then calls
        `JobRunner.run`."""
        async with self._store.write() as session:
            job = replace(self._new(who, kind, order), not_before=not_before, not_after=not_after)
            await session.jobs.add(job, items)
            return await self._begin(session, job.id, run_here)

    async def submit_in(
        self, session: Session, who: Actor, kind: str, order: Mapping[str, Any], items: Iterable[JobItem]
    ) -> Job:
        """Make a job in a transaction that does more."""
        job = self._new(who, kind, order)
        await session.jobs.add(job, items)
        return await self._begin(session, job.id, False)

    async def submit_file(
        self, who: Actor, kind: str, order: Mapping[str, Any], file: Iterable[bytes], *, run_here: bool = False
    ) -> Job:
        """Make a job that reads a file, whole or not at all. `file` gives pieces of at most FILE_PART bytes and is
        read while others wait to write: whoever receives it slowly has it at hand first."""
        async with self._store.write() as session:
            job = self._new(who, kind, order)
            await session.jobs.add(job, ())
            for number, part in enumerate(file, 1):
                await session.jobs.add_file_part(job.id, number, part)
            return await self._begin(session, job.id, run_here)

    async def page(
        self, who: Actor, *, below: str = "", limit: int = 100, state: str = "", kind: str = ""
    ) -> list[Job]:
        """Jobs, newest first, made before the one named. Raises BadValue for an unknown state."""
        _check_state("state", state, JOB_STATES)
        actor = None if who.may("jobs:view") else who.name
        async with self._store.read() as session:
            return await session.jobs.page(actor=actor, below=below, limit=limit, state=state, kind=kind)

    async def get(self, who: Actor, job_id: str) -> Job:
        """Raises NotFound."""
        async with self._store.read() as session:
            return await _seen(session, who, job_id)

    async def items(
        self, who: Actor, job_id: str, *, after: int = 0, limit: int = 100, state: str = ""
    ) -> list[JobItem]:
        """What became of each thing, by position, behind the one named. Raises NotFound, and BadValue for an unknown
        state."""
        _check_state("state", state, ITEM_STATES)
        async with self._store.read() as session:
            await _seen(session, who, job_id)
            return await session.jobs.items(job_id, after=after, limit=limit, state=state)

    async def stop(self, who: Actor, job_id: str) -> Job:
        """Ask a job to stop; what it did stays done. Raises NotFound, Forbidden, and Conflict when it has ended."""
        async with self._store.write() as session:
            job = await self._governed(session, who, job_id)
            if job.ended:
                raise Conflict(f"job {job_id} is {job.state} already")
            await session.audit.add(who, "job.stopped", job_id)
            if job.is_run_at(datetime.now(UTC)):
                await session.jobs.ask_to_stop(job_id)
            else:
                await settle_left(session, self._kinds.get(job.kind), job)
                await session.jobs.end(job_id, "stopped")
            return await session.jobs.get(job_id)

    async def resume(self, who: Actor, job_id: str, *, run_here: bool = False) -> Job:
        """Let a stopped or failed job go on with what is pending, and one that waits run here. Raises NotFound,
        Forbidden, and Conflict when there is nothing to go on with."""
        async with self._store.write() as session:
            job = await self._governed(session, who, job_id)
            if not who.covers(job.who.grants):
                raise Forbidden("all that the job was made with")
            if not job.ended:
                return job
            if not isinstance(self._kinds.get(job.kind), (StepKind, PacedKind)):
                raise Conflict(f"job {job_id} did nothing, and its file is gone; start it anew")
            if job.done == job.total:
                raise Conflict(f"job {job_id} has nothing left to do")
            await session.audit.add(who, "job.resumed", job_id)
            await session.jobs.queue_again(job_id)
            return await self._begin(session, job_id, run_here)

    async def undo(self, who: Actor, job_id: str, *, run_here: bool = False) -> Job:
        """Make a job that takes back what another did, as far as nobody changed it since. Raises NotFound, Conflict,
        and Forbidden for one who may not see the job."""
        async with self._store.write() as session:
            undone = await _seen(session, who, job_id)
            kind = self._kinds.get(undone.kind)
            if kind is None or not kind.undoable:
                raise Conflict(f"a job of kind {undone.kind} cannot be undone")
            if not undone.ended:
                raise Conflict(f"job {job_id} is {undone.state}; stop it first")
            job = replace(self._new(who, "undo", {"job": job_id, "kind": undone.kind}), undoes=job_id)
            await session.jobs.add(job, ())
            if not await session.jobs.add_items_to_undo(job.id, job_id):
                raise Conflict(f"job {job_id} changed nothing, or was undone already")
            return await self._begin(session, job.id, run_here)

    def shown_order(self, job: Job) -> dict[str, Any]:
        """What was asked for, without secrets."""
        kind = self._kinds.get(job.kind)
        return kind.shown(job.order) if kind else {}

    def is_undoable(self, job: Job) -> bool:
        """Whether there may be something to undo."""
        kind = self._kinds.get(job.kind)
        return bool(kind and kind.undoable and job.ended and job.summary.get("done"))

    def _new(self, who: Actor, kind: str, order: Mapping[str, Any]) -> Job:
        return Job(new_job_id(), kind, "queued", who, order)

    async def _begin(self, session: Session, job_id: str, run_here: bool) -> Job:
        if run_here:
            await session.jobs.take(job_id, self._runner.owner, LEASE_SECONDS)
        self._runner.wake()
        return await session.jobs.get(job_id)

    async def _governed(self, session: Session, who: Actor, job_id: str) -> Job:
        job = await _seen(session, who, job_id)
        if job.who.name != who.name:
            who.require("jobs:stop")
        return job


async def _seen(session: Session, who: Actor, job_id: str) -> Job:
    job = await session.jobs.get(job_id)
    if job.who.name != who.name and not who.may("jobs:view"):
        raise NotFound(f"no job {job_id[:64]}")
    return job


def _check_state(field: str, state: str, known: Iterable[str]) -> None:
    if state and state not in known:
        raise BadValue(field, f"must be one of {', '.join(known)}")
