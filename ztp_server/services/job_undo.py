"""The job that takes back what another did, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ztp_server.domain.job import Job, JobItem
from ztp_server.errors import NotFound
from ztp_server.services.job_kinds import Kinds, StepKind
from ztp_server.store import Session


class UndoKind(StepKind):
    """Its items have the positions of those they take back. What was changed since by somebody else stays."""

    name = "undo"

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        kind = self._kinds.get((await session.jobs.get(job.undoes)).kind)
        if not isinstance(kind, StepKind):
            raise NotFound(f"this ztp cannot undo job {job.undoes}")
        undo = await session.jobs.undo_of(job.undoes, [item.position for item in items])
        results = await kind.take_back(session, job, items, undo)
        await session.jobs.mark_undone(job.undoes, [r.position for r in results if r.state == "done"])
        return results
