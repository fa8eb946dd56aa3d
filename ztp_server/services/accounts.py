"""Accounts: the logins of people, and the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.account import EVERYTHING, Account, RoleGrant, checked_external_id
from ztp_server.domain.site import check_slug
from ztp_server.errors import Conflict, LoginRefused
from ztp_server.services.checks import checked_name
from ztp_server.services.edits import check_revision
from ztp_server.services.logins import Logins
from ztp_server.services.passwords import Passwords, checked_password
from ztp_server.services.role_grants import amount, checked_grants, require_all
from ztp_server.services.tokens import hash_of
from ztp_server.store import Session, Store


class Accounts:
    def __init__(self, store: Store, passwords: Passwords, logins: Logins) -> None:
        self._store = store
        self._passwords = passwords
        self._logins = logins

    async def page(self, who: Actor, after: str = "", limit: int = 100) -> tuple[list[Account], bool]:
        """Accounts by id, beyond one. Whether there are more."""
        who.require("accounts:view")
        async with self._store.read() as session:
            found = await session.accounts.page(after, limit + 1)
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, account_id: str) -> Account:
        """Raises NotFound."""
        who.require("accounts:view")
        async with self._store.read() as session:
            return await session.accounts.get(account_id)

    async def tokens_made(self, who: Actor, account_id: str) -> list[str]:
        """Names of the programs' tokens that an account made, and that stay when it goes."""
        who.require("accounts:view")
        async with self._store.read() as session:
            return await session.tokens.made_by(f"account:{account_id}")

    async def add(
        self,
        who: Actor,
        account_id: str,
        name: str,
        password: str,
        roles: Sequence[RoleGrant] = (),
        *,
        external_id: str = "",
    ) -> Account:
        """Without a password it can log in elsewhere only, as `external_id`. Raises BadValue, Conflict when the id is
        taken, and Forbidden when it could do more than the one who asks."""
        who.require("accounts:edit")
        elsewhere = checked_external_id(external_id)
        account = Account(account_id, name or account_id, roles=tuple(roles), external_id=elsewhere)
        account = _checked(account, password) if password or not elsewhere else _named(account)
        async with self._store.read() as session:
            await checked_grants(session, who, roles)
        hashed = await self._passwords.hash(password) if password else ""
        async with self._store.write() as session:
            given = await checked_grants(session, who, roles)
            return await _add(session, who, replace(account, roles=given), hashed)

    async def add_first(self, token: str, account_id: str, name: str, password: str, address: str) -> Account:
        """The first account, which may do everything, in exchange for the token that the server showed at its start:
        once, and only while there is no account. Raises LoginRefused and BadValue."""
        account = _checked(Account(account_id, name or account_id, roles=(EVERYTHING,)), password)
        hashed_token = hash_of(token)
        async with self._store.read() as session:
            if not await session.tokens.has_first(hashed_token, datetime.now(UTC)):
                raise LoginRefused(_NOT_FIRST)
        hashed = await self._passwords.hash(password)
        async with self._store.write() as session:
            if await session.accounts.any() or not await session.tokens.take_first(hashed_token, datetime.now(UTC)):
                raise LoginRefused(_NOT_FIRST)
            return await _add(session, Actor("token:first", (), address), account, hashed)

    async def edit(
        self,
        who: Actor,
        account_id: str,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        roles: Sequence[RoleGrant] | None = None,
        external_id: str | None = None,
        revision: int | None = None,
    ) -> Account:
        """Change what is given; it counts from the next request on. Raises NotFound, BadValue, Stale, Conflict for the
        last who may do everything, and Forbidden for an account above the one who asks."""
        who.require("accounts:edit")
        elsewhere = None if external_id is None else checked_external_id(external_id)
        async with self._store.write() as session:
            before = await _reachable(session, who, account_id, revision)
            after = replace(
                before,
                name=before.name if name is None else checked_name(name),
                enabled=before.enabled if enabled is None else enabled,
                roles=before.roles if roles is None else await checked_grants(session, who, roles),
                external_id=before.external_id if elsewhere is None else elsewhere,
            )
            await _keep_an_admin(session, before, after)
            kept = await session.accounts.replace(after)
            if not after.enabled or before.external_id not in ("", after.external_id):
                await session.tokens.end_sessions(account_id)
            subject = f"account:{account_id}"
            await session.audit.add(who, "account.changed", subject, before=_record(before), after=_record(kept))
        return kept

    async def set_password(
        self, who: Actor, account_id: str, password: str, *, current: str | None = None, revision: int | None = None
    ) -> Account:
        """Another password; who is logged in with the old one is logged out. People change their own with the current
        one; those of others need accounts:edit. Raises NotFound, BadValue, LoginRefused, TooMany, Forbidden."""
        if _is_own(who, account_id):
            await self._logins.check(account_id, current or "", who.address)
        else:
            who.require("accounts:edit")
        async with self._store.read() as session:
            seen = await _reachable(session, who, account_id, revision)
        checked_password(password, seen.id, seen.name)
        hashed = await self._passwords.hash(password)
        async with self._store.write() as session:
            before = await _reachable(session, who, account_id, revision)
            kept = await session.accounts.replace(before, hashed)
            await session.tokens.end_sessions(account_id)
            after = {"password": "changed"}
            await session.audit.add(who, "account.changed", f"account:{account_id}", after=after)
        return kept

    async def remove(self, who: Actor, account_id: str, *, revision: int | None = None) -> None:
        """Raises NotFound, Stale, Conflict for the last who may do everything, and Forbidden."""
        who.require("accounts:edit")
        async with self._store.write() as session:
            before = await _reachable(session, who, account_id, revision)
            await _keep_an_admin(session, before, None)
            await session.tokens.end_sessions(account_id)
            await session.accounts.remove(account_id)
            await session.audit.add(who, "account.removed", f"account:{account_id}", before=_record(before))


_NOT_FIRST = "this token makes no first account: there is an account, or a newer token, or it is too old"


def _checked(account: Account, password: str) -> Account:
    named = _named(account)
    checked_password(password, account.id, account.name)
    return named


def _named(account: Account) -> Account:
    check_slug("id", account.id)
    return replace(account, name=checked_name(account.name))


async def _add(session: Session, who: Actor, account: Account, hashed: str) -> Account:
    kept = await session.accounts.add(account, hashed)
    await session.tokens.forget_first()
    await session.idempotency.forget_all(f"account:{kept.id}")
    await session.audit.add(who, "account.added", f"account:{kept.id}", after=_record(kept))
    return kept


async def _reachable(session: Session, who: Actor, account_id: str, revision: int | None) -> Account:
    """An account that the one who asks may change: their own, or one that may do no more than they."""
    account = await session.accounts.get(account_id)
    if not _is_own(who, account_id):
        require_all(who, await amount(session, account.roles))
    check_revision(f"account {account_id} was", revision, account.revision)
    return account


def _is_own(who: Actor, account_id: str) -> bool:
    return who.name == f"account:{account_id}"


async def _keep_an_admin(session: Session, before: Account, after: Account | None) -> None:
    """Whoever locks themselves out by a slip would need the machine itself to come back."""
    if before.is_admin and not (after and after.is_admin) and not await session.accounts.other_admins(before.id):
        raise Conflict(f"account {before.id} is the last that may do everything; make another one admin first")


def _record(account: Account) -> dict[str, Any]:
    """An account as the audit keeps it: of its password nothing, not even what could be compared."""
    record = {"name": account.name, "enabled": account.enabled, "roles": [str(role) for role in account.roles]}
    return record | ({"external_id": account.external_id} if account.external_id else {})
