"""All sealed values there are, whatever they belong to: counted by key, and sealed anew under the newest one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.errors import Damaged
from ztp_server.store import places
from ztp_server.store.key_ring import FIRST_KEY
from ztp_server.store.schema import (
    base_settings_revisions,
    lines,
    meta,
    phones,
    removed_phones,
    sites,
    uploads,
    user_lines,
)
from ztp_server.store.schema_access import idempotency_keys, job_files, job_items, jobs
from ztp_server.store.schema_sip import platforms
from ztp_server.store.schema_trust import digest_credentials
from ztp_server.store.vault import Vault

Place = Callable[[Any], str]


@dataclass(frozen=True)
class SealedColumn:
    """A column with sealed values: of one text, of one among other bytes, or of JSON in which `{"sealed": …}` stands
    for each. `place` is that of a row's value; in settings the name of each is added. So many rows as `batch` are
    sealed anew in one transaction."""

    column: sa.Column[Any]
    shape: Literal["text", "bytes", "settings", "whole"]
    place: Place
    batch: int = 200
    only: sa.ColumnElement[bool] | None = None

    @property
    def name(self) -> str:
        return f"{self.column.table.name}.{self.column.name}"

    @property
    def key(self) -> list[sa.Column[Any]]:
        """The primary key of its rows."""
        return list(self.column.table.primary_key.columns)


# Every one of them: a test looks through all tables for a sealed value that stands anywhere else.
SEALED: Sequence[SealedColumn] = (
    SealedColumn(sites.c.settings, "settings", lambda row: places.site(row.id)),
    SealedColumn(sites.c.logged_out, "settings", lambda row: places.site_logged_out(row.id)),
    SealedColumn(
        base_settings_revisions.c.settings,
        "settings",
        lambda row: places.base_settings(row.base_settings_id, row.revision),
    ),
    SealedColumn(phones.c.settings, "settings", lambda row: places.phone(row.id)),
    SealedColumn(lines.c.password, "text", lambda row: places.line(row.phone_id, row.position)),
    SealedColumn(user_lines.c.password, "text", lambda row: places.user_line(row.user_id, row.position)),
    SealedColumn(removed_phones.c.record, "text", lambda row: places.removed_phone(row.id)),
    SealedColumn(uploads.c.body, "bytes", lambda row: places.upload(row.phone_id, row.name), batch=8),
    SealedColumn(digest_credentials.c.password, "text", lambda row: places.digest_credential(row.phone_id)),
    SealedColumn(platforms.c.password, "text", lambda row: places.platform(row.id)),
    SealedColumn(platforms.c.source_password, "text", lambda row: places.platform_source(row.id)),
    SealedColumn(jobs.c.order, "whole", lambda row: places.job_order(row.id), batch=20),
    SealedColumn(job_items.c.undo, "text", lambda row: places.job_undo(row.job_id, row.position)),
    SealedColumn(job_files.c.body, "text", lambda row: places.job_file(row.job_id, row.part), batch=8),
    SealedColumn(
        idempotency_keys.c.answer, "text", lambda row: places.idempotency_answer(row.actor, row.key), batch=20
    ),
    SealedColumn(meta.c.value, "text", lambda row: row.name, only=meta.c.name == places.KEY_MARKER),
)


class Resealed(NamedTuple):
    """What one step did: how many rows it sealed anew, the places that did not open, and the key of the last row it
    looked at; None when there are no more."""

    rows: int
    damaged: Sequence[str]
    last: tuple[Any, ...] | None


class SealedValueStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def count(self, sealed: SealedColumn, key_id: int) -> int:
        """How many values of a column are sealed under a key."""
        found = [_count(sealed, f"v2:{key_id}:")] + ([_count(sealed, "v1:")] if key_id == FIRST_KEY else [])
        query = sa.select(sum(found[1:], found[0])).select_from(sealed.column.table)
        if sealed.only is not None:
            query = query.where(sealed.only)
        return int((await self._connection.execute(query)).scalar() or 0)

    async def reseal(self, sealed: SealedColumn, after: tuple[Any, ...] | None) -> Resealed:
        """Seal the next rows anew that are not under the newest key, in the order of their keys. What does not open
        stays as it is."""
        rows = (await self._connection.execute(self._next(sealed, after))).all()
        changed, damaged = [], []
        for row in rows:
            value = getattr(row, sealed.column.name)
            try:
                new = self._anew(sealed, value, sealed.place(row))
            except Damaged as error:
                damaged.append(str(error))
                continue
            changed.append({f"k_{column.name}": getattr(row, column.name) for column in sealed.key} | {"new": new})
        if changed:
            own = [column == sa.bindparam(f"k_{column.name}") for column in sealed.key]
            values = {sealed.column: sa.bindparam("new", type_=sealed.column.type)}
            await self._connection.execute(sa.update(sealed.column.table).where(*own).values(values), changed)
        last = tuple(getattr(rows[-1], column.name) for column in sealed.key) if rows else None
        return Resealed(len(changed), damaged, last)

    def _next(self, sealed: SealedColumn, after: tuple[Any, ...] | None) -> sa.Select[Any]:
        newest = f"v2:{self._vault.keys.newest[0]}:"
        query = sa.select(*sealed.key, sealed.column).where(_is_under_another(sealed, newest))
        if sealed.only is not None:
            query = query.where(sealed.only)
        if after is not None:
            query = query.where(sa.tuple_(*sealed.key) > sa.tuple_(*map(sa.literal, after)))
        return query.order_by(*sealed.key).limit(sealed.batch)

    def _anew(self, sealed: SealedColumn, value: Any, place: str) -> Any:
        """Raises Damaged."""
        if sealed.shape == "settings":
            return {
                name: {"sealed": self._text(one["sealed"], f"{place}/{name}")} if isinstance(one, dict) else one
                for name, one in value.items()
            }
        if sealed.shape == "whole":
            return {"sealed": self._text(value["sealed"], place)}
        if sealed.shape == "bytes":
            return self._text(value.decode("latin-1"), place).encode()
        return self._text(value, place)

    def _text(self, text: str, place: str) -> str:
        return self._vault.seal(self._vault.open(text, place), place)


def _json(prefix: str) -> str:
    """How a sealed value begins in a column of JSON."""
    return '{"sealed": "' + prefix


def _count(sealed: SealedColumn, prefix: str) -> sa.ColumnElement[Any]:
    """How many values of a column begin like that."""
    if sealed.shape == "bytes":
        return sa.func.coalesce(sa.func.sum(sa.case((_begins(sealed, prefix), 1), else_=0)), 0)
    if sealed.shape == "text":
        return sa.func.coalesce(sa.func.sum(sa.case((sealed.column.like(f"{prefix}%"), 1), else_=0)), 0)
    text, needle = sa.cast(sealed.column, sa.Text), _json(prefix)
    found = sa.func.length(text) - sa.func.length(sa.func.replace(text, needle, ""))
    return sa.func.coalesce(sa.func.sum(found), 0) / len(needle)


def _is_under_another(sealed: SealedColumn, newest: str) -> sa.ColumnElement[bool]:
    """Whether a row has a sealed value that is under an older key."""
    if sealed.shape == "bytes":
        return sa.and_(sa.or_(_begins(sealed, "v1:"), _begins(sealed, "v2:")), sa.not_(_begins(sealed, newest)))
    if sealed.shape == "text":
        return sa.and_(sealed.column != "", sealed.column.not_like(f"{newest}%"))
    others = sa.func.replace(sa.cast(sealed.column, sa.Text), _json(newest), "")
    return others.like(f"%{_json('')}%")


def _begins(sealed: SealedColumn, prefix: str) -> sa.ColumnElement[bool]:
    start = sa.func.substr(sealed.column, 1, len(prefix), type_=sa.LargeBinary)
    return start == sa.literal(prefix.encode(), sa.LargeBinary)
