"""A job: work on many things that goes on after the one who asked for it has gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from ztp_server.domain.access import Actor
from ztp_server.domain.told import Told

JobState = Literal["queued", "running", "done", "stopped", "failed"]
# What became of one thing: `under_way` is being sent to, or was told and is followed, `unchanged` was so already,
# `undone` was done and taken back by a later job.
ItemState = Literal["pending", "under_way", "done", "unchanged", "refused", "undone"]
JOB_STATES: tuple[JobState, ...] = ("queued", "running", "done", "stopped", "failed")
ITEM_STATES: tuple[ItemState, ...] = ("pending", "under_way", "done", "unchanged", "refused", "undone")
ENDED = frozenset({"done", "stopped", "failed"})

# How long jobs and what became of each thing are kept after the job ended, in days.
RETENTION_DAYS = 90
# What stands in an order that does not open any more: why.
DAMAGED_ORDER = "damaged"


@dataclass(frozen=True, slots=True)
class Job:
    """`who` asked, with the permissions of that moment. `order` is what was asked for, as its kind reads it, and may
    hold secrets. Of `total` things `done` are settled, `failed` of these refused; `summary` counts what was settled by
    item state. `reason` is why it failed or stopped. `stop` asks it to; `undoes` is the job it takes back. Before
    `not_before` it is not begun, and after `not_after` nothing more of it is (None: at any time)."""

    id: str
    kind: str
    state: JobState
    who: Actor
    order: Mapping[str, Any] = field(repr=False)
    total: int = 0
    done: int = 0
    failed: int = 0
    summary: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    stop: bool = False
    undoes: str = ""
    owner: str = ""
    lease_until: datetime | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def is_run_at(self, now: datetime) -> bool:
        """Whether a process has it in its hands; one that was killed keeps it until its lease runs out."""
        return bool(self.owner and self.lease_until and self.lease_until > now)


@dataclass(frozen=True, slots=True)
class JobItem:
    """One thing of a job: `subject` is what it is done to (a phone's id), `label` what people call that, `detail` why
    it was refused or what it answered. `position` counts from 1. `undo` is what it takes to take it back; it may hold
    secrets. `told` is what became of telling a phone something, None of all other work."""

    position: int
    subject: str
    label: str
    state: ItemState = "pending"
    detail: str = ""
    undo: Mapping[str, Any] = field(default_factory=dict, repr=False)
    told: Told | None = None


def counted(job: Job, results: Sequence[JobItem]) -> Job:
    """A job with these results added to its counts."""
    summary = dict(job.summary)
    for result in results:
        summary[result.state] = summary.get(result.state, 0) + 1
    refused = sum(result.state == "refused" for result in results)
    return replace(job, done=job.done + len(results), failed=job.failed + refused, summary=summary)
