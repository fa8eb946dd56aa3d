"""Phones with their lines."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.firmware import FirmwareWish
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.changes import record
from ztp_server.store.phone_proofs import drop_proofs
from ztp_server.store.phone_rows import PhoneRows
from ztp_server.store.schema import lines, phone_overrides, phones, users
from ztp_server.store.schema_history import check_ins, phone_status
from ztp_server.store.schema_trust import digest_credentials, phone_tokens, provisioning_windows
from ztp_server.store.vault import Vault

# Rows of one statement: well under SQLite's limit of 32,766 parameters.
_BATCH = 1000
# Phones read at a time: each is unsealed, and those that ask meanwhile wait no longer than for so many.
_READ_BATCH = 200
_ID = re.compile("[0-9a-f]{32}")

T = TypeVar("T")


class PhoneStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._rows = PhoneRows(vault)

    async def get(self, hardware_id: str) -> Phone:
        """The phone of a hardware ID in its one spelling. Raises NotFound."""
        found = await self.find(hardware_id)
        if found is None:
            raise NotFound(f"no phone {hardware_id}")
        return found

    async def get_any(self, text: str) -> Phone:
        """The phone that people call so: its id, or its hardware ID in any notation. Raises BadValue for what is
        neither, and NotFound."""
        return (await self.get_running(text))[0]

    async def get_running(self, text: str) -> tuple[Phone, str]:
        """As `get_any`, with the firmware the phone last said it runs (empty: it never did)."""
        wanted = text.strip().lower()
        if _ID.fullmatch(wanted):
            found = await self._one(phones.c.id == wanted)
        else:
            wanted = HardwareId.parse(text).value
            found = await self._one(phones.c.hardware_id == wanted)
        if found is None:
            raise NotFound(f"no phone {wanted}")
        return found

    async def find(self, hardware_id: str) -> Phone | None:
        """The phone with its lines."""
        found = await self._one(phones.c.hardware_id == hardware_id)
        return found[0] if found else None

    async def find_running(self, hardware_ids: Sequence[str]) -> dict[str, tuple[Phone, str, bool]]:
        """The managed phones with their lines, by hardware ID, each with the firmware it last said it runs (empty: it
        never did), and whether there is something that it alone can prove itself with; in one query: this is what a
        request of a phone costs. Those of another category are given no file, so they are not found."""
        rows = (await self._connection.execute(_MANAGED, {"hardware_ids": hardware_ids})).all()
        by_phone: dict[str, list[sa.Row[Any]]] = {}
        for row in rows:
            by_phone.setdefault(row.hardware_id, []).append(row)
        return {mac: (*self._of_rows(own), bool(own[0].has_proofs)) for mac, own in by_phone.items()}

    async def get_many(self, ids: Sequence[str]) -> list[Phone]:
        """Those of these ids that there are, in that order, read some at a time."""
        found: dict[str, Phone] = {}
        for batch in _batches(ids, _READ_BATCH):
            found |= {phone.id: phone for phone in await self._select(sa.select(phones).where(phones.c.id.in_(batch)))}
        return [found[phone_id] for phone_id in ids if phone_id in found]

    async def all(self, *, site: str | None = None, base_settings: str | None = None) -> list[Phone]:
        """Phones by hardware ID, all or those of a site or of base settings; of every category."""
        query = sa.select(phones).order_by(phones.c.hardware_id, phones.c.id)
        if site is not None:
            query = query.where(phones.c.site_id == site)
        if base_settings is not None:
            query = query.where(phones.c.base_settings_id == base_settings)
        return await self._select(query)

    async def firmware_wishes(self) -> list[FirmwareWish]:
        """What every managed phone has to do with firmware, without its lines and secrets."""
        own = phones.c.settings
        query = sa.select(
            *(phones.c.hardware_id, phones.c.model, phones.c.site_id, phones.c.base_settings_id),
            own["firmware_version"].as_string().label("version"),
            own["firmware_downgrade"].as_boolean().label("downgrade"),
            RUNNING,
        )
        query = query.where(phones.c.category == "managed").order_by(phones.c.hardware_id)
        rows = (await self._connection.execute(query)).all()
        return [FirmwareWish(*row[:6], row.running or "") for row in rows]

    async def hardware_ids(self) -> AsyncIterator[list[str]]:
        """The hardware IDs of all phones, some thousand at a time."""
        query = sa.select(phones.c.hardware_id).order_by(phones.c.hardware_id).limit(10 * _BATCH)
        last = ""
        while found := list((await self._connection.scalars(query.where(phones.c.hardware_id > last))).all()):
            yield found
            last = found[-1]

    async def taken(self, hardware_ids: Iterable[str]) -> set[str]:
        """Which of these hardware IDs have a phone already."""
        found: set[str] = set()
        for batch in _batches(list(hardware_ids)):
            query = sa.select(phones.c.hardware_id).where(phones.c.hardware_id.in_(batch))
            found |= {row.hardware_id for row in await self._connection.execute(query)}
        return found

    async def extension_of(self, user: str) -> str | None:
        """The extension of a user, None when there is no such user."""
        query = sa.select(users.c.extension).where(users.c.id == user)
        found: str | None = (await self._connection.execute(query)).scalar()
        return found

    async def add(self, new: Sequence[Phone]) -> list[Phone]:
        """Add phones, all or none; one that comes back has its id already. Returns them with id and revision. Raises
        Conflict when a hardware ID is taken."""
        back = [phone.id for phone in new if phone.id]
        new = [replace(phone, id=phone.id or uuid.uuid4().hex, revision=phone.revision + 1) for phone in new]
        try:
            for batch in _batches(new):
                await self._connection.execute(sa.insert(phones), [self._rows.row(phone) for phone in batch])
                await self._add_lines(batch)
                await self._add_overrides(batch)
        except IntegrityError:
            raise Conflict("a phone with one of these hardware IDs exists already") from None
        for ids in _batches(back):
            await self._remember_seen(ids)
        await record(self._connection, "phone", [phone.hardware_id or phone.id for phone in new])
        return new

    async def replace(self, phone: Phone) -> None:
        """Keep a phone as it is now. Raises Conflict when its hardware ID is another phone's, and Stale."""
        await self.replace_many([phone])

    async def replace_many(self, changed: Sequence[Phone]) -> None:
        """Keep phones as they are now, all or none, a thousand in a statement. Raises Stale when one has another
        revision by now or is gone, and Conflict when a hardware ID is another phone's. Tokens, windows and Digest
        credentials are taken from a phone that is another device now, or blocked."""
        touched: set[str] = set()
        for batch in _batches(changed):
            before = await self._unchanged(batch)
            touched |= {before[phone.id] or phone.id for phone in batch}
            touched |= {phone.hardware_id or phone.id for phone in batch}
            await self._update(batch)
            replaced = [phone.id for phone in batch if phone.hardware_id != before[phone.id]]
            await self._forget_status(replaced)
            blocked = [phone.id for phone in batch if phone.proofs == ()]
            await drop_proofs(self._connection, {phone_id: before[phone_id] for phone_id in (*replaced, *blocked)})
            for table in (lines, phone_overrides):
                own = table.c.phone_id.in_([phone.id for phone in batch])
                await self._connection.execute(sa.delete(table).where(own))
            await self._add_lines(batch)
            await self._add_overrides(batch)
        await record(self._connection, "phone", sorted(touched))

    async def remove(self, gone: Sequence[Phone]) -> None:
        """Take phones away, all or none. Raises Stale when one has another revision by now or is gone already."""
        touched: set[str] = set()
        for batch in _batches(gone):
            before = await self._unchanged(batch)
            touched |= {hardware_id or phone_id for phone_id, hardware_id in before.items()}
            await drop_proofs(self._connection, before)
            await self._connection.execute(sa.delete(phones).where(phones.c.id.in_([phone.id for phone in batch])))
        await record(self._connection, "phone", sorted(touched))

    async def _forget_status(self, replaced: Sequence[str]) -> None:
        """Another device stands for these phones now, which nobody has seen yet."""
        if replaced:
            await self._connection.execute(sa.delete(phone_status).where(phone_status.c.phone_id.in_(replaced)))
            await self._connection.execute(sa.update(phones).where(phones.c.id.in_(replaced)).values(seen=False))

    async def _remember_seen(self, back: Sequence[str]) -> None:
        """What is known of phones that come back was kept meanwhile."""
        if back:
            seen = phones.c.id.in_(sa.select(phone_status.c.phone_id))
            await self._connection.execute(sa.update(phones).where(phones.c.id.in_(back), seen).values(seen=True))

    async def _unchanged(self, batch: Sequence[Phone]) -> dict[str, str]:
        """The hardware IDs that phones have now, by id. Raises Stale, naming the first that is not as it was read.
        There is one writer at a time, so what is seen here holds until the commit."""
        query = sa.select(phones.c.id, phones.c.revision, phones.c.hardware_id)
        query = query.where(phones.c.id.in_([phone.id for phone in batch]))
        there = {row.id: row for row in await self._connection.execute(query)}
        for phone in batch:
            if phone.id not in there or there[phone.id].revision != phone.revision:
                raise Stale(f"phone {phone.name} was changed by somebody else meanwhile")
        return {row.id: row.hardware_id or "" for row in there.values()}

    async def _update(self, batch: Sequence[Phone]) -> None:
        rows = [self._rows.row(phone) | {"revision": phone.revision + 1} for phone in batch]
        columns = {name: sa.bindparam(f"new_{name}", type_=phones.c[name].type) for name in rows[0] if name != "id"}
        statement = sa.update(phones).where(phones.c.id == sa.bindparam("new_id")).values(columns)
        try:
            await self._connection.execute(statement, [{f"new_{n}": v for n, v in row.items()} for row in rows])
        except IntegrityError:
            named = f"phone {batch[0].hardware_id}" if len(batch) == 1 else "a phone with one of these hardware IDs"
            raise Conflict(f"{named} exists already") from None

    async def _one(self, condition: sa.ColumnElement[bool]) -> tuple[Phone, str] | None:
        rows = (await self._connection.execute(_WITH_LINES.where(condition))).all()
        return self._of_rows(rows) if rows else None

    def _of_rows(self, rows: Sequence[sa.Row[Any]]) -> tuple[Phone, str]:
        own = tuple(self._rows.line(row._mapping, "l_") for row in rows if row.l_position is not None)
        return self._rows.phone(rows[0]._mapping, own), rows[0].running or ""

    async def _select(self, query: sa.Select[Any]) -> list[Phone]:
        rows = (await self._connection.execute(query)).all()
        own = sa.select(lines).where(lines.c.phone_id.in_(query.with_only_columns(phones.c.id).order_by(None)))
        by_phone: dict[str, list[Line]] = {}
        for row in await self._connection.execute(own.order_by(lines.c.phone_id, lines.c.position)):
            by_phone.setdefault(row.phone_id, []).append(self._rows.line(row._mapping))
        return [self._rows.phone(row._mapping, tuple(by_phone.get(row.id, ()))) for row in rows]

    async def _add_lines(self, owners: Sequence[Phone]) -> None:
        rows = [row for phone in owners for row in self._rows.line_rows(phone)]
        for batch in _batches(rows):
            await self._connection.execute(sa.insert(lines), batch)

    async def _add_overrides(self, owners: Sequence[Phone]) -> None:
        rows = [{"name": name[:160], "phone_id": phone.id} for phone in owners for name in phone.settings]
        for batch in _batches(rows):
            await self._connection.execute(sa.insert(phone_overrides), batch)


def _batches(rows: Sequence[T], size: int = _BATCH) -> list[Sequence[T]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


# A check-in from before the phone first said what it runs has no version: boot loaders do not say.
RUNNING = (
    sa.select(check_ins.c.firmware)
    .where(check_ins.c.hardware_id == phones.c.hardware_id, check_ins.c.firmware != "")
    .order_by(check_ins.c.at.desc())
    .limit(1)
    .scalar_subquery()
    .label("running")
)
_WITH_LINES = (
    sa.select(phones, *(column.label(f"l_{column.name}") for column in lines.columns), RUNNING)
    .outerjoin(lines, lines.c.phone_id == phones.c.id)
    .order_by(lines.c.position)
)
_HAS_PROOFS = sa.or_(
    *(
        sa.exists().where(table.c.phone_id == phones.c.id)
        for table in (phone_tokens, provisioning_windows, digest_credentials)
    )
).label("has_proofs")
_MANAGED = _WITH_LINES.add_columns(_HAS_PROOFS).where(
    phones.c.hardware_id.in_(sa.bindparam("hardware_ids", expanding=True)), phones.c.category == "managed"
)
