"""One second of check-ins, written down: the last of each file, the log of runs, and how far each phone came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from ztp_server.domain.attempt import Attempt, MadeOf
from ztp_server.domain.event import CheckIn
from ztp_server.domain.status import SLACK, Progress
from ztp_server.services.certificate_events import certificate_events, pinned_certificate
from ztp_server.services.needed_files import asked_first
from ztp_server.services.templates import Templates
from ztp_server.store import Session
from ztp_server.store.check_in_log import Chain

# New runs of a phone in a day; beyond, more attempts count as the run that was there, however they differ.
MOST_RUNS_A_DAY = 200
# How exact the last contact is kept of a phone of which nothing else changed.
_LAST_AT_KEPT = timedelta(minutes=1)


class CheckInBatch:
    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        self._day: date | None = None
        self._runs_today: Counter[str] = Counter()

    async def write(self, session: Session, proven: Sequence[Attempt], refused: Sequence[Attempt]) -> None:
        """Write down what proven phones asked for, and what was refused in the name of managed ones; both in the order
        in which it came. Raises StoreUnavailable."""
        if not proven and not refused:
            return
        of_files: dict[tuple[str, str], list[Attempt]] = {}
        for attempt in proven:
            of_files.setdefault((attempt.mac, attempt.file), []).append(attempt)
        rows = [row for attempts in of_files.values() for row in last_of(attempts)]
        if rows:
            await session.check_ins.note(rows)
        managed = await session.phone_status.of_managed(dict.fromkeys(a.mac for a in (*proven, *refused)))
        for event in certificate_events(self._templates.catalog, managed, proven):
            await session.events.add("server", event.action, event.mac, {"reason": event.reason})
        attempts = [*proven, *(attempt for attempt in refused if attempt.mac in managed)]
        last = await session.check_in_log.last_runs(dict.fromkeys(attempt.mac for attempt in attempts))
        await self._log(session, attempts, last)
        changed = [
            after
            for mac, own in _by_phone(proven).items()
            if mac in managed and (after := self._progress(*managed[mac], own, last))
        ]
        await session.phone_status.keep(changed)

    async def _log(self, session: Session, attempts: Iterable[Attempt], last: dict[Chain, Attempt]) -> None:
        """Write runs, and leave in `last` the newest of each chain. What was there before has a number."""
        new: list[Attempt] = []
        prolonged: dict[int, Attempt] = {}
        for attempt in attempts:
            chain = (attempt.mac, attempt.file, attempt.proof != "")
            # Its own copy: the attempt stays as it was, to be written again if this cannot be.
            run, begun = last.get(chain), replace(attempt, etag=session.served_files.tag(attempt.etag))
            if (run is None or not run.is_like(begun)) and self._begins(attempt):
                last[chain] = begun
                new.append(begun)
            elif run:
                run.take(begun)
                if run.seq:
                    prolonged[run.seq] = run
        await session.check_in_log.add(new)
        await session.check_in_log.prolong(list(prolonged.values()))

    def _begins(self, attempt: Attempt) -> bool:
        """Whether its phone may begin another run today."""
        if self._day != attempt.last_at.date():
            self._day = attempt.last_at.date()
            self._runs_today.clear()
        if self._runs_today[attempt.mac] >= MOST_RUNS_A_DAY:
            return False
        self._runs_today[attempt.mac] += 1
        return True

    def _progress(
        self, phone_id: str, before: Progress | None, attempts: Sequence[Attempt], last: dict[Chain, Attempt]
    ) -> Progress | None:
        """How far a phone came with these; None when that is not worth writing down."""
        first, newest = attempts[0], attempts[-1]
        start = before or Progress(phone_id, first.first_at, first.first_at, first.first_at)
        made_of = next((a.made_of for a in reversed(attempts) if a.made_of), None)
        complete = self._complete(phone_id, newest, last) if made_of else None
        after = replace(
            start,
            last_at=newest.last_at,
            address=newest.address,
            firmware=newest.firmware or start.firmware,
            firmware_wanted=made_of.firmware_wanted if made_of else start.firmware_wanted,
            inputs=complete.inputs if complete else start.inputs,
            phone_revision=complete.phone_revision if complete else start.phone_revision,
            problem=_problem(start.problem, attempts),
            due_at=_due(start, newest, made_of),
            certificate=pinned_certificate(start.certificate, attempts),
        )
        if _stand(after) != _stand(start):
            return replace(after, since=newest.last_at)
        return after if before is None or _is_news(start, after) else None

    def _complete(self, phone_id: str, attempt: Attempt, last: dict[Chain, Attempt]) -> MadeOf | None:
        """What all files that a phone needs were made of, when it was last given each of them, and they were made of
        the same. What a removed phone of that address was given does not count."""
        patterns = asked_first(self._templates.catalog, attempt.model)
        files = [pattern.replace("{mac}", attempt.mac) for pattern in patterns]
        made = [self._last_given(attempt.mac, file, last) for file in files]
        named = [name for m in made if m for name in m.names if name not in files]
        made += [self._last_given(attempt.mac, name, last) for name in named]
        found = [m for m in made if m]
        alike = {(m.phone, m.inputs, m.phone_revision) for m in found}
        whole = len(found) == len(made) and len(alike) == 1
        return found[0] if whole and found[0].phone == phone_id else None

    def _last_given(self, mac: str, file: str, last: dict[Chain, Attempt]) -> MadeOf | None:
        run = last.get((mac, file, True))
        return run.made_of if run and run.status == 200 else None


def last_of(attempts: Sequence[Attempt]) -> list[CheckIn]:
    """The last check-in among attempts for one file, if there is one: a file that was given instead of the phone's own
    does not count."""
    for found in reversed(attempts):
        if found.status != 200 or not found.reason:
            return [
                CheckIn(
                    mac=found.mac,
                    file=found.file,
                    at=found.last_at,
                    status=found.status,
                    etag=found.etag,
                    address=found.address,
                    proof=found.proof,
                    firmware=found.firmware,
                )
            ]
    return []


def _by_phone(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda a: a.last_at):
        found.setdefault(attempt.mac, []).append(attempt)
    return found


def _problem(before: str, attempts: Iterable[Attempt]) -> str:
    """Why a phone was last given nothing new. A problem with one file ends when that file can be given again."""
    problem = before
    for attempt in attempts:
        about = f"{attempt.file}: "
        why = attempt.reason if attempt.status == 503 else attempt.made_of.problem if attempt.made_of else ""
        if why:
            problem = f"{about}{why}"[:255]
        elif attempt.made_of and problem.startswith(about):
            problem = ""
    return problem


def _due(before: Progress, newest: Attempt, made_of: MadeOf | None) -> datetime | None:
    """By when a phone should ask again: by what it was told last, or as long after as before."""
    if made_of is None:
        return before.due_at and before.due_at + (newest.last_at - before.last_at)
    return newest.last_at + timedelta(seconds=2 * made_of.poll) + SLACK if made_of.poll else None


def _is_news(before: Progress, after: Progress) -> bool:
    """Whether more changed than the time, or that by so much that it is worth writing down."""
    if (after.address, after.firmware, after.firmware_wanted, after.certificate) != (
        before.address,
        before.firmware,
        before.firmware_wanted,
        before.certificate,
    ):
        return True
    if (after.due_at is None) != (before.due_at is None):
        return True
    moved = after.last_at - before.last_at
    due = after.due_at - before.due_at if after.due_at and before.due_at else moved
    return max(moved, abs(due)) >= _LAST_AT_KEPT


def _stand(progress: Progress) -> tuple[str, int, str]:
    return progress.inputs, progress.phone_revision, progress.problem
