"""Tokens: what was shown once is known by its SHA-256 alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.access import Grant
from ztp_server.domain.account import BUILT_IN, Role, Token, grants_of
from ztp_server.errors import NotFound
from ztp_server.store.roles import RoleStore
from ztp_server.store.schema_access import accounts, role_grants, roles, tokens


@dataclass(frozen=True, slots=True)
class Held:
    """A token as a request is judged by it: what it must hash to, and what it allows."""

    token: Token
    hash: str
    grants: tuple[Grant, ...]


class TokenStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._roles = RoleStore(connection)

    async def held(self, token_id: str) -> Held | None:
        """A token with all it allows now, in one query; None when it is not there, or its account is disabled."""
        rows = (await self._connection.execute(_HELD, {"token_id": token_id})).all()
        if not rows or (rows[0].account and not rows[0].enabled):
            return None
        given = [(_role(row), row.site) for row in rows if row.role is not None]
        return Held(_read(rows[0]._mapping), rows[0].hash, grants_of(given))

    async def get(self, token_id: str) -> Token:
        """A token of a program. Raises NotFound."""
        found = await self._select(sa.select(tokens).where(tokens.c.kind == "api", tokens.c.id == token_id))
        if not found:
            raise NotFound(f"no token {token_id}")
        return found[0]

    async def named(self, name: str) -> Token | None:
        """The token of a program that has this name."""
        found = await self._select(sa.select(tokens).where(tokens.c.kind == "api", tokens.c.name == name))
        return found[0] if found else None

    async def page(self, after: str, limit: int) -> list[Token]:
        """Tokens of programs by id, beyond one."""
        own = sa.and_(tokens.c.kind == "api", tokens.c.id > after)
        return await self._select(sa.select(tokens).where(own).order_by(tokens.c.id).limit(limit))

    async def made_by(self, actor: str, most: int = 100) -> list[str]:
        """Names of the programs' tokens that somebody made."""
        own = sa.and_(tokens.c.kind == "api", tokens.c.created_by == actor)
        rows = await self._connection.execute(sa.select(tokens.c.name).where(own).order_by(tokens.c.name).limit(most))
        return [row.name for row in rows]

    async def add(self, token: Token, hashed: str) -> None:
        values = {name: getattr(token, name) for name in _COLUMNS} | {"hash": hashed}
        await self._connection.execute(sa.insert(tokens).values(values))
        await self._roles.give(owner(token.id), token.roles)

    async def remove(self, token_id: str) -> None:
        await self._roles.give(owner(token_id), ())
        await self._connection.execute(sa.delete(tokens).where(tokens.c.id == token_id))

    async def end_sessions(self, account: str, *, but_newest: int = 0) -> None:
        """Log an account out, everywhere or but for its newest log-ins."""
        own = sa.and_(tokens.c.kind == "session", tokens.c.account == account)
        kept = sa.select(tokens.c.id).where(own).order_by(tokens.c.created_at.desc()).limit(but_newest)
        keep = [row.id for row in await self._connection.execute(kept)] if but_newest else []
        await self._connection.execute(sa.delete(tokens).where(own, tokens.c.id.not_in(keep)))

    async def has_first(self, hashed: str, now: datetime) -> bool:
        """Whether this is the token of the first account."""
        return (await self._connection.execute(sa.select(tokens.c.id).where(_first(hashed, now)))).first() is not None

    async def take_first(self, hashed: str, now: datetime) -> bool:
        """Use the token of the first account up. Whether it was there and good: once at most."""
        return (await self._connection.execute(sa.delete(tokens).where(_first(hashed, now)))).rowcount == 1

    async def forget_first(self) -> None:
        """No account is the first any more, or a new token takes the place of the one before."""
        await self._connection.execute(sa.delete(tokens).where(tokens.c.kind == "first"))

    async def note_use(self, used: Mapping[str, datetime]) -> None:
        """When tokens were last used. No process has to forget anything of it."""
        for token_id, at in used.items():
            await self._connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(last_used_at=at))

    async def forget_expired(self, now: datetime) -> None:
        """Sessions end without a trace; a program's token stays in the list until it is revoked."""
        own = sa.and_(tokens.c.kind != "api", tokens.c.expires_at < now)
        await self._connection.execute(sa.delete(tokens).where(own))

    async def _select(self, query: sa.Select[Any]) -> list[Token]:
        rows: Sequence[sa.Row[Any]] = (await self._connection.execute(query)).all()
        given = await self._roles.given([owner(row.id) for row in rows])
        return [_read(row._mapping, roles=given[owner(row.id)]) for row in rows]


def owner(token_id: str) -> str:
    """Who has the roles of a program's token, as they are stored."""
    return f"token:{token_id}"


_COLUMNS = ("id", "name", "kind", "created_by", "created_at", "account", "expires_at", "last_used_at")
_OWNER = sa.case(
    (tokens.c.account != "", sa.literal("account:").concat(tokens.c.account)),
    else_=sa.literal("token:").concat(tokens.c.id),
)
_HELD = (
    sa.select(
        tokens,
        accounts.c.enabled,
        *(role_grants.c.role, role_grants.c.site, roles.c.permissions),
    )
    .outerjoin(accounts, accounts.c.id == tokens.c.account)
    .outerjoin(role_grants, role_grants.c.owner == _OWNER)
    .outerjoin(roles, roles.c.id == role_grants.c.role)
    .where(tokens.c.id == sa.bindparam("token_id"))
)


def _first(hashed: str, now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(tokens.c.kind == "first", tokens.c.hash == hashed, tokens.c.expires_at > now)


def _role(row: sa.Row[Any]) -> Role:
    return BUILT_IN.get(row.role) or Role(row.role, row.role, tuple(row.permissions or ()))


def _read(row: Any, **more: Any) -> Token:
    return Token(**{name: row[name] for name in _COLUMNS}, **more)
