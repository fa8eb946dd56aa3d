"""Asked of Kamailio: JSON-RPC over HTTP (its modules jsonrpcs, section 7.1, and usrloc, section 4).

A whole `ul.dump` is not asked for. Measured with Kamailio 5.6: of 5,000 contacts it is 4.6 MB, more than Kamailio
sends in one go and than one of its processes may hold as shipped, and one that did not fit cost a worker two minutes.
`ul.dump brief` names the addresses alone (160 KB, 30 ms) and `ul.lookup` tells the rest of one (0.2 ms). So who comes
and goes is seen in one look; contacts are looked up when they are new, when they should be over, and by turns. In the
long run Kamailio is asked no more than a twentieth of its time, waiting for the network counted in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ztp_server.domain.platform import Platform
from ztp_server.sip.sources.door import trusted
from ztp_server.sip.sources.json_rpc import JsonRpc, Refusal
from ztp_server.sip.sources.source import Everything, Lost, Place, Reached, Told
from ztp_server.sip.sources.uris import split_address
from ztp_server.sip.sources.usrloc import places_in, tables_in

# Our part of its time, how much of it the looks at all addresses take, and what may be saved up, in seconds, for when
# many are new.
_SHARE, _SHARE_OF_LOOKS = 0.05, 0.03
_MOST_SAVED = 4.0
_LEAST_BETWEEN = 1.0
_LOOK_SECONDS = 60.0
# After so long an address is looked up again, whatever else, because a phone that was started anew may have another
# contact; of many after longer, so that it is so many a second. And so many at a time.
_TURN_SECONDS = 5.0
_TURNS_A_SECOND = 28.0
_MOST_AT_A_TIME = 1000
# Kamailio drops contacts once a minute that are over (usrloc, `timer_interval`); and one that is over may come back.
_AFTER_EXPIRY, _UNTIL_DROPPED = 1.0, 2.0
# As precise as seconds can be that are told in whole ones, at the end of a wait.
_SAME_SECONDS = timedelta(seconds=2)
# What is taken in before others get their turn.
_IN_ONE_GO = 500
# Registered, where is not known yet.
_SOMEWHERE = (Place(""),)


@dataclass(slots=True)
class _Line:
    """`due` is when it is to be looked up again, as time.monotonic() says it."""

    table: str
    told: Told
    due: float = 0.0


class KamailioRpc(Reached):
    """At `source_address`, a URL, with Basic authentication where `source_user` is set. `want` says whose contacts are
    looked up: of the others it is told that they are registered, with a Place that names none."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self._platform = platform
        self._lines: dict[str, _Line] = {}
        # Address of record as Kamailio writes it → the user as we do: it makes them lower-case (registrar,
        # `case_sensitive`), and names a domain only where it is told to use them (`use_domain`).
        self._wanted: dict[str, str] | None = None
        self._saved = self._counted = 0.0

    def want(self, aors: Collection[str]) -> None:
        wanted = {}
        for aor in aors:
            user, domain = split_address(aor)
            wanted[user.lower()] = wanted[f"{user}@{domain}".lower()] = user
        self._wanted = wanted
        for aor, line in self._lines.items():
            if line.told.user != (user := self._address(aor)[0]):
                line.told = Told(user, line.told.domain, line.told.contacts)

    async def _listen(self) -> None:
        platform = self._platform
        self._saved, self._counted = _MOST_SAVED, time.monotonic()
        url = platform.source_address
        context = trusted(platform) if url.startswith("https:") else None
        async with JsonRpc(url, platform.source_user, platform.source_password, context) as self._rpc:
            try:
                await self._followed()
            except Refusal as error:
                raise Lost(f"refused: {error}") from None

    async def _followed(self) -> None:
        next_look, started = 0.0, object()
        while True:
            begun = time.monotonic()
            uptime = await self._asked("core.uptime")
            since = uptime.get("up_since") if isinstance(uptime, dict) else None
            if since != started:
                # It was started, and may have forgotten all.
                started, next_look = since, 0.0
                self._lines.clear()
                self._anew.set()
            if begun >= next_look:
                next_look = await self._look()
            await self._look_up()
            if self._anew.is_set():
                self._anew.clear()
                self._tell(Everything(tuple(line.told for line in self._lines.values())))
            await asyncio.sleep(max(_LEAST_BETWEEN - (time.monotonic() - begun), 0.1))

    async def _asked(self, method: str, *parameters: str, seconds: float = 5.0) -> Any:
        """A question, paid for out of our part of its time."""
        begun = time.monotonic()
        self._saved = min(self._saved + (begun - self._counted) * _SHARE, _MOST_SAVED)
        self._counted = begun
        try:
            return await self._rpc.call(method, *parameters, seconds=seconds)
        finally:
            self._saved -= time.monotonic() - begun

    async def _look(self) -> float:
        """See who is there and who is not any more; when to look again."""
        begun = time.monotonic()
        found = await self._asked("ul.dump", "brief", seconds=_LOOK_SECONDS)
        ended = time.monotonic()
        tables = tables_in(found)
        for aor in self._lines.keys() - tables.keys():
            del self._lines[aor]
            self._note(Told(*self._address(aor), ()))
        for number, (aor, table) in enumerate(tables.items()):
            if number % _IN_ONE_GO == 0:
                await asyncio.sleep(0)
            if aor not in self._lines:
                self._lines[aor] = _Line(table, Told(*self._address(aor), _SOMEWHERE))
                self._note(self._lines[aor].told)
        return max(begun, ended + (ended - begun) / _SHARE_OF_LOOKS)

    async def _look_up(self) -> None:
        """The contacts of those who are due, as far as our part of its time goes."""
        if self._saved <= 0:
            return
        now = time.monotonic()
        due = sorted((line.due, aor) for aor, line in self._lines.items() if line.due <= now and self._is_wanted(aor))
        for _, aor in due[:_MOST_AT_A_TIME]:
            if self._saved <= 0:
                return
            await self._renew(aor, self._lines[aor])

    async def _renew(self, aor: str, line: _Line) -> None:
        places: tuple[Place, ...] = ()
        try:
            places = places_in(await self._asked("ul.lookup", line.table, aor), datetime.now(UTC))
        except Refusal as error:
            if not str(error).startswith("AOR"):
                raise
        known = line.told.contacts
        told = Told(line.told.user, line.told.domain, tuple(_as_known(place, known) for place in places))
        # Each at a time of its own, however many came at once.
        turn = max(_TURN_SECONDS, self._count / _TURNS_A_SECOND) * random.uniform(0.5, 1.0)
        ends = [
            (one.expires_at - datetime.now(UTC)).total_seconds() + _AFTER_EXPIRY for one in places if one.expires_at
        ]
        line.due = time.monotonic() + (min([turn, *ends]) if places else _UNTIL_DROPPED)
        if told != line.told:
            line.told = told
            self._note(told)

    def _note(self, told: Told) -> None:
        """Tell it, unless all of it is told in a moment."""
        if not self._anew.is_set():
            self._tell(told)

    @property
    def _count(self) -> int:
        """How many lines are looked up, or a few more."""
        # An address that is wanted is there with its domain and without.
        return len(self._lines) if self._wanted is None else min(len(self._lines), len(self._wanted) // 2 + 1)

    def _is_wanted(self, aor: str) -> bool:
        return self._wanted is None or aor.lower() in self._wanted

    def _address(self, aor: str) -> tuple[str, str]:
        user, domain = split_address(aor)
        return (self._wanted or {}).get(aor.lower(), user), domain


def _as_known(place: Place, known: tuple[Place, ...]) -> Place:
    """The one that is known, where nothing but the rounding of its time changed."""
    for one in known:
        if (one.uri, one.transport, one.user_agent, one.received) != (
            *(place.uri, place.transport, place.user_agent, place.received),
        ):
            continue
        if one.expires_at and place.expires_at and abs(one.expires_at - place.expires_at) <= _SAME_SECONDS:
            return one
    return place
