"""The sending of items at a pace, between two transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from ztp_server.domain.job import JobItem
from ztp_server.domain.told import Told
from ztp_server.services.job_kinds import PacedKind, Ready
from ztp_server.services.pace import Pace, Places
from ztp_server.store.paced_items import NOT_KNOWN

# How long what is being sent is waited for when a job stops.
_GRACE_SECONDS = 0.5
# How often a full place, or an empty queue, is looked at again.
_IDLE_SECONDS = 0.02

log = structlog.get_logger()


class Sending:
    """Items that were claimed, on their way: waiting, being sent, sent."""

    def __init__(self, kind: PacedKind, pace: Pace) -> None:
        self._kind = kind
        self._pace = pace
        self._places = Places()
        self._waiting: dict[int, Ready] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._begun: dict[int, JobItem] = {}
        self._results: list[JobItem] = []
        self._held: set[asyncio.TimerHandle] = set()
        self._sender: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """How many were claimed and not given out as a result yet."""
        return len(self._waiting) + len(self._tasks) + len(self._results)

    def start(self) -> None:
        self._sender = asyncio.create_task(self._send_all())

    def close(self) -> None:
        """End at once; what was not given out is lost."""
        if self._sender:
            self._sender.cancel()
        for task in self._tasks.values():
            task.cancel()
        for handle in self._held:
            handle.cancel()

    def add(self, claimed: Iterable[Ready]) -> None:
        self._waiting |= {ready.item.position: ready for ready in claimed}

    def take_back(self) -> list[Ready]:
        """Those that were not begun; they are not sent any more."""
        left, self._waiting = list(self._waiting.values()), {}
        return left

    def take_results(self) -> list[JobItem]:
        """What was sent since the last call."""
        taken, self._results = self._results, []
        return taken

    def release(self, position: int) -> None:
        """Say that an item does not count at its place any more."""
        self._places.release(position)

    async def stop(self, unknown: str) -> None:
        """Begin nothing more, and wait a moment for what was; of the rest it is said why nobody knows."""
        if self._sender:
            self._sender.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_GRACE_SECONDS)
        for position, task in list(self._tasks.items()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._results.append(self.unknown(self._begun.pop(position), unknown))
        self._tasks.clear()

    def unknown(self, item: JobItem, reason: str = NOT_KNOWN) -> JobItem:
        """An item that was claimed, and maybe sent."""
        return replace(item, state="refused", detail=reason, told=item.told or Told())

    def unfollowed(self, item: JobItem) -> JobItem:
        """An item that was sent, and is not looked after any more."""
        return replace(item, state="done", detail=f"{item.detail}; the job was stopped while it was followed")

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            ready = self._next()
            wait = self._pace.due - loop.time()
            if ready is None or wait > 0:
                await asyncio.sleep(max(wait, 0) or _IDLE_SECONDS)
                continue
            position = ready.item.position
            del self._waiting[position]
            self._places.take(position, ready.place)
            self._pace.taken(loop.time())
            self._begun[position] = replace(ready.item, told=Told(datetime.now(UTC)))
            self._tasks[position] = asyncio.create_task(self._send(ready))

    def _next(self) -> Ready | None:
        """The first whose place has room; others do not wait for it."""
        return next((r for r in self._waiting.values() if self._places.has_room(r.place, r.room)), None)

    async def _send(self, ready: Ready) -> None:
        position = ready.item.position
        try:
            item = await self._kind.send(ready)
        except Exception:
            log.exception("job.send_failed", subject=ready.item.subject)
            item = self.unknown(self._begun[position], "a mistake of the server; its log has more")
        del self._tasks[position], self._begun[position]
        self._results.append(item)
        if item.state != "under_way" or not ready.hold:
            return self._places.release(position)
        handle = asyncio.get_running_loop().call_later(ready.hold, self._places.release, position)
        self._held = {held for held in self._held if held.when() > asyncio.get_running_loop().time()} | {handle}
