"""Which phones fit a filter: all their ids, how many they are, and one page of them after the other.

A page costs what its rows cost, however many phones there are. An order has an index to walk along until the page is
full, which takes long where only few phones fit; those few are found first, each filter by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.phone_filter import PhoneFilter
from ztp_server.domain.phone_order import Place, Sort
from ztp_server.domain.registration import RollUp
from ztp_server.domain.status import Progress
from ztp_server.errors import BadValue
from ztp_server.store.phone_conditions import Condition, Conditions, Facts, Ids, asks_for_inputs, listed
from ztp_server.store.phone_status import state_case
from ztp_server.store.registrations import Kept
from ztp_server.store.schema import lines, phones
from ztp_server.store.schema_history import phone_status
from ztp_server.store.schema_sip import phone_registrations

# So few phones are put in order faster than an index is walked along to find them.
FEW = 1000
# Phones of a page read at a time: those that ask meanwhile wait no longer than for so many.
_READ_BATCH = 200

_NAME = (phones.c.name_key, phones.c.id)
_ORDERS: dict[str, tuple[sa.Column[Any], ...]] = {
    "name": _NAME,
    "hardware_id": (phones.c.hardware_id, phones.c.id),
    "model": (phones.c.model, *_NAME),
    "site": (phones.c.site_id, *_NAME),
    "base_settings": (phones.c.base_settings_id, *_NAME),
    "category": (phones.c.category, *_NAME),
    "firmware": (phone_status.c.firmware, phone_status.c.phone_id),
    "last_seen": (phone_status.c.last_at, phone_status.c.phone_id),
}
_PROGRESS = tuple(field.name for field in fields(Progress))
_LIST_LINES = (lines.c.phone_id, lines.c.user, lines.c.auth_user, lines.c.display_name, lines.c.label, lines.c.shared)


@dataclass(frozen=True, slots=True)
class Listed:
    """A phone in a list: without its passwords, settings that are secret as `***`. `state` is how far it came;
    `registration` what its platforms told, None where they tell nothing now."""

    phone: Phone
    state: str
    progress: Progress | None
    registration: Kept | None = None


class PhoneListStore:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    async def ids(self, wanted: PhoneFilter, sites: frozenset[str] | None, facts: Facts) -> list[str]:
        """The ids of all phones that fit, at these sites (None: anywhere), by id."""
        query = sa.select(phones.c.id).where(*await self._all(wanted, sites, facts)).order_by(phones.c.id)
        return list((await self._connection.execute(query)).scalars())

    async def count(self, wanted: PhoneFilter, sites: frozenset[str] | None, facts: Facts) -> int:
        query = sa.select(sa.func.count()).select_from(phones).where(*await self._all(wanted, sites, facts))
        return (await self._connection.execute(query)).scalar_one()

    async def page(
        self,
        wanted: PhoneFilter,
        sites: frozenset[str] | None,
        facts: Facts,
        sort: Sort,
        after: Place | None,
        limit: int,
    ) -> tuple[list[Listed], Place | None]:
        """The next phones behind a place, and the place where this page ends: None when nothing comes after it.
        Raises BadValue for a place that no phone can have."""
        clauses = await self._narrow(await self._conditions(wanted, sites, facts))
        key = _ORDERS[sort.by]
        found: list[tuple[bool, Any]] = []
        for has_value in (True,) if key is _NAME else (True, False):
            behind = after if after and after.has_value == has_value else None
            if (after and has_value and not after.has_value) or len(found) > limit:
                continue
            query = _in_order(key, sort.descending, has_value).where(*clauses, *_behind(key, sort, has_value, behind))
            rows = await self._connection.execute(query.limit(limit + 1 - len(found)))
            found += [(has_value, row) for row in rows]
        place = _place(sort, *found[limit - 1]) if len(found) > limit else None
        ids = [row.id for _, row in found[:limit]]
        return await self.some(ids, facts), place

    async def some(self, ids: Sequence[str], facts: Facts) -> list[Listed]:
        """Those of these phones that are there, in their order."""
        found: list[Listed] = []
        for start in range(0, len(ids), _READ_BATCH):
            found += await self._listed(ids[start : start + _READ_BATCH], facts)
        return found

    async def _conditions(self, wanted: PhoneFilter, sites: frozenset[str] | None, facts: Facts) -> list[Condition]:
        old: list[str] = []
        choice = wanted.choices.get("status")
        if choice and asks_for_inputs(choice):
            rows = await self._connection.execute(sa.select(phone_status.c.inputs).distinct())
            old = [text for text in rows.scalars() if text and text not in facts.current_inputs]
        return list(Conditions(self._is_sqlite, facts, old).of(wanted, sites))

    async def _all(
        self, wanted: PhoneFilter, sites: frozenset[str] | None, facts: Facts
    ) -> list[sa.ColumnElement[bool]]:
        """The clauses for all phones that fit, where each is looked at once."""
        return [condition.for_all for condition in await self._conditions(wanted, sites, facts)]

    async def _narrow(self, conditions: Sequence[Condition]) -> list[sa.ColumnElement[bool]]:
        """The clauses of conditions; instead of those that only few phones fulfil, which phones these are."""
        few: set[str] | None = None
        clauses = []
        for condition in conditions:
            found = await self._few(condition.ids) if condition.ids else None
            if found is None:
                clauses.append(condition.holds)
            else:
                few = found if few is None else few & found
        return clauses if few is None else [phones.c.id.in_(listed(sorted(few), self._is_sqlite)), *clauses]

    async def _few(self, ids: Ids) -> set[str] | None:
        """All that are found, None if they are too many."""
        found = (await self._connection.execute(sa.union_all(*ids).limit(FEW + 1))).scalars().all()
        return set(found) if len(found) <= FEW else None

    async def _listed(self, ids: Sequence[str], facts: Facts) -> list[Listed]:
        """Some phones of a page, in its order."""
        state = state_case(self._connection.dialect.name, facts.current_inputs, facts.now).label("state")
        of_page = listed(ids, self._is_sqlite)
        query = (
            sa.select(phones, state, *(column.label(f"s_{column.name}") for column in phone_status.columns))
            .add_columns(*(column.label(f"r_{column.name}") for column in phone_registrations.columns))
            .outerjoin(phone_status, phone_status.c.phone_id == phones.c.id)
            .outerjoin(phone_registrations, phone_registrations.c.phone_id == phones.c.id)
            .where(phones.c.id.in_(of_page))
        )
        rows = {row.id: row for row in await self._connection.execute(query)}
        own: dict[str, list[Line]] = {}
        of_phones = sa.select(*_LIST_LINES).where(lines.c.phone_id.in_(of_page))
        for row in await self._connection.execute(of_phones.order_by(lines.c.phone_id, lines.c.position)):
            line = Line(row.user, row.auth_user, "", row.display_name, row.label, row.shared)
            own.setdefault(row.phone_id, []).append(line)
        return [_read(rows[phone_id], own.get(phone_id, ()), facts.heard) for phone_id in ids if phone_id in rows]


def _has_value(key: Sequence[sa.Column[Any]]) -> sa.ColumnElement[bool]:
    return sa.and_(key[0].is_not(None), key[0] > "") if isinstance(key[0].type, sa.String) else key[0].is_not(None)


def _in_order(key: Sequence[sa.Column[Any]], descending: bool, has_value: bool) -> sa.Select[Any]:
    """The phones that have the value a list is sorted by, in its order; or those that have none, by name."""
    query = sa.select(phones.c.id)
    if key[0].table is phone_status and has_value:
        query = query.join(phone_status, phone_status.c.phone_id == phones.c.id)
    key = key if has_value else _NAME
    query = query.add_columns(*(column.label(f"key{number}") for number, column in enumerate(key)))
    return query.order_by(*(column.desc() if descending and has_value else column.asc() for column in key))


def _behind(
    key: Sequence[sa.Column[Any]], sort: Sort, has_value: bool, after: Place | None
) -> list[sa.ColumnElement[bool]]:
    """What holds for the phones behind a place, among those that have the value, or have none."""
    clauses = []
    if not has_value:
        with_one = _has_value(key)
        if key[0].table is phone_status:
            with_one = sa.exists().where(phone_status.c.phone_id == phones.c.id, with_one).correlate(phones)
            clauses.append(sa.not_(with_one))
        else:
            clauses.append(sa.or_(key[0].is_(None), key[0] == ""))
    elif key is not _NAME:
        clauses.append(_has_value(key))
    if after:
        columns = sa.tuple_(*(key if has_value else _NAME))
        values = sa.tuple_(*_values(key if has_value else _NAME, after))
        clauses.append(columns < values if sort.descending and has_value else columns > values)
    return clauses


def _values(key: Sequence[sa.Column[Any]], place: Place) -> list[sa.BindParameter[Any]]:
    """The values of a place as the columns have them. Raises BadValue."""
    read: list[Any] = list(place.values)
    try:
        if not isinstance(key[0].type, sa.String):
            read[0] = datetime.fromisoformat(read[0]).replace(tzinfo=UTC)
        return [sa.bindparam(None, value, type_=column.type) for column, value in zip(key, read, strict=True)]
    except ValueError:
        raise BadValue("cursor", "is none that this list gave") from None


def _place(sort: Sort, has_value: bool, row: Any) -> Place:
    values = (value.isoformat() if isinstance(value, datetime) else value for value in row[1:])
    return Place(sort, has_value, tuple(values))


def _read(row: Any, own_lines: Iterable[Line], heard: frozenset[str]) -> Listed:
    phone = Phone(
        id=row.id,
        name=row.name,
        hardware_id=row.hardware_id or "",
        category=row.category,
        model=row.model,
        site=row.site_id,
        base_settings=row.base_settings_id or "",
        user=row.user_id or "",
        remote_address=row.remote_address,
        lines=tuple(own_lines),
        line_keys=tuple(LineKey(**key) for key in row.line_keys),
        proofs=None if row.proofs is None else tuple(row.proofs),
        logged_out=row.logged_out,
        settings={name: "***" if isinstance(value, dict) else value for name, value in row.settings.items()},
        revision=row.revision,
    )
    progress = Progress(**{name: getattr(row, f"s_{name}") for name in _PROGRESS}) if row.s_phone_id else None
    return Listed(phone, row.state, progress, _registration(row, heard))


def _registration(row: Any, heard: frozenset[str]) -> Kept | None:
    if row.r_phone_id is None or row.r_primary_id not in heard or row.r_secondary_id not in heard | {""}:
        return None
    return Kept(RollUp(row.r_state, row.r_reason, row.r_primary_id, row.r_secondary_id), row.r_since)
