"""Secrets that a program is shown all day long, written down without a record for each.

A registrar that asks for the account of whoever registers would fill the audit in an hour, and whoever holds its token
can ask for every account anyway. So the first answer of a day is written down before it is given, and how many there
were once the day is over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog

from ztp_server.domain.access import Actor
from ztp_server.errors import ZtpError
from ztp_server.store import Session, Store

# Who asks in one day: there are fewer tokens for this than registrars.
_MOST = 1000

log = structlog.get_logger()


@dataclass(slots=True)
class _Day:
    who: Actor
    day: date
    answers: int = 0


class StandingReveals:
    """`noun` begins the two actions: `noun.revealed` with the day, `noun.counted` with its answers as well. A process
    that is killed takes the count of its day with it, never the fact."""

    def __init__(self, store: Store, noun: str, subject: str) -> None:
        self._store = store
        self._noun = noun
        self._subject = subject
        self._days: dict[str, _Day] = {}
        self._writing = asyncio.Lock()

    async def note(self, who: Actor) -> None:
        """Somebody is about to be shown a secret. Raises StoreUnavailable: then it is not shown."""
        today = datetime.now(UTC).date()
        if not self._is_written(who, today):
            async with self._writing:  # one record, however many ask at once
                if not self._is_written(who, today):
                    await self._begin(who, today)
        self._days[who.name].answers += 1

    async def close(self) -> None:
        """Write down how many answers there were since this process began to count."""
        try:
            if any(day.answers for day in self._days.values()):
                async with self._store.write() as session:
                    for day in self._days.values():
                        await self._count(session, day)
        except ZtpError as error:
            log.error("audit.not_counted", action=f"{self._noun}.counted", reason=str(error))
        self._days.clear()

    def _is_written(self, who: Actor, today: date) -> bool:
        known = self._days.get(who.name)
        return known is not None and known.day == today

    async def _begin(self, who: Actor, today: date) -> None:
        over = [self._days[who.name]] if who.name in self._days else []
        if len(self._days) >= _MOST:
            over = list(self._days.values())
        async with self._store.write() as session:
            for day in over:
                await self._count(session, day)
            action = f"{self._noun}.revealed"
            newest = await session.audit.page(below=None, limit=1, actor=who.name[:255], action=action)
            if not newest or newest[0].at.astimezone(UTC).date() != today:
                why = "as phones register; answers are counted"
                await session.audit.add(who, action, self._subject, after={"day": str(today)}, reason=why)
        for day in over:
            self._days.pop(day.who.name, None)
        self._days[who.name] = _Day(who, today)

    async def _count(self, session: Session, day: _Day) -> None:
        if day.answers:
            after = {"day": str(day.day), "answers": day.answers}
            await session.audit.add(day.who, f"{self._noun}.counted", self._subject, after=after)
