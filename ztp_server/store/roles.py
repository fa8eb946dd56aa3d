"""Roles that administrators made, and who was given which role where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.account import BUILT_IN, Role, RoleGrant
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.schema_access import accounts, role_grants, roles, tokens

_BATCH = 1000


class RoleStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, role_id: str) -> Role:
        """A built-in role or one of ours. Raises NotFound."""
        if role_id in BUILT_IN:
            return BUILT_IN[role_id]
        row = (await self._connection.execute(sa.select(roles).where(roles.c.id == role_id))).first()
        if row is None:
            raise NotFound(f"no role {role_id}")
        return _read(row._mapping)

    async def all(self) -> list[Role]:
        """The built-in roles, then ours by id."""
        rows = await self._connection.execute(sa.select(roles).order_by(roles.c.id))
        return [*BUILT_IN.values(), *(_read(row._mapping) for row in rows)]

    async def add(self, role: Role) -> Role:
        """Raises Conflict when the id is taken."""
        known = await self._connection.execute(sa.select(roles.c.id).where(roles.c.id == role.id))
        if role.id in BUILT_IN or known.first():
            raise Conflict(f"role {role.id} exists already")
        await self._connection.execute(sa.insert(roles).values(_row(role) | {"revision": 1}))
        return await self.get(role.id)

    async def replace(self, role: Role) -> Role:
        """Raises Stale when it is another by now."""
        unchanged = sa.and_(roles.c.id == role.id, roles.c.revision == role.revision)
        values = _row(role) | {"revision": role.revision + 1}
        if (await self._connection.execute(sa.update(roles).where(unchanged).values(values))).rowcount != 1:
            raise Stale(f"role {role.id} was changed by somebody else meanwhile")
        return await self.get(role.id)

    async def remove(self, role_id: str) -> None:
        await self._connection.execute(sa.delete(roles).where(roles.c.id == role_id))

    async def holders(self, *, role: str | None = None, site: str | None = None, most: int = 10) -> list[str]:
        """Some of those who have a role, or any role at a site: `account ana`, `token ci`."""
        query = (
            sa.select(role_grants.c.owner, accounts.c.id.label("account"), tokens.c.name.label("token"))
            .outerjoin(accounts, role_grants.c.owner == sa.literal("account:").concat(accounts.c.id))
            .outerjoin(tokens, role_grants.c.owner == sa.literal("token:").concat(tokens.c.id))
            .distinct()
            .order_by(role_grants.c.owner)
            .limit(most)
        )
        if role is not None:
            query = query.where(role_grants.c.role == role)
        if site is not None:
            query = query.where(role_grants.c.site == site)
        rows = await self._connection.execute(query)
        return [f"account {row.account}" if row.account else f"token {row.token}" for row in rows]

    async def given(self, owners: Sequence[str]) -> dict[str, tuple[RoleGrant, ...]]:
        """What each of these (`account:<id>`, `token:<id>`) was given."""
        found: dict[str, list[RoleGrant]] = {owner: [] for owner in owners}
        for start in range(0, len(owners), _BATCH):
            batch = owners[start : start + _BATCH]
            query = sa.select(role_grants).where(role_grants.c.owner.in_(batch))
            for row in await self._connection.execute(query):
                found[row.owner].append(RoleGrant(row.role, row.site))
        return {owner: tuple(sorted(given)) for owner, given in found.items()}

    async def give(self, owner: str, given: Iterable[RoleGrant]) -> None:
        """What somebody has from now on, instead of what they had."""
        await self._connection.execute(sa.delete(role_grants).where(role_grants.c.owner == owner))
        rows = [{"owner": owner, "role": grant.role, "site": grant.site} for grant in set(given)]
        if rows:
            await self._connection.execute(sa.insert(role_grants), rows)


def _row(role: Role) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "permissions": list(role.permissions)}


def _read(row: Any) -> Role:
    return Role(row["id"], row["name"], tuple(row["permissions"]), revision=row["revision"])
