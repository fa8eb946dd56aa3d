"""Users: the people phones belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Line, LineChange, changed_lines
from ztp_server.domain.site import check_slug
from ztp_server.domain.user import User
from ztp_server.errors import BadValue, Forbidden, InUse
from ztp_server.services.checks import checked_name
from ztp_server.services.edits import MOST_NAMED, check_revision
from ztp_server.services.log_in import lines_changed
from ztp_server.services.records import phone_record, subject_of, user_record
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

# What can be dialled, and what a SIP user may be called without quoting (RFC 3261, 25.1).
_EXTENSION = re.compile(r"[0-9A-Za-z+*#._-]{1,64}")
_MOST_LINES = 64
_MOST_PHONES = 1000


class Users:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def page(self, who: Actor, q: str = "", after: str = "", limit: int = 100) -> tuple[list[User], bool]:
        """Users by id, beyond one, with `q` in their id, name or extension (`*`: any text); whether there are more."""
        who.require("users:view")
        async with self._store.read() as session:
            found = await session.users.page(q, after, limit + 1)
        return found[:limit], len(found) > limit

    async def get(self, who: Actor, user_id: str) -> User:
        """Raises NotFound."""
        who.require("users:view")
        async with self._store.read() as session:
            return await session.users.get(user_id)

    async def phones(self, who: Actor, user_id: str) -> list[dict[str, Any]]:
        """The phones of a user that one may see: `id`, `hardware_id`, `name`, and whether the user is `logged_in` there
        (None: nobody logs in on such a phone). Raises NotFound."""
        who.require("users:view")
        async with self._store.read() as session:
            await session.users.get(user_id)
            return await _seen_phones(session, who, user_id, _MOST_PHONES)

    async def add(
        self, who: Actor, user_id: str, name: str, extension: str = "", lines: Sequence[Line | LineChange] = ()
    ) -> User:
        """Raises BadValue naming the field, and Conflict when the id is taken."""
        who.require("users:add")
        check_slug("id", user_id)
        user = _checked(User(user_id, name or user_id, extension, changed_lines((), lines)))
        async with self._store.write() as session:
            kept = await session.users.add(user)
            after = user_record(kept, session.audit.digest)
            await session.audit.add(who, "user.added", f"user:{user_id}", after=after)
        return kept

    async def edit(
        self,
        who: Actor,
        user_id: str,
        *,
        name: str | None = None,
        extension: str | None = None,
        lines: Sequence[Line | LineChange] | None = None,
        revision: int | None = None,
    ) -> User:
        """Change what is given; lines replace, on the phone as well that borrows them. With another extension the
        browser phones of the user register as that, with the password they had. Raises NotFound, BadValue naming the
        field, and Stale."""
        who.require("users:edit")
        async with self._store.write() as session:
            before = await session.users.get(user_id)
            check_revision(f"user {user_id} was", revision, before.revision)
            after = _checked(
                replace(
                    before,
                    name=before.name if name is None else name,
                    extension=before.extension if extension is None else extension,
                    lines=before.lines if lines is None else changed_lines(before.lines, lines),
                )
            )
            kept = await session.users.replace(after)
            digest = session.audit.digest
            old, new = user_record(before, digest), user_record(kept, digest)
            await session.audit.add(who, "user.changed", f"user:{user_id}", before=old, after=new)
            if before.extension != kept.extension:
                await self._follow(session, who, kept)
            if before.lines != kept.lines:
                await lines_changed(session, self._templates.catalog, who, kept)
        return kept

    async def remove(self, who: Actor, user_id: str, *, revision: int | None = None) -> None:
        """Raises NotFound, Stale, and InUse while phones belong to the user."""
        who.require("users:delete")
        async with self._store.write() as session:
            before = await session.users.get(user_id)
            check_revision(f"user {user_id} was", revision, before.revision)
            count = await session.users.phone_count(user_id)
            if count:
                seen = await _seen_phones(session, who, user_id, MOST_NAMED)
                named = [{name: phone[name] for name in ("id", "hardware_id", "name")} for phone in seen]
                raise InUse(f"user {user_id} is", count, named)
            await session.users.remove(user_id)
            record = user_record(before, session.audit.digest)
            await session.audit.add(who, "user.removed", f"user:{user_id}", before=record)

    async def _follow(self, session: Session, who: Actor, user: User) -> None:
        """A browser phone registers as the extension of its user, always."""
        table, digest = self._templates.catalog.settings, session.audit.digest
        for phone_id in await session.users.browser_phones(user.id):
            if not user.extension:
                raise BadValue("extension", "a browser phone of this user registers with it")
            before = await session.phones.get_any(phone_id)
            lines = tuple(replace(line, user=user.extension) for line in before.lines)
            after = replace(before, lines=lines)
            await session.phones.replace(after)
            old, new = phone_record(before, table, digest), phone_record(after, table, digest)
            reason = f"the extension of user {user.id}"
            await session.audit.add(who, "phone.changed", subject_of(before), before=old, after=new, reason=reason)


def _checked(user: User) -> User:
    if user.extension and not _EXTENSION.fullmatch(user.extension):
        raise BadValue("extension", "must be letters, digits and + * # . _ -, at most 64")
    if len(user.lines) > _MOST_LINES:
        raise BadValue("lines", f"{len(user.lines)} lines, at most {_MOST_LINES}")
    for number, line in enumerate(user.lines, 1):
        line.checked(f"lines.{number}")
    return replace(user, name=checked_name(user.name))


async def _seen_phones(session: Session, who: Actor, user_id: str, most: int) -> list[dict[str, Any]]:
    try:
        sites = who.sites("phones:view")
    except Forbidden:
        return []
    return await session.users.phones(user_id, sites, most)
