"""What is known of registrations, as rows: put together for so many phones at a time; only what changed is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ztp_server.domain.registration import RollUp
from ztp_server.services.line_servers import LineServers
from ztp_server.services.registration_picture import Key, Picture
from ztp_server.services.registration_rollup import Platforms, RollUps, by_user
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.registrations import Kept, Registering, Told

# Phones in a transaction: those that ask meanwhile wait no longer than for so many.
BATCH = 100

# Told of each phone whose registration changed: the phone, the state before (empty: none), and what it is now.
Noticed = Callable[[Registering, str, RollUp], None]


class RegistrationWriter:
    """Evaluates phones. `pictures` are what the platforms told this server, by platform."""

    def __init__(self, store: Store, templates: Templates, pictures: Mapping[str, Picture], noticed: Noticed) -> None:
        self._store = store
        self._templates = templates
        self._pictures = pictures
        self._noticed = noticed
        self._roll_ups: RollUps | None = None
        # Addresses of record that platforms are to tell of, by phone: platform and address.
        self.aors: dict[str, list[Key]] = {}
        self.has_new_aors = False

    def forget(self) -> None:
        """Sites, base settings, templates or platforms are others now."""
        self._roll_ups = None

    async def write_told(self, picture: Picture, until: float) -> None:
        """Write down what is new of a platform, with the phones that it is about: some of it at least, and more as
        long as the loop's clock has not come to `until`."""
        clock = asyncio.get_running_loop().time
        is_first = True
        while picture.unwritten and (is_first or clock() < until):
            is_first = False
            keys = list(picture.unwritten)[:BATCH]
            # Whatever is told from now on is new again.
            picture.written(keys)
            try:
                await self._write_about({user for user, _ in keys})
            except BaseException:
                picture.unwritten.update(dict.fromkeys(keys))
                raise
            await asyncio.sleep(0)

    async def write_phones(self, ids: Sequence[str]) -> None:
        """Look at some phones anew."""
        for start in range(0, len(ids), BATCH):
            await self._write(ids[start : start + BATCH])
            await asyncio.sleep(0)

    async def write_next(self, after: str) -> str:
        """Look at the next phones by id anew; the last one's id, empty when there is none."""
        async with self._store.read() as session:
            ids = await session.registrations.ids_behind(after, BATCH)
        if ids:
            await self._write(ids)
        return ids[-1] if ids else ""

    async def forget_strangers(self) -> None:
        """Forget what was told of those who are no line of ours any more."""
        async with self._store.write() as session:
            servers = (await self._current(session)).servers
            await session.registrations.forget_strangers(servers.users_for_nobody)

    async def forget_removed(self) -> None:
        """Ask platforms no more of the lines of phones that are gone."""
        async with self._store.read() as session:
            there = await session.registrations.registered_ids(self.aors)
        for gone in self.aors.keys() - there:
            del self.aors[gone]
            self.has_new_aors = True

    async def _write_about(self, users: Collection[str]) -> None:
        async with self._store.read() as session:
            servers = (await self._current(session)).servers
            ids = await session.registrations.phones_with(users, servers.sites_with(users))
        for start in range(0, len(ids), BATCH):
            await self._write(ids[start : start + BATCH])

    async def _write(self, ids: Sequence[str]) -> None:
        now = datetime.now(UTC)
        async with self._store.read() as session:
            roll_ups = await self._current(session)
            phones = await session.registrations.registering(ids)
            users = {user for phone in phones for user in roll_ups.servers.users(phone)}
            known = {(one.platform, one.user, one.domain): one for one in await session.registrations.of_users(users)}
            before = await session.registrations.rolled_up(ids)
        await asyncio.sleep(0)
        news = self._news(users, known)
        known |= {(one.platform, one.user, one.domain): one for one in news}
        changed = self._changed(roll_ups, phones, known.values(), before, now)
        if news or changed:
            async with self._store.write() as session:
                await session.registrations.keep(news, now)
                await session.registrations.keep_rolled_up(changed)
        for phone in phones:
            aors = roll_ups.aors(phone)
            if self.aors.get(phone.id) != aors:
                self.aors[phone.id], self.has_new_aors = aors, True
            if phone.id in changed:
                was = before[phone.id].rolled_up.state if phone.id in before else ""
                self._noticed(phone, was, changed[phone.id].rolled_up)

    def _news(self, users: Collection[str], known: Mapping[tuple[str, str, str], Told]) -> list[Told]:
        """What the platforms told of these users, as far as it is not written down yet."""
        news = []
        for picture in self._pictures.values():
            for user in users:
                for told in picture.told_of(user):
                    kept = known.get((told.platform, told.user, told.domain))
                    if kept is None or (kept.contacts, kept.untold) != (told.contacts, told.untold):
                        ever = bool(told.contacts) or (kept is not None and kept.ever_registered)
                        news.append(replace(told, ever_registered=ever))
        return news

    def _changed(
        self,
        roll_ups: RollUps,
        phones: Sequence[Registering],
        known: Collection[Told],
        before: Mapping[str, Kept],
        now: datetime,
    ) -> dict[str, Kept]:
        told, changed = by_user(known), {}
        for phone in phones:
            rolled, kept = roll_ups.roll_up(phone, told), before.get(phone.id)
            if kept is None and rolled.state == "unknown":
                continue  # as every phone is without a row
            if kept is None or kept.rolled_up != rolled:
                is_same = kept is not None and kept.rolled_up.state == rolled.state
                changed[phone.id] = Kept(rolled, kept.since if kept and is_same else now)
        return changed

    async def _current(self, session: Session) -> RollUps:
        if self._roll_ups is None:
            self._roll_ups = await current_roll_ups(session, self._templates)
        return self._roll_ups


async def current_roll_ups(session: Session, templates: Templates) -> RollUps:
    """What decides where phones register, as it is now."""
    sites, bases = await session.sites.all(), await session.base_settings.all()
    return RollUps(Platforms(await session.platforms.all()), LineServers(templates.catalog, sites, bases))
