"""What phones asked for, written down in batches: a boot storm must not be a write storm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from ztp_server.domain.event import CheckIn
from ztp_server.domain.request import Outcome, PhoneFile, PhoneRequest
from ztp_server.errors import StoreUnavailable
from ztp_server.store import Store

FLUSH_SECONDS = 1.0
# Of phones and files between two flushes; what comes beyond is not written down rather than piled up.
_MOST_WAITING = 50_000
_REPORT_AGAIN_SECONDS = 60.0
_MOST_ALIKE = 100

log = structlog.get_logger()


class CheckIns:
    """The last check-in of each proven phone for each file, and what went wrong, on their way to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[tuple[str, str], CheckIn] = {}
        self._being_written: dict[tuple[str, str], CheckIn] = {}
        self._events: list[tuple[str, str, str]] = []
        self._reported: dict[tuple[str, str, str], float] = {}

    def note(self, request: PhoneRequest, outcome: Outcome) -> None:
        """Remember a request of a proven phone for a file of its own; anybody else's, and names that were made up, are
        in the log alone."""
        if not outcome.proof or not outcome.file or len(self._waiting) >= _MOST_WAITING:
            return
        answer = outcome.answer
        self._waiting[outcome.mac, outcome.file] = CheckIn(
            mac=outcome.mac,
            file=outcome.file[:255],
            at=datetime.now(UTC),
            status=outcome.status,
            etag=answer.etag if isinstance(answer, PhoneFile) else "",
            address=request.address,
            proof=outcome.proof,
            firmware=outcome.running[:64],
        )

    def not_written(self, mac: str, files: Iterable[str]) -> list[CheckIn]:
        """Check-ins of a phone for these files that are not in the store yet: a phone goes on within the second."""
        batches = (self._being_written, self._waiting)
        return [batch[mac, file] for batch in batches for file in files if (mac, file) in batch]

    def report(self, action: str, subject: str, reason: str, *, about: str | None = None) -> None:
        """An event for the administrator, and a line in the log; the same one at most once a minute, and so many of one
        kind: with thousands of phones somebody could make as many. Where a phone chooses the words of the reason,
        `about` says instead what counts as the same."""
        now = asyncio.get_running_loop().time()
        key = (action, subject, reason if about is None else about)
        self._reported = {k: at for k, at in self._reported.items() if now - at < _REPORT_AGAIN_SECONDS}
        alike = sum(reported == action for reported, _, _ in self._reported)
        if key in self._reported or alike >= _MOST_ALIKE:
            return
        self._reported[key] = now
        self._events.append((action, subject, reason))
        log.error(action, subject=subject, reason=reason)

    async def flush(self) -> None:
        """Write down what waits. What cannot be written now is kept for the next time."""
        waiting, self._waiting = self._waiting, {}
        self._being_written = waiting
        events, self._events = self._events, []
        if not waiting and not events:
            return
        try:
            async with self._store.write() as session:
                if waiting:
                    await session.check_ins.note(list(waiting.values()))
                for action, subject, reason in events:
                    await session.events.add("server", action, subject[:255], {"reason": reason})
        except StoreUnavailable as error:
            self._waiting = waiting | self._waiting
            self._events = (events + self._events)[:1000]
            log.warning("check_ins.not_written", reason=str(error))
        finally:
            self._being_written = {}

    async def run(self) -> None:
        """Flush for ever; cancelled at the end, which flushes once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                try:
                    await self.flush()
                except Exception:  # one batch is lost, and the next is written again
                    log.exception("check_ins.failed")
        finally:
            await self.flush()
