"""People, with their lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.phone import Line
from ztp_server.domain.user import User
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store import places
from ztp_server.store.phone_rows import name_key
from ztp_server.store.schema import lines, phones, user_lines, users
from ztp_server.store.vault import Vault

_BATCH = 1000


class OnPhone(NamedTuple):
    """A user who is logged in on a phone; `is_fixed` when that has lines of its own."""

    user: str
    phone_id: str
    is_fixed: bool


class UserStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, user_id: str) -> User:
        """Raises NotFound."""
        found = await self._select(sa.select(users).where(users.c.id == user_id))
        if not found:
            raise NotFound(f"no user {user_id}")
        return found[0]

    async def page(self, q: str, after: str, limit: int) -> list[User]:
        """Users by id, beyond one. `q` is part of an id, a name or an extension, in any case; `*` in it stands for any
        text, and then it has to fit the whole."""
        query = sa.select(users).where(users.c.id > after).order_by(users.c.id).limit(limit)
        if q:
            pattern = _pattern(name_key(q))
            columns = (users.c.id, users.c.name_key, sa.func.lower(users.c.extension))
            query = query.where(sa.or_(*(column.like(pattern, escape="\\") for column in columns)))
        return await self._select(query)

    async def phones(self, user_id: str, sites: frozenset[str] | None, most: int) -> list[dict[str, Any]]:
        """The first phones (`id`, `hardware_id`, `name`) that belong to a user, at some sites or (None) anywhere, and
        whether they are `logged_in` there (None: nobody logs in on such a phone)."""
        own = phones.c
        query = sa.select(own.id, own.hardware_id, own.name, own.category, own.logged_out)
        query = query.where(own.user_id == user_id)
        if sites is not None:
            query = query.where(phones.c.site_id.in_(sites))
        rows = await self._connection.execute(query.order_by(phones.c.id).limit(most))
        return [
            {"id": row.id, "hardware_id": row.hardware_id or "", "name": row.name}
            | {"logged_in": None if row.category != "managed" else not row.logged_out}
            for row in rows
        ]

    async def phone_count(self, user_id: str) -> int:
        """How many phones belong to a user."""
        query = sa.select(sa.func.count()).select_from(phones).where(phones.c.user_id == user_id)
        return (await self._connection.execute(query)).scalar_one()

    async def browser_phones(self, user_id: str) -> list[str]:
        """Ids of the phones in a browser that belong to a user."""
        query = sa.select(phones.c.id).where(phones.c.user_id == user_id, phones.c.category == "webrtc")
        return [row.id for row in await self._connection.execute(query.order_by(phones.c.id))]

    async def extensions(self, user_ids: Sequence[str]) -> dict[str, str]:
        """The extensions of those of these users that there are."""
        found: dict[str, str] = {}
        for start in range(0, len(user_ids), _BATCH):
            query = sa.select(users.c.id, users.c.extension).where(users.c.id.in_(user_ids[start : start + _BATCH]))
            found |= {row.id: row.extension for row in await self._connection.execute(query)}
        return found

    async def lines_of(self, user_ids: Collection[str]) -> dict[str, tuple[Line, ...]]:
        """The lines of those of these users that have some."""
        found = await self._lines(list(user_ids)) if user_ids else {}
        return {user_id: tuple(own) for user_id, own in found.items()}

    async def logged_in(self, user_ids: Collection[str]) -> list[OnPhone]:
        """The managed phones on which some users are logged in."""
        own_line = sa.exists().where(lines.c.phone_id == phones.c.id).label("has_lines")
        query = sa.select(phones.c.user_id, phones.c.id, own_line).order_by(phones.c.id)
        query = query.where(phones.c.category == "managed", sa.not_(phones.c.logged_out))
        wanted, found = sorted(user_ids), list[OnPhone]()
        for start in range(0, len(wanted), _BATCH):
            batch = query.where(phones.c.user_id.in_(wanted[start : start + _BATCH]))
            found += [OnPhone(*row) for row in await self._connection.execute(batch)]
        return found

    async def add(self, user: User) -> User:
        """Raises Conflict when the id is taken."""
        if (await self._connection.execute(sa.select(users.c.id).where(users.c.id == user.id))).first():
            raise Conflict(f"user {user.id} exists already")
        await self._connection.execute(sa.insert(users).values(_row(user) | {"id": user.id, "revision": 1}))
        await self._add_lines(user)
        return await self.get(user.id)

    async def replace(self, user: User) -> User:
        """Raises Stale when it is another by now."""
        unchanged = sa.and_(users.c.id == user.id, users.c.revision == user.revision)
        values = _row(user) | {"revision": user.revision + 1}
        if (await self._connection.execute(sa.update(users).where(unchanged).values(values))).rowcount != 1:
            raise Stale(f"user {user.id} was changed by somebody else meanwhile")
        await self._connection.execute(sa.delete(user_lines).where(user_lines.c.user_id == user.id))
        await self._add_lines(user)
        return await self.get(user.id)

    async def remove(self, user_id: str) -> None:
        await self._connection.execute(sa.delete(users).where(users.c.id == user_id))

    async def _add_lines(self, user: User) -> None:
        rows = [
            asdict(line)
            | {"user_id": user.id, "position": position}
            | {"password": self._vault.seal(line.password, places.user_line(user.id, position))}
            for position, line in enumerate(user.lines, 1)
        ]
        if rows:
            await self._connection.execute(sa.insert(user_lines), rows)

    async def _select(self, query: sa.Select[Any]) -> list[User]:
        rows = (await self._connection.execute(query)).all()
        own = await self._lines([row.id for row in rows])
        return [User(row.id, row.name, row.extension, tuple(own.get(row.id, ())), row.revision) for row in rows]

    async def _lines(self, user_ids: Sequence[str]) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for start in range(0, len(user_ids), _BATCH):
            query = sa.select(user_lines).where(user_lines.c.user_id.in_(user_ids[start : start + _BATCH]))
            for row in await self._connection.execute(query.order_by(user_lines.c.user_id, user_lines.c.position)):
                found.setdefault(row.user_id, []).append(self._line(row))
        return found

    def _line(self, row: sa.Row[Any]) -> Line:
        return Line(
            user=row.user,
            auth_user=row.auth_user,
            password=self._vault.read(row.password, places.user_line(row.user_id, row.position)),
            display_name=row.display_name,
            label=row.label,
            shared=row.shared,
        )


def _pattern(q: str) -> str:
    escaped = q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%") if "*" in q else f"%{escaped}%"


def _row(user: User) -> dict[str, Any]:
    return {"name": user.name, "name_key": name_key(user.name), "extension": user.extension}
