"""Which phones a saved change is about, of those that had fetched their files before."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.store.phone_conditions import listed
from ztp_server.store.phone_targets import Target
from ztp_server.store.schema import changes, phones
from ztp_server.store.schema_history import phone_status

Group = tuple[str, str, str]

# The kinds of changes that files are made of.
_KINDS = ("phone", "site", "base_settings", "firmware")
_BETWEEN = "\x1f"


class Concerned(NamedTuple):
    """A phone that may have to hear of a change. `group` is its model, site and base settings, `reload` what it says
    itself of dynamic_reload, None: what its group says."""

    target: Target
    group: Group
    reload: bool | None


class ReloadTargetStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def newest(self, after: int) -> int:
        """The number of the newest change of what files are made of, behind one; that one when there is none."""
        query = sa.select(sa.func.max(changes.c.seq)).where(changes.c.seq > after, changes.c.kind.in_(_KINDS))
        return (await self._connection.execute(query)).scalar() or after

    async def named_since(self, after: int) -> set[str]:
        """The hardware IDs of phones that were changed themselves since."""
        query = sa.select(changes.c.key).where(changes.c.seq > after, changes.c.kind == "phone").distinct()
        return set((await self._connection.execute(query)).scalars())

    async def concerned(self, named: Collection[str], groups: Iterable[Group]) -> list[Concerned]:
        """The managed phones of these hardware IDs or groups that had all their files once."""
        own = phones.c
        key = own.model + _BETWEEN + own.site_id + _BETWEEN + sa.func.coalesce(own.base_settings_id, "")
        keys = [_BETWEEN.join(group) for group in groups]
        meant = sa.or_(
            own.hardware_id.in_(listed(sorted(named), self._is_sqlite)), key.in_(listed(sorted(keys), self._is_sqlite))
        )
        query = (
            sa.select(
                *(own.id, own.hardware_id, own.name, own.site_id, own.model, own.base_settings_id),
                own.settings["dynamic_reload"].as_boolean().label("reload"),
            )
            .join(phone_status, phone_status.c.phone_id == own.id)
            .where(own.category == "managed", phone_status.c.inputs != "", meant)
            .order_by(own.id)
        )
        return [
            Concerned(
                Target(row.id, row.hardware_id or "", row.name, row.site_id),
                (row.model, row.site_id, row.base_settings_id or ""),
                row.reload,
            )
            for row in await self._connection.execute(query)
        ]
