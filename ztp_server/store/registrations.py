"""Who is registered, as the platforms told, and what that comes to for each phone.

None of it is a change that other processes would have to heed: nothing that a phone is given is made of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.registration import Contact, RollUp
from ztp_server.store.schema import lines, phones, user_lines
from ztp_server.store.schema_sip import phone_registrations, platform_states, platforms, registrations

_BATCH = 500
# Of one address of record: whoever can register might add any number.
MOST_CONTACTS = 10
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Told:
    """What a platform told last of one address of record; `domain` is empty where it tells none. `untold` is why
    nothing is known of it, empty where it is; `ever_registered` that it was once, or is."""

    platform: str
    user: str
    domain: str
    contacts: tuple[Contact, ...] = ()
    untold: str = ""
    ever_registered: bool = False


@dataclass(frozen=True, slots=True)
class Registering:
    """What of a phone decides where its lines register. `settings` are its own, secrets sealed."""

    id: str
    hardware_id: str
    name: str
    category: str
    model: str
    site: str
    base_settings: str
    user: str
    is_logged_out: bool
    settings: Mapping[str, Any] = field(repr=False)
    lines: tuple[str, ...] = ()
    user_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """The roll-up of a phone as it is kept, and since when it is so."""

    rolled_up: RollUp
    since: datetime


class RegistrationStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of_platform(self, platform: str, after: tuple[str, str], limit: int) -> list[Told]:
        """What a platform told, by user and domain, behind one of them."""
        own = registrations.c
        query = sa.select(registrations).where(own.platform_id == platform, sa.tuple_(own.user, own.domain) > after)
        rows = await self._connection.execute(query.order_by(own.user, own.domain).limit(limit))
        return [_told(row) for row in rows]

    async def of_users(self, users: Collection[str]) -> list[Told]:
        """What all platforms told of these users, whatever their domain."""
        found: list[Told] = []
        for batch in _batches(list(users)):
            query = sa.select(registrations).where(registrations.c.user.in_(batch))
            found += [_told(row) for row in await self._connection.execute(query)]
        return found

    async def keep(self, told: Sequence[Told], now: datetime) -> None:
        """Keep these instead of what was kept of their addresses of record."""
        rows = [
            {
                "platform_id": one.platform,
                "user": one.user,
                "domain": one.domain,
                "contacts": [_written(contact) for contact in one.contacts[:MOST_CONTACTS]],
                "untold": one.untold[:255],
                "ever_registered": one.ever_registered or bool(one.contacts),
                "changed_at": now,
            }
            for one in told
        ]
        await self._upsert(registrations, ("platform_id", "user", "domain"), rows)

    async def forget_strangers(self, known: Collection[str]) -> None:
        """Remove what was told of those who are no line of a phone or user, and none of the `known`."""
        ours = (sa.exists().where(table.c.user == registrations.c.user) for table in (lines, user_lines))
        is_stranger = sa.not_(sa.or_(*ours, registrations.c.user.in_(list(known))))
        await self._connection.execute(sa.delete(registrations).where(is_stranger))

    async def phones_with(self, users: Collection[str], nobody_at: Collection[str]) -> list[str]:
        """Ids of the phones that have one of these users as a line of their own, or borrow it from a user; and of
        those at some sites that may have nobody logged in on them."""
        found: set[str] = set()
        for batch in _batches(list(users)):
            own = sa.select(lines.c.phone_id).where(lines.c.user.in_(batch))
            found |= set((await self._connection.execute(own)).scalars())
            whose = sa.select(user_lines.c.user_id).where(user_lines.c.user.in_(batch))
            borrowing = sa.select(phones.c.id).where(phones.c.user_id.in_(whose))
            found |= set((await self._connection.execute(borrowing)).scalars())
        if nobody_at:
            nobody = sa.and_(phones.c.category == "managed", sa.or_(phones.c.logged_out, phones.c.user_id.is_(None)))
            query = sa.select(phones.c.id).where(phones.c.site_id.in_(list(nobody_at)), nobody)
            found |= set((await self._connection.execute(query)).scalars())
        return sorted(found)

    async def ids_of(self, keys: Collection[str]) -> list[str]:
        """The ids of phones as changes name them: by hardware ID, or by id. What is none is left out."""
        found: list[str] = []
        for batch in _batches(list(keys)):
            query = sa.select(phones.c.id).where(sa.or_(phones.c.hardware_id.in_(batch), phones.c.id.in_(batch)))
            found += (await self._connection.execute(query)).scalars()
        return found

    async def ids_behind(self, after: str, limit: int) -> list[str]:
        """The next phones by id."""
        query = sa.select(phones.c.id).where(phones.c.id > after).order_by(phones.c.id).limit(limit)
        return list((await self._connection.execute(query)).scalars())

    async def registering(self, ids: Sequence[str]) -> list[Registering]:
        """What decides where some phones register, with their lines."""
        found: list[Registering] = []
        for batch in _batches(ids):
            own = await self._users(lines, lines.c.phone_id, batch)
            rows = list(await self._connection.execute(sa.select(*_OF_PHONE).where(phones.c.id.in_(batch))))
            # Only a phone without lines of its own borrows some.
            whose = sorted({row.user_id for row in rows if row.user_id and row.id not in own})
            borrowed = await self._users(user_lines, user_lines.c.user_id, whose)
            for row in rows:
                found.append(
                    Registering(
                        *(row.id, row.hardware_id or "", row.name, row.category, row.model, row.site_id),
                        *(row.base_settings_id or "", row.user_id or "", row.logged_out, row.settings),
                        own.get(row.id, ()),
                        borrowed.get(row.user_id or "", ()),
                    )
                )
        return found

    async def rolled_up(self, ids: Sequence[str]) -> dict[str, Kept]:
        """What is kept of some phones, by their ids."""
        found: dict[str, Kept] = {}
        for batch in _batches(ids):
            query = sa.select(phone_registrations).where(phone_registrations.c.phone_id.in_(batch))
            for row in await self._connection.execute(query):
                rolled = RollUp(row.state, row.reason, row.primary_id, row.secondary_id)
                found[row.phone_id] = Kept(rolled, row.since)
        return found

    async def keep_rolled_up(self, kept: Mapping[str, Kept]) -> None:
        """Keep these, by the ids of their phones, of which some may be gone."""
        newest = sa.select(sa.func.max(phone_registrations.c.number))
        number = ((await self._connection.execute(newest)).scalar() or 0) + 1
        there = await self.registered_ids(kept)
        rows = [
            {
                "phone_id": phone_id,
                "state": one.rolled_up.state,
                "reason": one.rolled_up.reason,
                "since": one.since,
                "primary_id": one.rolled_up.primary,
                "secondary_id": one.rolled_up.secondary,
                "number": number,
            }
            for phone_id, one in kept.items()
            if phone_id in there
        ]
        await self._upsert(phone_registrations, ("phone_id",), rows)

    async def registered_ids(self, ids: Iterable[str]) -> set[str]:
        """Those of these phones that are there."""
        found: set[str] = set()
        for batch in _batches(list(ids)):
            query = sa.select(phones.c.id).where(phones.c.id.in_(batch))
            found |= set((await self._connection.execute(query)).scalars())
        return found

    async def sources(self) -> dict[str, str]:
        """Who tells of each platform's registrations, by the platforms' ids."""
        rows = await self._connection.execute(sa.select(platforms.c.id, platforms.c.source))
        return {row.id: row.source for row in rows}

    async def states(self) -> dict[str, tuple[str, datetime]]:
        """Of each platform that was heard of: why it tells nothing now (empty: it does), and since when."""
        rows = await self._connection.execute(sa.select(platform_states))
        return {row.platform_id: (row.reason, row.since) for row in rows}

    async def keep_state(self, platform: str, reason: str, now: datetime) -> None:
        """Note whether a platform tells anything."""
        row = {"platform_id": platform, "reason": reason[:255], "since": now}
        await self._upsert(platform_states, ("platform_id",), [row])

    async def counts(self, heard: Collection[str]) -> dict[str, int]:
        """How many phones there are in each state, as far as the platforms that are heard of tell."""
        own = phone_registrations.c
        kinds = (own.state, own.primary_id, own.secondary_id)
        query = sa.select(*kinds, sa.func.count().label("phones")).group_by(*kinds)
        found: dict[str, int] = {}
        for row in await self._connection.execute(query):
            if row.primary_id in heard and (not row.secondary_id or row.secondary_id in heard):
                found[row.state] = found.get(row.state, 0) + row.phones
        total = (await self._connection.execute(sa.select(sa.func.count()).select_from(phones))).scalar_one()
        return {**found, "unknown": total - sum(found.values())}

    async def _users(self, table: sa.Table, owner: sa.Column[Any], ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The SIP users of lines in their order, by whose they are."""
        query = sa.select(owner.label("owner"), table.c.user).where(owner.in_(ids)).order_by(owner, table.c.position)
        found: dict[str, list[str]] = {}
        for row in await self._connection.execute(query) if ids else ():
            found.setdefault(row.owner, []).append(row.user)
        return {key: tuple(users) for key, users in found.items()}

    async def _upsert(self, table: sa.Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(table)
        others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=others)
        for batch in _batches(rows):
            await self._connection.execute(statement, list(batch))


_OF_PHONE = (
    *(phones.c.id, phones.c.hardware_id, phones.c.name, phones.c.category, phones.c.model, phones.c.site_id),
    *(phones.c.base_settings_id, phones.c.user_id, phones.c.logged_out, phones.c.settings),
)


def _batches(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


def _written(contact: Contact) -> dict[str, Any]:
    expires = contact.expires_at.isoformat() if contact.expires_at else None
    return {
        "uri": contact.uri[:_LONGEST],
        "transport": contact.transport[:16],
        "user_agent": contact.user_agent[:_LONGEST],
        "expires_at": expires,
        "received": contact.received[:_LONGEST],
    }


def _told(row: sa.Row[Any]) -> Told:
    contacts = []
    for one in row.contacts:
        expires = datetime.fromisoformat(one["expires_at"]) if one["expires_at"] else None
        contacts.append(Contact(one["uri"], one["transport"], one["user_agent"], expires, one["received"]))
    return Told(row.platform_id, row.user, row.domain, tuple(contacts), row.untold, row.ever_registered)
