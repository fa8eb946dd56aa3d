"""What phones asked for, written down in batches: a boot storm must not be a write storm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from ztp_server.domain.attempt import Attempt
from ztp_server.domain.event import CheckIn
from ztp_server.domain.request import Outcome, PhoneFile, PhoneRequest, Refusal, Unavailable
from ztp_server.domain.unknown_phone import UnknownPhone
from ztp_server.errors import StoreUnavailable
from ztp_server.services.check_in_batch import CheckInBatch, last_of
from ztp_server.services.damage import damaged_values
from ztp_server.services.knocks import Knocks
from ztp_server.services.served_bytes import ServedBytes
from ztp_server.services.templates import Templates
from ztp_server.store import Store

FLUSH_SECONDS = 1.0
# Of phones and files between two flushes; what comes beyond is not written down rather than piled up.
_MOST_WAITING = 50_000
# The same of what was asked in the name of phones without a proof, most of which may be none of ours.
_MOST_REFUSED = 1000
# Of one phone and file between two flushes, one after the other; beyond, the last one counts for the others.
_MOST_RUNS = 8
_REPORT_AGAIN_SECONDS = 60.0
_MOST_ALIKE = 100

log = structlog.get_logger()

_Runs = dict[tuple[str, str], list[Attempt]]


class CheckIns:
    """What each phone asked for and was given, and what went wrong, on their way to the store."""

    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._batch = CheckInBatch(templates)
        self.served = ServedBytes(store)
        self.knocks = Knocks(templates)
        # Told of the phones that knocked, once that is written down.
        self.knocked: Callable[[Sequence[UnknownPhone]], None] | None = None
        self._waiting: _Runs = {}
        self._refused: _Runs = {}
        self._being_written: _Runs = {}
        self._events: list[tuple[str, str, str]] = []
        self._reported: dict[tuple[str, str, str], float] = {}

    def note(self, request: PhoneRequest, outcome: Outcome, milliseconds: int = 0) -> None:
        """Remember a request for a file of a phone's own. Names that were made up are in the log alone, and so are
        refusals in the name of phones that we do not have: of those see services/knocks.py."""
        self.knocks.note(request, outcome)
        if not outcome.file:
            return
        waiting, most = (self._waiting, _MOST_WAITING) if outcome.proof else (self._refused, _MOST_REFUSED)
        key = (outcome.mac, outcome.file)
        runs = waiting.get(key)
        if runs is None and len(waiting) >= most:
            return
        attempt = _attempt(request, outcome, milliseconds)
        if runs is None:
            waiting[key] = [attempt]
        elif runs[-1].is_like(attempt) or len(runs) >= _MOST_RUNS:
            runs[-1].take(attempt)
        else:
            runs.append(attempt)
        if outcome.proof and outcome.why and isinstance(outcome.answer, PhoneFile):
            self.served.note_public(outcome.answer)

    def not_written(self, mac: str, files: Iterable[str]) -> list[CheckIn]:
        """Check-ins of a phone for these files that are not in the store yet: a phone goes on within the second."""
        batches = (self._being_written, self._waiting)
        return [row for batch in batches for file in files for row in last_of(batch.get((mac, file), ()))]

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

    async def flush(self, *, at_the_end: bool = False) -> None:
        """Write down what waits. What cannot be written now is kept for the next time. The bytes of new files follow
        over the next flushes; at the end all of them."""
        await self._report_damage()
        waiting, self._waiting = self._waiting, {}
        refused, self._refused = self._refused, {}
        self._being_written = waiting
        events, self._events = self._events, []
        knocks = self.knocks.take()
        try:
            files = await self.served.ready(all_of_them=at_the_end)
            if not (waiting or refused or events or files or knocks):
                return
            async with self._store.write() as session:
                await self._batch.write(session, _all(waiting), _all(refused))
                unknown = await self.knocks.write(session, knocks)
                for action, subject, reason in events:
                    await session.events.add("server", action, subject[:255], {"reason": reason})
                await session.served_files.add(files)
            self.served.kept(files)
            if unknown and self.knocked:
                self.knocked(unknown)
        except StoreUnavailable as error:
            self._waiting = _joined(waiting, self._waiting)
            self._refused = _joined(refused, self._refused)
            self._events = (events + self._events)[:1000]
            self.knocks.put_back(knocks)
            log.warning("check_ins.not_written", reason=str(error))
        finally:
            self._being_written = {}

    async def _report_damage(self) -> None:
        with suppress(StoreUnavailable):
            for subject, reason in await damaged_values(self._store):
                self.report("secret.damaged", subject, reason)

    async def run(self) -> None:
        """Flush for ever; cancelled at the end, which flushes once more."""
        flushing: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                # Cancelled in the middle, nobody could tell whether it was written.
                flushing = asyncio.create_task(self._flush())
                await asyncio.shield(flushing)
        finally:
            if flushing:
                await flushing
            await self.flush(at_the_end=True)

    async def _flush(self) -> None:
        try:
            await self.flush()
        except Exception:  # one batch is lost, and the next is written again
            log.exception("check_ins.failed")


def _attempt(request: PhoneRequest, outcome: Outcome, milliseconds: int) -> Attempt:
    answer, now = outcome.answer, datetime.now(UTC)
    file = answer if isinstance(answer, PhoneFile) else None
    return Attempt(
        mac=outcome.mac,
        file=outcome.file[:255],
        first_at=now,
        last_at=now,
        status=outcome.status,
        reason=answer.reason[:255] if isinstance(answer, (Refusal, Unavailable)) else outcome.why,
        etag=file.etag if file else "",
        address=request.address,
        listener=request.listener,
        proof=outcome.proof,
        certificate=request.certificate.sha256 if request.certificate else "",
        firmware=(outcome.running or outcome.firmware)[:64],
        milliseconds=milliseconds,
        made_of=file.made_of if file else None,
        model=outcome.model,
    )


def _all(runs: _Runs) -> list[Attempt]:
    return [attempt for of_file in runs.values() for attempt in of_file]


def _joined(earlier: _Runs, later: _Runs) -> _Runs:
    both = {**earlier, **later}
    return {key: [*earlier.get(key, ()), *later.get(key, ())][-_MOST_RUNS:] for key in both}
