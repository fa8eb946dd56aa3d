"""The phones at a site or on base settings, for checks of a change that reaches all of them: each kind once, without
their secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.store.schema import lines, phone_overrides, phones

_BATCH = 1000
_TEXT_COLUMNS = (lines.c.phone_id, lines.c.user, lines.c.auth_user, lines.c.display_name, lines.c.label, lines.c.shared)


@dataclass(frozen=True, slots=True)
class Shared:
    """What phones have in common: all of a site, or all on some base settings. One of the two is empty."""

    site: str = ""
    base_settings: str = ""

    @property
    def clause(self) -> sa.ColumnElement[bool]:
        # Phones of other categories than managed have no base settings.
        at_site = sa.and_(phones.c.site_id == self.site, phones.c.base_settings_id.is_not(None))
        return at_site if self.site else phones.c.base_settings_id == self.base_settings


@dataclass(frozen=True, slots=True)
class Kind:
    """Phones alike in what a check looks at, and the id of one of them if they are looked at one by one."""

    model: str
    site: str
    base_settings: str
    phone_id: str = ""
    settings: str = "{}"
    line_keys: str = "[]"
    lines: int = 0


class GroupMemberStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def kinds(self, shared: Shared) -> list[Kind]:
        """Model, site and base settings of the phones, each combination once."""
        query = sa.select(*_GROUP).where(shared.clause).distinct()
        return [Kind(*row) for row in await self._connection.execute(query)]

    async def overriding(self, shared: Shared, names: Iterable[str]) -> AsyncIterator[Kind]:
        """The phones that set one of some settings themselves, alike in all that they set (as JSON)."""
        settings = sa.cast(phones.c.settings, sa.Text)
        some = sa.select(phone_overrides.c.phone_id).where(phone_overrides.c.name.in_(list(names)))
        query = sa.select(*_GROUP, sa.func.min(phones.c.id), settings).group_by(*_GROUP, settings)
        async for row in self._rows(query.where(shared.clause, phones.c.id.in_(some))):
            yield Kind(*row)

    async def with_keys(self, shared: Shared, rooms: Sequence[tuple[str, int]]) -> AsyncIterator[Kind]:
        """The phones of a model (first) that may have more than so many keys (second), where each line without a key
        counts as one; alike in their keys, the number of their lines and what they set themselves."""
        if not rooms:
            return
        own_lines = sa.select(sa.func.count()).where(lines.c.phone_id == phones.c.id).scalar_subquery()
        keys = sa.func.json_array_length(phones.c.line_keys)
        room = sa.case(dict(rooms), value=phones.c.model)
        texts = sa.cast(phones.c.settings, sa.Text), sa.cast(phones.c.line_keys, sa.Text)
        few = (
            sa.select(
                *_GROUP, phones.c.id, *(text.label(f"text{n}") for n, text in enumerate(texts)), own_lines.label("own")
            )
            .where(shared.clause, phones.c.model.in_([model for model, _ in rooms]))
            .where(keys > 0, keys + own_lines > room)
            .subquery()
        )
        kind = [column for column in few.c if column.name != "id"]
        query = sa.select(*kind[:3], sa.func.min(few.c.id), *kind[3:]).group_by(*kind)
        async for row in self._rows(query):
            yield Kind(*row)

    async def phones(self, kind: Kind) -> AsyncIterator[Phone]:
        """All phones of a model, site and base settings, without secrets: those they have are empty."""
        same = sa.and_(
            *(
                column == value
                for column, value in zip(_GROUP, (kind.model, kind.site, kind.base_settings), strict=True)
            )
        )
        last = ""
        while True:
            query = sa.select(phones).where(same, phones.c.id > last).order_by(phones.c.id).limit(_BATCH)
            rows = (await self._connection.execute(query)).all()
            for phone in await self._phones(rows):
                yield phone
            if len(rows) < _BATCH:
                return
            last = rows[-1].id

    async def phone(self, phone_id: str) -> Phone:
        """One of them."""
        rows = (await self._connection.execute(sa.select(phones).where(phones.c.id == phone_id))).all()
        return (await self._phones(rows))[0]

    async def _phones(self, rows: Sequence[Any]) -> list[Phone]:
        own: dict[str, list[Line]] = {}
        query = sa.select(*_TEXT_COLUMNS).where(lines.c.phone_id.in_([row.id for row in rows]))
        for row in await self._connection.execute(query.order_by(lines.c.phone_id, lines.c.position)):
            line = Line(row.user, row.auth_user, "", row.display_name, row.label, row.shared)
            own.setdefault(row.phone_id, []).append(line)
        return [_bare(row, own.get(row.id, ())) for row in rows]

    async def _rows(self, query: sa.Select[Any]) -> AsyncIterator[Any]:
        """The rows as they are found: there may be as many as phones."""
        result = await self._connection.stream(query)
        async for part in result.partitions(_BATCH):
            for row in part:
                yield row


_GROUP = (phones.c.model, phones.c.site_id, phones.c.base_settings_id)


def _bare(row: Any, own_lines: Iterable[Line]) -> Phone:
    return Phone(
        id=row.id,
        name=row.name,
        hardware_id=row.hardware_id or "",
        category=row.category,
        model=row.model,
        site=row.site_id,
        base_settings=row.base_settings_id or "",
        lines=tuple(own_lines),
        line_keys=tuple(LineKey(**key) for key in row.line_keys),
        logged_out=row.logged_out,
        settings={name: "" if isinstance(value, dict) else value for name, value in row.settings.items()},
        revision=row.revision,
    )
