"""Told by the registrar itself: a subscription for each line (RFC 3680, carried by RFC 6665).

There is no subscription to all lines of a registrar, so there is no whole picture either: each address is told of by
itself. A registrar that was started again may have forgotten whom to tell, without a word: every few seconds one of the
subscriptions is asked for anew, and all of them when that one was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Collection, Sequence

from ztp_server.sip.destination import Destination, bracketed
from ztp_server.sip.digest import Credentials
from ztp_server.sip.outcome import Response
from ztp_server.sip.sources.reg_line import Line
from ztp_server.sip.sources.source import MOST_WAITING, Silent, Source, Told, Untold
from ztp_server.sip.sources.uris import split_address
from ztp_server.sip.user_agent import UserAgent

# SUBSCRIBE under way at once.
_AT_ONCE = 100
_PROBE_SECONDS = 1.0
_OPTIONS_SECONDS = 2.0
# How long the registrar has to tell what it was asked for.
_PATIENCE = 4.0
# Between two times that all are asked for anew.
_LEAST_BETWEEN = 5.0


class RegEvent(Source):
    """`want` says which addresses are subscribed to. A line that the registrar refuses is Untold, and asked for again
    after a quarter of an hour: somebody may have made the account since."""

    def __init__(self, agent: UserAgent, destination: Destination, credentials: Sequence[Credentials]) -> None:
        super().__init__()
        self._agent = agent
        self._destination = destination
        self._credentials = tuple(credentials)
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._lines: dict[str, Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        # Set when something was told, and when a line was lost that was told of.
        self._heard = asyncio.Event()
        self._doubt = asyncio.Event()
        self._is_silent = False
        # What is known may be old: it is to be told anew as soon as somebody tells.
        self._is_old = False
        self._next_round = 0.0

    def want(self, aors: Collection[str]) -> None:
        wanted = set(aors)
        for aor in self._lines.keys() - wanted:
            del self._lines[aor]
            self._leave(self._tasks.pop(aor))
        for aor in sorted(wanted - self._lines.keys()):
            user, domain = split_address(aor)
            if len(self._lines) >= MOST_WAITING:
                self._tell(Untold(user, domain, f"subscribed to no more than {MOST_WAITING} lines"))
                continue
            self._lines[aor] = line = Line(user, domain, self._report, self._doubt.set)
            self._tasks[aor] = asyncio.create_task(
                line.live(self._agent, self._destination, self._credentials, self._gate)
            )

    async def _live(self) -> None:
        try:
            while True:
                await self._look()
        finally:
            for task in self._tasks.values():
                self._leave(task)
            await asyncio.gather(*self._leaving, return_exceptions=True)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Give a subscription back, without waiting for it."""
        task.cancel()
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _report(self, line: Line, report: Told | Untold) -> None:
        if isinstance(report, Told):
            self._heard.set()
        elif self._is_silent and not line.is_refused:
            return  # As all of them.
        self._tell(report)

    async def _look(self) -> None:
        """See whether the registrar is there and knows of us."""
        await _set_within(self._doubt, _PROBE_SECONDS)
        was_heard = self._heard.is_set()
        self._doubt.clear()
        self._heard.clear()
        if was_heard and self._gate.locked():
            return  # It is telling, and what we asked now would wait behind the rest.
        if self._anew.is_set():
            self._anew.clear()
            self._is_old = True
        told = [line for line in self._lines.values() if line.is_told]
        if told:
            line = random.choice(told)
            outcome = await line.asked_anew(_PATIENCE)
            if outcome == "lost" or (outcome == "told" and self._is_old):
                self._ask_all(forgotten=outcome == "lost")
        elif any(not line.is_refused for line in self._lines.values()):
            outcome = "told" if await _set_within(self._heard, _PATIENCE) else "silent"
        else:
            return
        if outcome == "silent" and not self._heard.is_set() and (not told or line in self._lines.values()):
            await self._silence()

    def _ask_all(self, *, forgotten: bool) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_round:
            self._next_round = now + _LEAST_BETWEEN
            self._is_old = False
            for line in self._lines.values():
                line.ask_anew(forgotten=forgotten)

    async def _silence(self) -> None:
        """Until something is told again."""
        # What is told meanwhile does not reach us.
        self._is_silent = self._is_old = True
        was_answered, told = True, ""
        while not self._heard.is_set():
            answer = await self._asked()
            is_answered = answer.kind == "answered"
            reason = "answers, and tells nothing of lines" if is_answered else answer.reason
            if reason != told and not self._heard.is_set():
                self._tell(Silent(f"{self._destination}: {reason}"))
                told = reason
            if is_answered and not was_answered:
                self._ask_all(forgotten=False)
            was_answered = is_answered
            await _set_within(self._heard, 1.0)
        self._is_silent = False
        self._doubt.set()

    async def _asked(self) -> Response:
        """Whether anybody is there: a new request each time, not one that is repeated less and less often."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPTIONS_SECONDS):
                target = f"sip:{bracketed(self._destination.host)}"
                return await self._agent.options(target, self._destination, credentials=self._credentials)
        return Response("no_answer", reason="no answer")


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
