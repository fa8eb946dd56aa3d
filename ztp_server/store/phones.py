"""Phones with their lines."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ztp_server.domain.firmware import FirmwareWish
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.errors import Conflict, NotFound, Stale
from ztp_server.store.changes import record
from ztp_server.store.schema import lines, phone_overrides, phones
from ztp_server.store.schema_history import check_ins
from ztp_server.store.vault import Vault

# Rows of one statement: well under SQLite's limit of 32,766 parameters.
_BATCH = 1000


class PhoneStore:
    def __init__(self, connection: AsyncConnection, vault: Vault) -> None:
        self._connection = connection
        self._vault = vault

    async def get(self, hardware_id: str) -> Phone:
        """Raises NotFound."""
        return (await self.get_running(hardware_id))[0]

    async def get_running(self, hardware_id: str) -> tuple[Phone, str]:
        """The phone, and the firmware it last said it runs. Raises NotFound."""
        found = await self.find_running(hardware_id)
        if found is None:
            raise NotFound(f"no phone {hardware_id}")
        return found

    async def find(self, hardware_id: str) -> Phone | None:
        """The phone with its lines."""
        found = await self.find_running(hardware_id)
        return found[0] if found else None

    async def find_running(self, hardware_id: str) -> tuple[Phone, str] | None:
        """The phone with its lines, and the firmware it last said it runs (empty: it never did), in one query; this is
        what a request of a phone costs."""
        rows = (await self._connection.execute(_WITH_LINES, {"hardware_id": hardware_id})).all()
        if not rows:
            return None
        own = tuple(self._line(row._mapping, "l_") for row in rows if row.l_position is not None)
        return self._phone(rows[0]._mapping, own), rows[0].running or ""

    async def all(self, *, site: str | None = None, base_settings: str | None = None) -> list[Phone]:
        """Phones by hardware ID, all or those of a site or of base settings."""
        query = sa.select(phones).order_by(phones.c.hardware_id)
        if site is not None:
            query = query.where(phones.c.site_id == site)
        if base_settings is not None:
            query = query.where(phones.c.base_settings_id == base_settings)
        return await self._select(query)

    async def firmware_wishes(self) -> list[FirmwareWish]:
        """What every phone has to do with firmware, without its lines and secrets."""
        own = phones.c.settings
        query = sa.select(
            *(phones.c.hardware_id, phones.c.model, phones.c.site_id, phones.c.base_settings_id),
            own["firmware_version"].as_string().label("version"),
            own["firmware_downgrade"].as_boolean().label("downgrade"),
            _RUNNING,
        ).order_by(phones.c.hardware_id)
        rows = (await self._connection.execute(query)).all()
        return [FirmwareWish(*row[:6], row.running or "") for row in rows]

    async def taken(self, hardware_ids: Iterable[str]) -> set[str]:
        """Which of these hardware IDs have a phone already."""
        wanted, found = list(hardware_ids), set()
        for start in range(0, len(wanted), _BATCH):
            query = sa.select(phones.c.hardware_id).where(phones.c.hardware_id.in_(wanted[start : start + _BATCH]))
            found |= {row.hardware_id for row in await self._connection.execute(query)}
        return found

    async def add(self, new: Sequence[Phone]) -> None:
        """Add phones, all or none; one that comes back has its id already. Raises Conflict when a hardware ID is
        taken."""
        if not new:
            return
        new = [replace(phone, id=phone.id or uuid.uuid4().hex, revision=phone.revision + 1) for phone in new]
        try:
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                await self._connection.execute(sa.insert(phones), [self._row(phone) for phone in batch])
                await self._add_lines(batch)
                await self._add_overrides(batch)
        except IntegrityError:
            raise Conflict("a phone with one of these hardware IDs exists already") from None
        await record(self._connection, "phone", [phone.hardware_id for phone in new if phone.hardware_id])

    async def replace(self, phone: Phone) -> None:
        """Keep a phone as it is now. Raises Conflict when its hardware ID is another phone's."""
        values = self._row(phone) | {"revision": phone.revision + 1}
        before = await self._connection.execute(sa.select(phones.c.hardware_id).where(phones.c.id == phone.id))
        unchanged = sa.and_(phones.c.id == phone.id, phones.c.revision == phone.revision)
        try:
            result = await self._connection.execute(sa.update(phones).where(unchanged).values(values))
        except IntegrityError:
            raise Conflict(f"phone {phone.hardware_id} exists already") from None
        if result.rowcount != 1:
            raise Stale(f"phone {phone.name} was changed by somebody else meanwhile")
        await self._connection.execute(sa.delete(lines).where(lines.c.phone_id == phone.id))
        await self._add_lines([phone])
        await self._connection.execute(sa.delete(phone_overrides).where(phone_overrides.c.phone_id == phone.id))
        await self._add_overrides([phone])
        await record(self._connection, "phone", {before.scalar_one(), phone.hardware_id} - {None, ""})

    async def remove(self, hardware_id: str) -> None:
        """Raises NotFound."""
        result = await self._connection.execute(sa.delete(phones).where(phones.c.hardware_id == hardware_id))
        if result.rowcount != 1:
            raise NotFound(f"no phone {hardware_id}")
        await record(self._connection, "phone", [hardware_id])

    async def _select(self, query: sa.Select[Any]) -> list[Phone]:
        rows = (await self._connection.execute(query)).all()
        own = sa.select(lines).where(lines.c.phone_id.in_(query.with_only_columns(phones.c.id).order_by(None)))
        by_phone: dict[str, list[Line]] = {}
        for row in await self._connection.execute(own.order_by(lines.c.phone_id, lines.c.position)):
            by_phone.setdefault(row.phone_id, []).append(self._line(row._mapping))
        return [self._phone(row._mapping, tuple(by_phone.get(row.id, ()))) for row in rows]

    async def _add_lines(self, owners: Sequence[Phone]) -> None:
        rows = [
            asdict(line)
            | {"phone_id": phone.id, "position": position}
            | {"password": self._vault.seal(line.password, _line_place(phone.id, position))}
            for phone in owners
            for position, line in enumerate(phone.lines, 1)
        ]
        if rows:
            await self._connection.execute(sa.insert(lines), rows)

    async def _add_overrides(self, owners: Sequence[Phone]) -> None:
        rows = [{"name": name[:160], "phone_id": phone.id} for phone in owners for name in phone.settings]
        if rows:
            await self._connection.execute(sa.insert(phone_overrides), rows)

    def _row(self, phone: Phone) -> dict[str, Any]:
        return {
            "id": phone.id,
            "hardware_id": phone.hardware_id or None,
            "name": phone.name,
            "name_key": name_key(phone.name),
            "category": phone.category,
            "model": phone.model,
            "site_id": phone.site,
            "base_settings_id": phone.base_settings or None,
            "user_id": phone.user or None,
            "remote_address": phone.remote_address,
            "line_keys": [asdict(key) for key in phone.line_keys],
            "settings": self._vault.seal_settings(phone.settings, f"phones/{phone.id}"),
            "revision": phone.revision,
        }

    def _phone(self, row: Any, own_lines: tuple[Line, ...]) -> Phone:
        return Phone(
            id=row["id"],
            name=row["name"],
            hardware_id=row["hardware_id"] or "",
            category=row["category"],
            model=row["model"],
            site=row["site_id"],
            base_settings=row["base_settings_id"] or "",
            user=row["user_id"] or "",
            remote_address=row["remote_address"],
            lines=own_lines,
            line_keys=tuple(LineKey(**key) for key in row["line_keys"]),
            settings=self._vault.open_settings(row["settings"], f"phones/{row['id']}"),
            revision=row["revision"],
        )

    def _line(self, row: Any, prefix: str = "") -> Line:
        place = _line_place(row[f"{prefix}phone_id"], row[f"{prefix}position"])
        return Line(
            user=row[f"{prefix}user"],
            auth_user=row[f"{prefix}auth_user"],
            password=self._vault.open(row[f"{prefix}password"], place),
            display_name=row[f"{prefix}display_name"],
            label=row[f"{prefix}label"],
            shared=row[f"{prefix}shared"],
        )


def name_key(name: str) -> str:
    """A name as it is searched and sorted."""
    return name.casefold()[:255]


def _line_place(phone_id: str, position: int) -> str:
    return f"lines/{phone_id}/{position}"


# A check-in from before the phone first said what it runs has no version: boot loaders do not say.
_RUNNING = (
    sa.select(check_ins.c.firmware)
    .where(check_ins.c.hardware_id == phones.c.hardware_id, check_ins.c.firmware != "")
    .order_by(check_ins.c.at.desc())
    .limit(1)
    .scalar_subquery()
    .label("running")
)
_WITH_LINES = (
    sa.select(phones, *(column.label(f"l_{column.name}") for column in lines.columns), _RUNNING)
    .outerjoin(lines, lines.c.phone_id == phones.c.id)
    .where(phones.c.hardware_id == sa.bindparam("hardware_id"))
    .order_by(lines.c.position)
)
