"""Roles: permissions under a name. Those of the product stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor, Grant, parse_permissions
from ztp_server.domain.account import Role
from ztp_server.domain.site import check_slug
from ztp_server.errors import BadValue, Conflict
from ztp_server.services.checks import checked_name
from ztp_server.services.edits import check_revision
from ztp_server.services.role_grants import require_all
from ztp_server.store import Session, Store


class Roles:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self, who: Actor) -> list[Role]:
        """The built-in roles, then the others by id."""
        who.require("accounts:view")
        async with self._store.read() as session:
            return await session.roles.all()

    async def get(self, who: Actor, role_id: str) -> Role:
        """Raises NotFound."""
        who.require("accounts:view")
        async with self._store.read() as session:
            return await session.roles.get(role_id)

    async def add(self, who: Actor, role_id: str, name: str, permissions: Sequence[str]) -> Role:
        """Raises BadValue, Conflict when the id is taken, and Forbidden for permissions the one who asks has not."""
        who.require("accounts:edit")
        check_slug("id", role_id)
        role = Role(role_id, checked_name(name or role_id), _checked(who, permissions))
        async with self._store.write() as session:
            kept = await session.roles.add(role)
            await session.audit.add(who, "role.added", f"role:{role_id}", after=_record(kept))
        return kept

    async def edit(
        self,
        who: Actor,
        role_id: str,
        *,
        name: str | None = None,
        permissions: Sequence[str] | None = None,
        revision: int | None = None,
    ) -> Role:
        """Change what is given; it counts for everybody who has the role from their next request on. Raises NotFound,
        BadValue, Stale, Conflict for a built-in role, and Forbidden."""
        who.require("accounts:edit")
        async with self._store.write() as session:
            before = await _ours(session, who, role_id, revision)
            after = replace(
                before,
                name=before.name if name is None else checked_name(name),
                permissions=before.permissions if permissions is None else _checked(who, permissions),
            )
            kept = await session.roles.replace(after)
            await session.audit.add(who, "role.changed", f"role:{role_id}", before=_record(before), after=_record(kept))
        return kept

    async def remove(self, who: Actor, role_id: str, *, revision: int | None = None) -> None:
        """Raises NotFound, Stale, Conflict for a built-in role or one that somebody has, and Forbidden."""
        who.require("accounts:edit")
        async with self._store.write() as session:
            before = await _ours(session, who, role_id, revision)
            holders = await session.roles.holders(role=role_id)
            if holders:
                raise Conflict(f"role {role_id} is in use by {', '.join(holders)}")
            await session.roles.remove(role_id)
            await session.audit.add(who, "role.removed", f"role:{role_id}", before=_record(before))


def _checked(who: Actor, permissions: Sequence[str]) -> tuple[str, ...]:
    """Permissions that may be put into a role, which may be given everywhere."""
    if not permissions:
        raise BadValue("permissions", "a role without one would allow nothing")
    checked = parse_permissions(permissions)
    require_all(who, [Grant(Role("", "", checked).allowed)])
    return checked


async def _ours(session: Session, who: Actor, role_id: str, revision: int | None) -> Role:
    """A role that the one who asks may change: not a built-in one, and none that allows more than they may."""
    role = await session.roles.get(role_id)
    if role.built_in:
        raise Conflict(f"role {role_id} is built in and stays as it is; make one of your own")
    require_all(who, [Grant(role.allowed)])
    check_revision(f"role {role_id} was", revision, role.revision)
    return role


def _record(role: Role) -> dict[str, Any]:
    return {"name": role.name, "permissions": list(role.permissions)}
