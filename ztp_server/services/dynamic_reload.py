"""Phones told at once when their configuration has changed, as far as their setting dynamic_reload says so.

A task of the server. A saved change, by this process or another, waits until nothing more is saved for ten seconds (at
most a minute); then one job re-syncs the phones it is about, which looks at each right before it is told: one whose
bytes are the same is left alone. What was told is noted in the database, so that of two servers one tells it, and a
server that is started anew tells what was saved while it was away and nothing older. Without any SIP platform there is
no way to tell phones, and no job: they learn of a change at their next poll or boot, as those do that are not told.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from ztp_server.domain.access import Actor, Grant
from ztp_server.errors import BadValue, NotFound, StoreUnavailable
from ztp_server.services.jobs import Jobs
from ztp_server.services.own_files import make_group
from ztp_server.services.phone_selection import items_of
from ztp_server.services.restarts import FOLLOW_SECONDS, spread
from ztp_server.services.status import PhoneStatus
from ztp_server.services.tell_kind import TELL
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.phone_targets import Target
from ztp_server.store.reload_targets import Concerned, Group

# In seconds: how often it is looked, how long nothing more must have been saved, how long a change waits at most.
LOOK_SECONDS = 1.0
QUIET_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 60.0
# Of so many phones it is found out before there is a job which have the bytes already; of more, by the job.
CHECKED = 100
PER_SECOND = 5
ACTOR = Actor("server:dynamic-reload", (Grant(frozenset({"phones:view", TELL})),))
_NOTE = "dynamic_reload"

log = structlog.get_logger()


@dataclass(frozen=True)
class _Stand:
    """Up to where changes were told: the number of the last one, and for each group of phones, shortened, what its
    files were made of."""

    seq: int
    groups: Mapping[str, str]

    @classmethod
    def read(cls, text: str) -> _Stand:
        kept = json.loads(text)
        return cls(kept["seq"], kept["groups"])

    @property
    def text(self) -> str:
        return json.dumps({"seq": self.seq, "groups": self.groups}, sort_keys=True)


class DynamicReload:
    def __init__(self, store: Store, templates: Templates, status: PhoneStatus, jobs: Jobs) -> None:
        self._store = store
        self._templates = templates
        self._status = status
        self._jobs = jobs
        # What this server saw itself: another one may have other templates, and is not contradicted.
        self._seen: _Stand | None = None
        self._shared: tuple[object, ...] = ()
        self._first: float | None = None
        self._last = 0.0

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look(loop.time())
            except StoreUnavailable:
                continue
            except Exception:
                log.exception("dynamic_reload.failed")

    async def look(self, now: float) -> None:
        """See whether something was saved, and tell it when it is time; `now` is in seconds. Raises
        StoreUnavailable."""
        if self._seen is None:
            self._seen = await self._begin()
        async with self._store.read() as session:
            newest = await session.reload_targets.newest(self._seen.seq)
        shared = self._status.shared
        if newest != self._seen.seq or any(a is not b for a, b in zip(shared, self._shared, strict=False)):
            self._first = now if self._first is None else self._first
            self._last = now
            self._seen, self._shared = _Stand(newest, self._seen.groups), shared
        if self._first is None or (now - self._last < QUIET_SECONDS and now - self._first < LONGEST_WAIT_SECONDS):
            return
        if await self._tell():
            self._first = None

    async def _begin(self) -> _Stand:
        """Where an earlier server left off; the first one begins with what there is."""
        async with self._store.read() as session:
            kept = await session.meta.get(_NOTE)
            now = _Stand(await session.reload_targets.newest(0), _short(await self._status.current_inputs(session)))
        self._shared = self._status.shared
        if kept is None:
            async with self._store.write() as session:
                await session.meta.set(_NOTE, now.text)
            return now
        left = _Stand.read(kept)
        if left.groups != now.groups:
            self._shared = (object(),)
        return left

    async def _tell(self) -> bool:
        """Make a job of what was saved; False when another server was quicker, and it is to be looked at again."""
        assert self._seen
        async with self._store.read() as session:
            kept = await session.meta.get(_NOTE) or self._seen.text
            told = _Stand.read(kept)
            inputs = await self._status.current_inputs(session)
            now = _Stand(await session.reload_targets.newest(told.seq), _short(inputs))
            changed = [group for group in inputs if self._is_changed(_key(group), now, told)]
            named = await session.reload_targets.named_since(told.seq)
            wanted = await self._wanted(session, await session.reload_targets.concerned(named, changed))
        async with self._store.write() as session:
            if (await session.meta.get(_NOTE) or self._seen.text) != kept:
                return False
            # Those that wait to be told are looked at right before, and told of this as well.
            waiting = await session.paced_items.not_begun(ACTOR.name, "phones.resync") if wanted else set[str]()
            wanted = [target for target in wanted if target.id not in waiting]
            if wanted:
                order = {"when": "now", "rate": PER_SECOND, "follow": FOLLOW_SECONDS, "changed_only": True}
                job = await self._jobs.submit_in(session, ACTOR, "phones.resync", order, items_of(spread(wanted)))
                log.info("dynamic_reload.told", phones=len(wanted), job=job.id)
            if now.text != kept:
                await session.meta.set(_NOTE, now.text)
        self._seen = _Stand(max(now.seq, self._seen.seq), now.groups)
        return True

    def _is_changed(self, key: str, now: _Stand, told: _Stand) -> bool:
        """Whether what a group's files are made of is another thing than this server saw before, and nobody told. A
        group that is new consists of phones that were changed themselves."""
        assert self._seen
        return self._seen.groups.get(key) not in (None, now.groups[key]) and told.groups.get(key) != now.groups[key]

    async def _wanted(self, session: Session, concerned: Sequence[Concerned]) -> list[Target]:
        """Those that are to be told of every change, and of few phones those that have other bytes."""
        if not concerned or not await session.platforms.all():
            return []
        says: dict[Group, bool] = {}
        for group in {phone.group for phone in concerned}:
            says[group] = await self._reloads(session, group)
        found = [p.target for p in concerned if (says[p.group] if p.reload is None else p.reload)]
        if len(found) > CHECKED:
            return found
        phones = await session.phones.get_many([target.id for target in found])
        same = {phone.id for phone in phones if await self._status.has_current_files(session, phone)}
        return [target for target in found if target.id not in same]

    async def _reloads(self, session: Session, group: Group) -> bool:
        """What the phones of a group are told by what they share."""
        model = self._templates.catalog.models.get(group[0])
        if model is None:
            return False
        try:
            site, base = await session.sites.get(group[1]), await session.base_settings.get(group[2])
            return bool(make_group(self._templates.catalog, model, site, base).effective.plain["dynamic_reload"])
        except (BadValue, NotFound):
            return False


def _short(inputs: Mapping[Group, str]) -> dict[str, str]:
    return {_key(group): text[:16] for group, text in inputs.items()}


def _key(group: Group) -> str:
    return hashlib.blake2b("\x1f".join(group).encode(), digest_size=8).hexdigest()
