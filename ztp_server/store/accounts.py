"""Accounts, with the roles they were given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.account import EVERYTHING, Account
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.roles import RoleStore
from ztp_server.store.schema_access import accounts, role_grants


class AccountStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._roles = RoleStore(connection)

    async def get(self, account_id: str) -> Account:
        """Raises NotFound."""
        found = await self.find(account_id)
        if found is None:
            raise NotFound(f"no account {account_id}")
        return found

    async def find(self, account_id: str) -> Account | None:
        found = await self._read(sa.select(accounts).where(accounts.c.id == account_id))
        return found[0] if found else None

    async def external(self, external_id: str) -> Account | None:
        """The account of somebody who logged in elsewhere."""
        found = await self._read(sa.select(accounts).where(accounts.c.external_id == external_id))
        return found[0] if found else None

    async def page(self, after: str, limit: int) -> list[Account]:
        """Accounts by id, beyond one."""
        return await self._read(sa.select(accounts).where(accounts.c.id > after).order_by(accounts.c.id).limit(limit))

    async def password(self, account_id: str) -> str | None:
        """What the password is checked against; None where there is no such account."""
        query = sa.select(accounts.c.password).where(accounts.c.id == account_id)
        return (await self._connection.execute(query)).scalar()

    async def any(self) -> bool:
        return (await self._connection.execute(sa.select(accounts.c.id).limit(1))).first() is not None

    async def other_admins(self, account_id: str) -> bool:
        """Whether an enabled account beside this one may do everything."""
        query = (
            sa.select(accounts.c.id)
            .join(role_grants, role_grants.c.owner == sa.literal("account:").concat(accounts.c.id))
            .where(accounts.c.enabled, accounts.c.id != account_id)
            .where(role_grants.c.role == EVERYTHING.role, role_grants.c.site == EVERYTHING.site)
        )
        return (await self._connection.execute(query.limit(1))).first() is not None

    async def add(self, account: Account, password: str) -> Account:
        """`password` is hashed, empty for who has none here. Raises Conflict when the id is taken, or who it is
        elsewhere."""
        if (await self._connection.execute(sa.select(accounts.c.id).where(accounts.c.id == account.id))).first():
            raise Conflict(f"account {account.id} exists already")
        await self._check_external(account)
        values = {"id": account.id, "name": account.name, "password": password, "enabled": account.enabled}
        values |= {"external_id": account.external_id or None, "created_at": datetime.now(UTC), "revision": 1}
        await self._connection.execute(sa.insert(accounts).values(values))
        await self._roles.give(owner(account.id), account.roles)
        return await self.get(account.id)

    async def replace(self, account: Account, password: str | None = None) -> Account:
        """Keep an account as it is now, with another password (hashed) if one is given. Raises Stale, and Conflict when
        another account is the same elsewhere."""
        await self._check_external(account)
        values: dict[str, Any] = {"name": account.name, "enabled": account.enabled, "revision": account.revision + 1}
        values["external_id"] = account.external_id or None
        if password is not None:
            values["password"] = password
        unchanged = sa.and_(accounts.c.id == account.id, accounts.c.revision == account.revision)
        if (await self._connection.execute(sa.update(accounts).where(unchanged).values(values))).rowcount != 1:
            raise Stale(f"account {account.id} was changed by somebody else meanwhile")
        await self._roles.give(owner(account.id), account.roles)
        return await self.get(account.id)

    async def remove(self, account_id: str) -> None:
        await self._roles.give(owner(account_id), ())
        await self._connection.execute(sa.delete(accounts).where(accounts.c.id == account_id))

    async def _check_external(self, account: Account) -> None:
        known = await self.external(account.external_id) if account.external_id else None
        if known and known.id != account.id:
            raise Conflict(f"account {known.id} has this OpenID Connect identity already")

    async def _read(self, query: sa.Select[Any]) -> list[Account]:
        rows = (await self._connection.execute(query)).all()
        given = await self._roles.given([owner(row.id) for row in rows])
        return [
            Account(
                *(row.id, row.name, row.enabled, given[owner(row.id)], row.created_at, row.revision),
                external_id=row.external_id or "",
            )
            for row in rows
        ]


def owner(account_id: str) -> str:
    """Who has the roles of an account, as they are stored."""
    return f"account:{account_id}"
