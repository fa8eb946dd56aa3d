"""/jobs: work on many phones, while it goes on and afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Page, PageQuery
from ztp_server.domain.job import Job
from ztp_server.services.job_views import item_view, job_view

routes = Routes("jobs", "Work on many phones: how far it is, what became of each, stopped, resumed, undone.")

JobState = Literal["queued", "running", "done", "stopped", "failed"]
ItemState = Literal["pending", "under_way", "done", "unchanged", "refused", "undone"]


class JobRecord(Answer):
    """A job. Of `total` things `done` are settled, `failed` of these refused; `summary` counts the settled ones by
    state. `order` is what was asked for, secrets as `***`."""

    id: str
    kind: str
    state: JobState
    actor: str
    order: dict[str, Any]
    total: int
    done: int
    failed: int
    summary: dict[ItemState, int]
    reason: str
    stopping: bool
    undoes: str | None
    undoable: bool
    created_at: datetime
    not_before: datetime | None
    not_after: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class ToldRecord(Answer):
    """What became of telling a phone something. `way` is how it was told; `code` the number of its answer, 0 without
    one; `fetched` and `registered` after how many seconds it was seen to ask for a file, and to register, again (null:
    it was not, or nobody tells)."""

    sent_at: datetime | None
    way: str
    answer: Literal["answered", "not_supported", "declined", "not_reached", "not_known"]
    code: int
    fetched: float | None
    registered: float | None


class JobItemRecord(Answer):
    """What became of one thing of a job: `subject` is a phone's id, `detail` why it was refused, or what it answered.
    `told` is null where nothing was sent to a phone."""

    position: int
    subject: str
    label: str
    state: ItemState
    detail: str
    told: ToldRecord | None


class JobQuery(PageQuery):
    """Which jobs."""

    state: JobState | None = None
    kind: str | None = Field(None, max_length=32)


class JobItemQuery(PageQuery):
    """Which items."""

    state: ItemState | None = None


def job_record(call: Call, job: Job) -> dict[str, Any]:
    """A job as it is answered."""
    known = call.services.jobs
    return job_view(job, known.shown_order(job), undoable=known.is_undoable(job))


def accepted(call: Call, job: Job) -> Reply:
    """A job that was made just now."""
    return Reply(job_record(call, job), status=202, location=f"/jobs/{job.id}")


@routes.get("/jobs", answer=Page[JobRecord])
async def list_jobs(call: Call, query: JobQuery) -> Any:
    """List jobs, the newest first.

    Your own; those of others with the permission jobs:view, held everywhere."""
    place = read_cursor(query.cursor, str)
    found = await call.services.jobs.page(
        call.who,
        below=place[0] if place else "",
        limit=query.limit + 1,
        state=query.state or "",
        kind=query.kind or "",
    )
    shown = found[: query.limit]
    more = make_cursor(shown[-1].id) if len(found) > query.limit else None
    return page((job_record(call, job) for job in shown), more)


@routes.get("/jobs/{id}", answer=JobRecord)
async def get_job(call: Call, id: str) -> Any:
    """Show a job, and how far it is."""
    return job_record(call, await call.services.jobs.get(call.who, id))


@routes.get("/jobs/{id}/items", answer=Page[JobItemRecord])
async def list_job_items(call: Call, id: str, query: JobItemQuery) -> Any:
    """List what became of each thing of a job."""
    place = read_cursor(query.cursor, int)
    found = await call.services.jobs.items(
        call.who, id, after=place[0] if place else 0, limit=query.limit + 1, state=query.state or ""
    )
    shown = found[: query.limit]
    more = make_cursor(shown[-1].position) if len(found) > query.limit else None
    return page(map(item_view, shown), more)


@routes.post("/jobs/{id}/stop", answer=JobRecord, status=202)
async def stop_job(call: Call, id: str) -> Any:
    """Ask a job to stop.

    What it did stays done, and it can be resumed or undone. One that nobody runs stops at once; one that is running,
    within a second or two. Jobs of others need the permission jobs:stop."""
    return accepted(call, await call.services.jobs.stop(call.who, id))


@routes.post("/jobs/{id}/resume", answer=JobRecord, status=202)
async def resume_job(call: Call, id: str) -> Any:
    """Go on with a job that was stopped or failed.

    It goes on for whoever made it; to resume a job of somebody else takes all the permissions they had."""
    return accepted(call, await call.services.jobs.resume(call.who, id))


@routes.post("/jobs/{id}/undo", answer=JobRecord, status=202)
async def undo_job(call: Call, id: str) -> Any:
    """Take back what a job did, by a new job.

    A phone that was changed since stays as it is; the new job names it."""
    return accepted(call, await call.services.jobs.undo(call.who, id))
