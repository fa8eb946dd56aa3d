"""How far each managed phone came, from what it asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.status import Progress
from ztp_server.store.schema import phones
from ztp_server.store.schema_history import phone_status

_BATCH = 1000
_COLUMNS = tuple(field.name for field in fields(Progress))


class PhoneStatusStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, phone_id: str) -> Progress | None:
        query = sa.select(phone_status).where(phone_status.c.phone_id == phone_id)
        row = (await self._connection.execute(query)).first()
        return _read(row) if row else None

    async def is_shared(self, address: str) -> bool:
        """Whether several phones were last seen at an address: then it is that of a router or a proxy."""
        query = sa.select(phone_status.c.phone_id).where(phone_status.c.address == address).limit(2)
        return len((await self._connection.execute(query)).all()) > 1

    async def shown_by(self, certificate: str) -> str:
        """The hardware ID of a phone that last proved itself with a certificate (SHA-256), empty when none did."""
        query = sa.select(phones.c.hardware_id).join(phone_status, phone_status.c.phone_id == phones.c.id)
        query = query.where(phone_status.c.certificate == certificate).order_by(phones.c.hardware_id).limit(1)
        return (await self._connection.execute(query)).scalar() or ""

    async def of_managed(self, hardware_ids: Iterable[str]) -> dict[str, tuple[str, Progress | None]]:
        """Those of these hardware IDs that are managed phones: the phone's id, and how far it came."""
        wanted, found = list(hardware_ids), {}
        query = (
            sa.select(phones.c.hardware_id, phones.c.id, phone_status)
            .outerjoin(phone_status, phone_status.c.phone_id == phones.c.id)
            .where(phones.c.category == "managed")
        )
        for start in range(0, len(wanted), _BATCH):
            batch = query.where(phones.c.hardware_id.in_(wanted[start : start + _BATCH]))
            for row in await self._connection.execute(batch):
                found[row.hardware_id] = (row.id, _read(row) if row.phone_id else None)
        return found

    async def keep(self, rows: Sequence[Progress]) -> None:
        """Keep these instead of what was kept of their phones."""
        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(phone_status)
        statement = statement.on_conflict_do_update(
            index_elements=["phone_id"], set_={name: statement.excluded[name] for name in _COLUMNS[1:]}
        )
        for start in range(0, len(rows), _BATCH):
            batch = [{name: getattr(row, name) for name in _COLUMNS} for row in rows[start : start + _BATCH]]
            await self._connection.execute(statement, batch)
            ids = [row["phone_id"] for row in batch]
            unseen = sa.update(phones).where(phones.c.id.in_(ids), sa.not_(phones.c.seen))
            await self._connection.execute(unseen.values(seen=True))

    async def groups(self) -> list[tuple[str, str, str]]:
        """Model, site and base settings of every managed phone, each combination once."""
        kinds = (phones.c.model, phones.c.site_id, phones.c.base_settings_id)
        query = sa.select(*kinds).where(phones.c.base_settings_id.is_not(None)).distinct()
        return [(row.model, row.site_id, row.base_settings_id or "") for row in await self._connection.execute(query)]


def state_case(dialect: str, current: Collection[str], now: datetime) -> sa.ColumnElement[str]:
    """The state of each phone of a query that joins phones with phone_status (outer), as `provisioning_state` says it;
    of a phone of another category, `unknown`. `current` are the inputs of all groups there are: a phone that came into
    another group has a newer revision."""
    status = phone_status.c
    return sa.case(
        (phones.c.category != "managed", "unknown"),
        (status.phone_id.is_(None), "never_seen"),
        (status.problem != "", "error"),
        (status.due_at < sa.bindparam(None, now, type_=phone_status.c.due_at.type), "stale"),
        (status.inputs == "", "provisioning"),
        (sa.or_(~_among(dialect, status.inputs, current), status.phone_revision < phones.c.revision), "outdated"),
        else_="provisioned",
    )


def _among(dialect: str, column: sa.ColumnElement[str], texts: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a column holds one of any number of texts, which go as one parameter: there may be many groups."""
    wanted = sa.bindparam(None, sorted(texts), type_=sa.JSON)
    if dialect == "postgresql":
        return column.in_(sa.select(sa.func.json_array_elements_text(wanted).column_valued("text")))
    return column.in_(sa.select(sa.func.json_each(wanted).table_valued("value").c.value))


def _read(row: sa.Row[Any]) -> Progress:
    found = row._mapping
    return Progress(**{name: found[name] for name in _COLUMNS})
