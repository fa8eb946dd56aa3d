"""Base settings and their revisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.base_settings import BaseSettings
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.changes import record
from ztp_server.store.schema import base_settings, base_settings_revisions, phones
from ztp_server.store.vault import Vault

_REVISIONS = base_settings_revisions


class BaseSettingsStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, base_id: str, revision: int | None = None) -> BaseSettings:
        """The current revision, or the one asked for. Raises NotFound."""
        wanted = base_settings.c.revision if revision is None else revision
        query = (
            sa.select(base_settings, _REVISIONS.c.settings, _REVISIONS.c.revision.label("read_revision"))
            .join(_REVISIONS, _REVISIONS.c.base_settings_id == base_settings.c.id)
            .where(base_settings.c.id == base_id, _REVISIONS.c.revision == wanted)
        )
        row = (await self._connection.execute(query)).first()
        if row is None:
            what = f"base settings {base_id}" + (f" revision {revision}" if revision else "")
            raise NotFound(f"no {what}")
        return _read(row._mapping, self._vault)

    async def all(self) -> list[BaseSettings]:
        ids = await self._connection.execute(sa.select(base_settings.c.id).order_by(base_settings.c.id))
        return [await self.get(row.id) for row in ids.all()]

    async def add(self, base: BaseSettings, author: str) -> None:
        """Raises Conflict when the id is taken."""
        taken = sa.select(base_settings.c.id).where(base_settings.c.id == base.id)
        if (await self._connection.execute(taken)).first():
            raise Conflict(f"base settings {base.id} exist already")
        row = {"id": base.id, "name": base.name, "model": base.model, "revision": 1}
        await self._connection.execute(sa.insert(base_settings).values(row))
        await self._add_revision(base, 1, author)

    async def revise(self, base: BaseSettings, author: str) -> int:
        """Keep the settings as a new revision, which becomes the current one; returns its number."""
        new = base.revision + 1
        changed = sa.update(base_settings).where(
            base_settings.c.id == base.id, base_settings.c.revision == base.revision
        )
        result = await self._connection.execute(changed.values(revision=new, name=base.name))
        if result.rowcount != 1:
            raise Stale(f"base settings {base.id} were changed by somebody else meanwhile")
        await self._add_revision(base, new, author)
        return new

    async def remove(self, base_id: str) -> None:
        """Raises NotFound, and Conflict when phones use them."""
        await self.get(base_id)
        used = sa.select(sa.func.count()).select_from(phones).where(phones.c.base_settings_id == base_id)
        count = (await self._connection.execute(used)).scalar_one()
        if count:
            raise Conflict(f"base settings {base_id} are in use by {count} phones")
        await self._connection.execute(sa.delete(base_settings).where(base_settings.c.id == base_id))
        await record(self._connection, "base_settings")

    async def _add_revision(self, base: BaseSettings, revision: int, author: str) -> None:
        sealed = self._vault.seal_settings(base.settings, _place(base.id, revision))
        row = {"base_settings_id": base.id, "revision": revision, "settings": sealed, "author": author}
        await self._connection.execute(sa.insert(_REVISIONS).values(row | {"at": datetime.now(UTC)}))
        await record(self._connection, "base_settings")


def _read(row: Any, vault: Vault) -> BaseSettings:
    """Base settings from a row of the join; `read_revision` is the revision whose settings it holds."""
    settings = vault.open_settings(row["settings"], _place(row["id"], row["read_revision"]))
    return BaseSettings(row["id"], row["name"], row["model"], settings, row["read_revision"])


def _place(base_id: str, revision: int) -> str:
    return f"base_settings/{base_id}/{revision}"
