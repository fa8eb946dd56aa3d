"""What a registrar tells of who is registered, whichever way it tells it."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

import structlog

log = structlog.get_logger()

# Of how many addresses something may wait to be read, and in a whole picture.
MOST_WAITING = 20_000
MOST_TOLD = 200_000
# Between tries to reach a registrar that is away, in seconds: it grows from one to the other.
_FIRST_PAUSE, _MOST_PAUSE = 0.5, 5.0
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is reached, as its registrar says: show it, believe nothing. `uri` is the contact; `transport` (udp,
    tcp, tls, ws, wss) is empty where nothing tells it; `received` is the address that the registration came from,
    where the registrar says it; `expires_at` is None where nothing is told of it, or it does not expire."""

    uri: str
    transport: str = ""
    user_agent: str = ""
    expires_at: datetime | None = None
    received: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One address of record, as it is now; without contacts: it is not registered. `domain` is empty where the source
    tells none."""

    user: str
    domain: str
    contacts: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Everything:
    """The whole picture: who is not in it is not registered."""

    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing is told at the moment: what is known may be old. What is true again is told again, by Everything, or one
    by one where a source has no whole picture (`reg_event`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Untold:
    """Of one address nothing is told, while others are: the registrar refuses to, or cannot. It may be registered or
    not."""

    user: str
    domain: str
    reason: str


Report = Told | Everything | Silent | Untold


class Source(ABC):
    """`async with` keeps it, `async for` gives its reports without end; it reaches the registrar again by itself. Who
    reads slowly gets the last of each address, and of very many Silent and then everything anew."""

    def __init__(self) -> None:
        self._waiting: dict[object, Report] = {}
        self._readable = asyncio.Event()
        # Set when everything is to be told anew, because something was not read.
        self._anew = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Source:
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._readable.set()

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> Report:
        """Raises StopAsyncIteration when the source was left."""
        while not self._waiting:
            if self._task is None:
                raise StopAsyncIteration
            self._readable.clear()
            await self._readable.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def want(self, aors: Collection[str]) -> None:  # noqa: B027 (some sources tell all of everybody)
        """Say which addresses of record (`user@domain`) are of interest; each call replaces the one before. Sources
        that tell all of everybody anyway take no notice."""

    @abstractmethod
    async def _live(self) -> None:
        """Tell what the registrar tells, without end."""

    def _tell(self, report: Report) -> None:
        """Have a report read. What it makes worthless is forgotten."""
        place: object = type(report)
        if isinstance(report, Everything):
            self._waiting.clear()
        elif not isinstance(report, Silent):
            place = (report.user, report.domain)
            if place not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self._waiting.clear()
                self._anew.set()
                place, report = Silent, Silent("what was told was not read in time")
        self._waiting.pop(place, None)
        self._waiting[place] = report
        self._readable.set()


class Lost(Exception):
    """Inside this package: the registrar does not tell any more, and why, with a few words of its own at most."""


class Reached(Source):
    """A source with a door of its own: reached, listened to, and reached again when it is lost."""

    def __init__(self) -> None:
        super().__init__()
        self._failures = 0

    @abstractmethod
    async def _listen(self) -> None:
        """Reach the registrar and tell what it tells, as long as it does. Raises Lost."""

    async def _live(self) -> None:
        while True:
            try:
                await self._listen()
            except Lost as error:
                self._tell(Silent(str(error)[:_LONGEST_REASON]))
            except Exception:
                log.exception("registration_source_failed")
                self._tell(Silent("a failure of our own: see the log"))
            await self._pause()

    async def _pause(self) -> None:
        self._failures += 1
        longest = min(_FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), _MOST_PAUSE)
        await asyncio.sleep(longest * random.uniform(0.75, 1.0))

    def _tell(self, report: Report) -> None:
        if isinstance(report, Everything):
            self._failures = 0
        super()._tell(report)
