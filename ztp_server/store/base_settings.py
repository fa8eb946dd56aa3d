"""Base settings and their revisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.base_settings import BaseSettings, BaseSettingsRevision
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store import places
from ztp_server.store.changes import record
from ztp_server.store.schema import base_settings, base_settings_revisions
from ztp_server.store.vault import Vault

_REVISIONS = base_settings_revisions
# What the column holds at most; nobody gets there.
_LAST_REVISION = 2**31 - 1


class BaseSettingsStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, base_id: str, revision: int | None = None) -> BaseSettings:
        """The current revision, or the one asked for. Raises NotFound."""
        wanted = base_settings.c.revision if revision is None else min(revision, _LAST_REVISION)
        query = _WITH_SETTINGS.where(base_settings.c.id == base_id, _REVISIONS.c.revision == wanted)
        row = (await self._connection.execute(query)).first()
        if row is None:
            what = f"base settings {base_id}" + (f" revision {revision}" if revision else "")
            raise NotFound(f"no {what}")
        return _read(row._mapping, self._vault)

    async def all(self) -> list[BaseSettings]:
        """All, by id, each at its current revision."""
        return await self.page("", None)

    async def page(self, after: str, limit: int | None) -> list[BaseSettings]:
        """At most so many of them by id, those that come after an id."""
        query = _WITH_SETTINGS.where(_REVISIONS.c.revision == base_settings.c.revision, base_settings.c.id > after)
        rows = await self._connection.execute(query.order_by(base_settings.c.id).limit(limit))
        return [_read(row._mapping, self._vault) for row in rows]

    async def revisions(self, base_id: str, before: int | None, limit: int) -> list[BaseSettingsRevision]:
        """Who made the revisions, the newest first; `before`: those with a smaller number."""
        query = sa.select(_REVISIONS).where(_REVISIONS.c.base_settings_id == base_id)
        if before is not None:
            query = query.where(_REVISIONS.c.revision < min(before, _LAST_REVISION))
        rows = await self._connection.execute(query.order_by(_REVISIONS.c.revision.desc()).limit(limit))
        return [BaseSettingsRevision(row.revision, row.author, row.reason, row.at) for row in rows]

    async def add(self, base: BaseSettings, author: str, reason: str = "") -> None:
        """Raises Conflict when the id is taken."""
        taken = sa.select(base_settings.c.id).where(base_settings.c.id == base.id)
        if (await self._connection.execute(taken)).first():
            raise Conflict(f"base settings {base.id} exist already")
        row = {"id": base.id, "name": base.name, "model": base.model, "revision": 1}
        await self._connection.execute(sa.insert(base_settings).values(row))
        await self._add_revision(base, 1, author, reason)

    async def revise(self, base: BaseSettings, author: str, reason: str = "") -> int:
        """Keep the settings as a new revision, which becomes the current one; returns its number."""
        new = base.revision + 1
        changed = sa.update(base_settings).where(
            base_settings.c.id == base.id, base_settings.c.revision == base.revision
        )
        result = await self._connection.execute(changed.values(revision=new, name=base.name))
        if result.rowcount != 1:
            raise Stale(f"base settings {base.id} were changed by somebody else meanwhile")
        await self._add_revision(base, new, author, reason)
        return new

    async def remove(self, base_id: str) -> None:
        """Remove them with all their revisions. Whoever calls has seen that no phone uses them."""
        await self._connection.execute(sa.delete(base_settings).where(base_settings.c.id == base_id))
        await record(self._connection, "base_settings")

    async def _add_revision(self, base: BaseSettings, revision: int, author: str, reason: str) -> None:
        sealed = self._vault.seal_settings(base.settings, places.base_settings(base.id, revision))
        row = {"base_settings_id": base.id, "revision": revision, "settings": sealed, "author": author}
        row |= {"reason": reason, "at": datetime.now(UTC)}
        await self._connection.execute(sa.insert(_REVISIONS).values(row))
        await record(self._connection, "base_settings")


def _read(row: Any, vault: Vault) -> BaseSettings:
    """Base settings from a row of the join; `read_revision` is the revision whose settings it holds."""
    settings = vault.open_settings(row["settings"], places.base_settings(row["id"], row["read_revision"]))
    return BaseSettings(row["id"], row["name"], row["model"], settings, row["read_revision"])


_WITH_SETTINGS = sa.select(base_settings, _REVISIONS.c.settings, _REVISIONS.c.revision.label("read_revision")).join(
    _REVISIONS, _REVISIONS.c.base_settings_id == base_settings.c.id
)
