"""Whether phones were seen to act after they were told something: to ask for their files, to register."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.phone_conditions import listed
from ztp_server.store.schema import lines, phones, user_lines
from ztp_server.store.schema_history import check_ins
from ztp_server.store.schema_sip import phone_registrations, registrations


@dataclass(frozen=True)
class Seen:
    """When phones were first seen again, by id; by domain, too, that users of theirs were registered at: not every user
    of that name is theirs. `heard` are those of which somebody tells whether they register."""

    fetched: dict[str, datetime] = field(default_factory=dict)
    registered: dict[str, dict[str, datetime]] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()


class SeenAgainStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def since(self, told: Mapping[str, datetime]) -> Seen:
        """What phones (a few thousand at most) did after the moments at which they were told something."""
        if not told:
            return Seen()
        ids, first = listed(list(told), self._is_sqlite), min(told.values())
        asked = sa.select(phones.c.id, check_ins.c.at).join(check_ins, check_ins.c.hardware_id == phones.c.hardware_id)
        asked = asked.where(phones.c.id.in_(ids), check_ins.c.at > first)
        heard = sa.select(phone_registrations.c.phone_id).where(
            phone_registrations.c.phone_id.in_(ids), phone_registrations.c.primary_id != ""
        )
        return Seen(
            _first(told, await self._connection.execute(asked)),
            _first_by_domain(told, await self._connection.execute(_registered(ids, first))),
            frozenset((await self._connection.execute(heard)).scalars()),
        )

    async def phones_at(self, site: str) -> int:
        """How many phones a site has."""
        query = sa.select(sa.func.count()).select_from(phones).where(phones.c.site_id == site)
        return (await self._connection.execute(query)).scalar_one()


def _registered(ids: sa.Select[Any], first: datetime) -> sa.Select[tuple[str, str, datetime]]:
    """Registrations of users of phones' own lines, or of those they borrow, that changed since and are there."""
    own = sa.select(lines.c.phone_id.label("phone_id"), lines.c.user).where(lines.c.phone_id.in_(ids))
    borrowed = sa.select(phones.c.id.label("phone_id"), user_lines.c.user)
    borrowed = borrowed.join(user_lines, user_lines.c.user_id == phones.c.user_id).where(phones.c.id.in_(ids))
    users = sa.union(own, borrowed).subquery()
    told, kept = registrations.c, phone_registrations.c
    return (
        sa.select(users.c.phone_id, told.domain, told.changed_at)
        .join(phone_registrations, kept.phone_id == users.c.phone_id)
        .join(
            registrations,
            sa.and_(
                told.user == users.c.user,
                sa.or_(told.platform_id == kept.primary_id, told.platform_id == kept.secondary_id),
            ),
        )
        .where(told.changed_at > first, sa.cast(told.contacts, sa.Text) != "[]")
    )


def _first(told: Mapping[str, datetime], rows: Iterable[Any]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for phone_id, at in rows:
        if at > told[phone_id]:
            found[phone_id] = min(at, found.get(phone_id, at))
    return found


def _first_by_domain(told: Mapping[str, datetime], rows: Iterable[Any]) -> dict[str, dict[str, datetime]]:
    found: dict[str, dict[str, datetime]] = {}
    for phone_id, domain, at in rows:
        if at > told[phone_id]:
            of_phone = found.setdefault(phone_id, {})
            of_phone[domain] = min(at, of_phone.get(domain, at))
    return found
