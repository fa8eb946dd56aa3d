"""Who is registered: the task of a server that listens to all platforms and keeps what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import RollUp
from ztp_server.errors import StoreUnavailable
from ztp_server.services.lease import LeaseOf
from ztp_server.services.offline_events import OfflineEvents, Report
from ztp_server.services.phone_registration import LEASE, hearing
from ztp_server.services.platform_agent import PlatformAgents
from ztp_server.services.registration_picture import OpenSource, Picture, Reader
from ztp_server.services.registration_writer import RegistrationWriter
from ztp_server.services.templates import Templates
from ztp_server.store import Store
from ztp_server.store.changes import ChangeFeed
from ztp_server.store.registrations import Registering

# Between two batches; the first one after a pause is written at once.
FLUSH_SECONDS = 0.5
# How often changes are looked for while nothing is told, and whether there is anything to do at all.
_LOOK_SECONDS = 0.5
_IDLE_SECONDS = 1.0
_COUNT_SECONDS = 15.0
# More phones changed at once than this, and all are looked at anew.
_MOST_TOUCHED = 2000
# How often platforms are told which lines are ours while all phones are looked at.
_WANT_SECONDS = 5.0
# Between two looks at some of all phones: those that ask go first.
_BREATH_SECONDS = 0.01
# What many registrations at once take longer than is written in several steps: between two, this server says that it
# still listens, and heeds what was changed.
_LONGEST_STEP = 2.0
_BATCH = 1000
_NOT_HEARD = "it was not heard of yet"
# Changes by which no phone registers elsewhere.
_OF_NO_CONCERN = frozenset({"proof", "firmware", "certificate"})

log = structlog.get_logger()


class Registrations:
    """One server listens for all that share a database; another takes over when it is gone. What it keeps is read from
    the database by everybody (services/registration_views.py)."""

    def __init__(
        self,
        store: Store,
        templates: Templates,
        agents: PlatformAgents,
        opened: OpenSource | None = None,
    ) -> None:
        self._store = store
        self._templates = templates
        self._open_source = opened or agents.source
        self._lease = LeaseOf(store, LEASE)
        # How many phones there are in each state, as it was lately.
        self.counts: dict[str, int] = {}

    async def run(self, report: Report) -> None:
        """Listen for ever, as often as this server is the one to do it; `report` (action, subject, reason) is told of
        what administrators should know."""
        counting = asyncio.create_task(self._count())
        try:
            while True:
                await self._undisturbed(lambda: self._listen(report))
                await asyncio.sleep(_IDLE_SECONDS)
        finally:
            counting.cancel()

    async def _count(self) -> None:
        while True:
            await self._undisturbed(self._count_once)
            await asyncio.sleep(_COUNT_SECONDS)

    async def _count_once(self) -> None:
        async with self._store.read() as session:
            self.counts = await session.registrations.counts((await hearing(session)).heard)

    async def _undisturbed(self, work: Callable[[], Awaitable[None]]) -> None:
        """The next round begins anew."""
        try:
            await work()
        except StoreUnavailable as error:
            log.warning("registrations.not_written", reason=str(error))
        except Exception:
            log.exception("registrations.failed")

    async def _is_needed(self) -> bool:
        async with self._store.read() as session:
            return any(platform.source != "none" for platform in await session.platforms.all())

    async def _listen(self, report: Report) -> None:
        """Until another server has the lease, or no platform tells anything any more."""
        if not (self._store.is_open and await self._is_needed() and await self._lease.take()):
            return
        listening = _Listening(self._store, self._templates, self._open_source, report)
        try:
            await listening.begin()
            while await self._lease.beat() and await listening.step():
                pass
        finally:
            await asyncio.shield(self._leave(listening))

    async def _leave(self, listening: _Listening) -> None:
        await listening.close()
        with suppress(StoreUnavailable):
            await self._lease.leave()


class _Listening:
    """What a server has in hand as long as it listens."""

    def __init__(self, store: Store, templates: Templates, open_source: OpenSource, report: Report) -> None:
        self._store = store
        self._templates = templates
        self._open_source = open_source
        self._report = report
        self._offline = OfflineEvents(report)
        self._changed = asyncio.Event()
        self._readers: dict[str, Reader] = {}
        self._platforms: dict[str, Platform] = {}
        self._pictures: dict[str, Picture] = {}
        self._writer = RegistrationWriter(self._store, self._templates, self._pictures, self._noticed)
        self._feed: ChangeFeed = self._store.new_feed()
        self._snapshot: object = None
        # Where looking at all phones has come to; None when all were looked at.
        self._walked: str | None = ""
        self._walk_again = False
        self._written: dict[str, str | None] = {}
        self._wanted_at = 0.0

    async def begin(self) -> None:
        await self._feed.read()
        async with self._store.read() as session:
            self._written = {name: reason for name, (reason, _) in (await session.registrations.states()).items()}
        self._snapshot = self._templates.snapshot
        await self._take_platforms()

    async def close(self) -> None:
        self._feed.close()
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))

    async def step(self) -> bool:
        """Do what there is to do; whether anybody tells anything still."""
        if self._walked is None and not self._changed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
        self._changed.clear()
        await self._heed_changes()
        until = asyncio.get_running_loop().time() + _LONGEST_STEP
        for picture in list(self._pictures.values()):
            await self._write(picture, until)
        is_behind = any(picture.unwritten for picture in self._pictures.values())
        if is_behind:
            self._changed.set()
        await self._walk()
        now = asyncio.get_running_loop().time()
        self._offline.tell(now)
        if self._writer.has_new_aors and (self._walked is None or now - self._wanted_at >= _WANT_SECONDS):
            self._wanted_at = now
            await self._want()
        is_busy = is_behind or self._walked is not None
        await asyncio.sleep(_BREATH_SECONDS if is_busy else FLUSH_SECONDS)
        return bool(self._readers)

    async def _write(self, picture: Picture, until: float) -> None:
        """Silence goes first: what is known may be old. That it is over comes last, when what is true was written."""
        name, reason = picture.platform.id, picture.silent_because
        if reason:
            await self._write_state(picture, reason)
        await self._writer.write_told(picture, until)
        if picture.unwritten:
            return
        if reason == "" and picture.silent_because == "" and self._written.get(name) != "":
            await self._write_state(picture, "")

    async def _write_state(self, picture: Picture, reason: str) -> None:
        name = picture.platform.id
        if self._written.get(name) == reason:
            return
        async with self._store.write() as session:
            if name in await session.registrations.sources():  # it may be removed by now
                await session.registrations.keep_state(name, reason, datetime.now(UTC))
        was, self._written[name] = self._written.get(name), reason
        if reason == _NOT_HEARD:
            return
        if reason and was in ("", _NOT_HEARD):
            self._report("platform.silent", f"platform {name}", f"it tells nobody who is registered: {reason}")
        elif not reason:
            log.info("platform.heard", platform=name)

    async def _heed_changes(self) -> None:
        """Look anew at what somebody changed, in this process or another."""
        if self._templates.snapshot is not self._snapshot:
            self._snapshot = self._templates.snapshot
            self._look_at_all()
        if not self._feed.moved():
            return
        changes = await self._feed.read()
        touched = list({key for kind, key in changes if kind == "phone"})
        others = {kind for kind, _ in changes} - _OF_NO_CONCERN - {"phone"}
        if "platform" in others:
            await self._take_platforms()
        if others or len(touched) > _MOST_TOUCHED:
            self._look_at_all()
        elif touched:
            async with self._store.read() as session:
                ids = await session.registrations.ids_of(touched)
            await self._writer.write_phones(ids)
            if len(ids) < len(touched):
                await self._writer.forget_removed()

    def _look_at_all(self) -> None:
        self._writer.forget()
        if self._walked:
            self._walk_again = True
        else:
            self._walked = ""

    async def _walk(self) -> None:
        """Look at some more phones, if not all were looked at since something changed for many."""
        if self._walked is None:
            return
        self._walked = await self._writer.write_next(self._walked) or None
        if self._walked is None:
            if self._walk_again:
                self._walked, self._walk_again = "", False
            else:
                await self._writer.forget_removed()
                await self._writer.forget_strangers()

    async def _take_platforms(self) -> None:
        """Listen to the platforms as they are now."""
        async with self._store.read() as session:
            telling = {one.id: one for one in await session.platforms.all() if one.source != "none"}
        for name in [name for name, known in self._platforms.items() if telling.get(name) != known]:
            await self._readers.pop(name).close()
            del self._platforms[name], self._pictures[name]
            self._written.pop(name, None)
        for name, platform in telling.items():
            if name not in self._platforms:
                picture = Picture(platform, self._changed)
                await self._remember(picture)
                self._platforms[name], self._pictures[name] = platform, picture
                # What was told before is old: nobody listened, or not with these words.
                await self._write_state(picture, _NOT_HEARD)
                self._readers[name] = Reader(picture, self._open_source)
                self._writer.has_new_aors = True

    async def _remember(self, picture: Picture) -> None:
        after = ("", "")
        while True:
            async with self._store.read() as session:
                kept = await session.registrations.of_platform(picture.platform.id, after, _BATCH)
            picture.remember(kept)
            if len(kept) < _BATCH:
                return
            after = (kept[-1].user, kept[-1].domain)

    async def _want(self) -> None:
        """Tell platforms which addresses of record are ours."""
        self._writer.has_new_aors = False
        wanted: dict[str, set[str]] = {name: set() for name in self._platforms}
        for number, aors in enumerate(list(self._writer.aors.values()), 1):
            for name, aor in aors:
                if name in wanted:
                    wanted[name].add(aor)
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        for name, found in wanted.items():
            if name in self._readers:
                self._readers[name].want(frozenset(found))

    def _noticed(self, phone: Registering, before: str, after: RollUp) -> None:
        self._offline.note(phone, before, after, asyncio.get_running_loop().time())
