"""What a kind of job has to know. Who writes a new one makes an object of one of these and adds it in opening.py.

A `StepKind` works through its items, some at a time. Each step is one transaction: the changes, their audit records,
what became of each item, how far the job is. Killed at any moment, it goes on at the first item that is pending.

A `WholeKind` does everything or nothing, such as an import. Its file was kept sealed with the job and is given to
`prepare` in pieces; that is the long part, outside of any lock, and reports how far it is. `apply` then writes all of
it in one transaction. When somebody else changed anything in between, `prepare` is asked once more, within that
transaction. Killed at any moment, it begins anew. Raised by either, a Refused ends the job as failed with its text, and
an ImportRefused gives each of its problems an item of its own.

A `PacedKind` speaks to the network, one item after the other at a pace, and holds no transaction while it waits for an
answer. An item is claimed before it is sent, so that a killed process never sends twice: what was claimed and not
settled is not known. What was sent is followed for a while.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ztp_server.domain.job import Job, JobItem
from ztp_server.store import Session

T = TypeVar("T")

# Hears how much is done, of how much. To be awaited every few milliseconds of work: phones are served meanwhile.
Progress = Callable[[int, int], Awaitable[None]]


class Kind(ABC):
    """What every kind says of itself. `name` is kept with its jobs: `phones.edit`."""

    name: str
    undoable = False

    @abstractmethod
    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """What was asked for, as people may see it: without secrets."""


class StepKind(Kind):
    """Work on items one by one."""

    @abstractmethod
    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        """Do some items, for `job.who` and with audit records; returns each of them with its new state. One that
        cannot be done is `refused`, with the reason as its detail."""

    async def take_back(
        self, session: Session, job: Job, items: Sequence[JobItem], undo: Mapping[int, Mapping[str, Any]]
    ) -> list[JobItem]:
        """Take back items of an earlier job, for `job.who`; `undo` has by position what `step` left for that."""
        raise NotImplementedError(f"{self.name} is not undoable")


@dataclass(frozen=True)
class Report:
    """What a job that does all at once has to say: how much it did, in counts by item state, and the items worth
    naming (bounded by its kind)."""

    total: int
    summary: Mapping[str, int] = field(default_factory=dict)
    items: Sequence[JobItem] = ()


class WholeKind(Kind, Generic[T]):
    """Work that is done as a whole or not at all."""

    @abstractmethod
    async def prepare(self, session: Session, job: Job, file: AsyncIterator[bytes], progress: Progress) -> T:
        """Read the file and check everything; writes nothing. Raises Refused."""

    @abstractmethod
    async def apply(self, session: Session, job: Job, prepared: T) -> Report:
        """Write everything, with audit records."""


@dataclass(frozen=True)
class Ready:
    """An item that can be sent, `room` with how many others of its `place` at once (a site, say). `ticket` is what its
    kind needs for that. Once it was sent it counts as under way at its place for `hold` seconds, unless it is settled
    before."""

    item: JobItem
    place: str
    room: int
    ticket: Any = field(default=None, repr=False)
    hold: float = 0.0


class PacedKind(Kind):
    """Work that speaks to the network."""

    @abstractmethod
    def per_second(self, order: Mapping[str, Any]) -> float:
        """The pace."""

    @abstractmethod
    async def ready(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[Ready | JobItem]:
        """Look at items right before they are sent, in a read: each is ready, or settled (refused, unchanged)."""

    @abstractmethod
    async def send(self, ready: Ready) -> JobItem:
        """Send one: settled, or `under_way` to be followed. Nothing that a network can do is raised."""

    @abstractmethod
    async def follow(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        """Look what became of items that were sent, in a read: those of which there is something new."""

    @abstractmethod
    async def note(self, session: Session, job: Job, items: Sequence[JobItem]) -> None:
        """Write audit records of items that were sent, or may have been, in the transaction that keeps them."""


Kinds = Mapping[str, Kind]
