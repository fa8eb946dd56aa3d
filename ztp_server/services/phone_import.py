"""CSV → phones, all or none, every bad row named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ztp_server.domain.access import Actor
from ztp_server.domain.base_settings import BaseSettings
from ztp_server.domain.catalog import Catalog
from ztp_server.domain.hardware_id import HardwareId
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.settings import CUSTOM
from ztp_server.domain.site import Site
from ztp_server.domain.text import switch
from ztp_server.errors import BadValue, ImportRefused
from ztp_server.services.checks import checked_phone
from ztp_server.services.custom_parameters import CustomWarnings
from ztp_server.services.phone_csv import FIELDS, KEY, LINE, SETTING, Row, read_rows
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

Mode = Literal["create", "update", "upsert"]

Progress = Callable[[int, int], object]

_PROGRESS_EVERY = 500
# Fields of lists, by how their columns begin and which comes first.
_GROUPS = {"lines": ("line", "user"), "line_keys": ("key", "type")}


@dataclass
class Report:
    """What an import did, or would do. `warnings` are what is to be said of rows that are taken all the same."""

    created: int = 0
    updated: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class PhoneImport:
    def __init__(self, store: Store, templates: Templates) -> None:
        self._store = store
        self._templates = templates

    async def run(
        self,
        who: Actor,
        file: Path,
        mode: Mode,
        *,
        dry_run: bool = False,
        progress: Progress = lambda done, rows: None,
    ) -> Report:
        """Import a CSV file. `progress` hears how many rows are checked, of how many.

        Raises ImportRefused naming every bad row, and BadValue for a file that is no such CSV; then nothing is done.
        """
        rows = list(read_rows(file))
        async with self._store.read() as session:
            seen = await session.last_change()
            work = await self._checked(session, file, mode, rows, progress)
        if dry_run:
            return work.report
        async with self._store.write() as session:
            if await session.last_change() != seen:
                # Somebody wrote meanwhile, so what was checked may be another thing now.
                work = await self._checked(session, file, mode, rows, progress)
            await work.write(session)
            detail = {"created": work.report.created, "updated": work.report.updated}
            await session.events.add(who.name, "phones.imported", file.name, detail)
        return work.report

    async def _checked(self, session: Session, file: Path, mode: Mode, rows: list[Row], progress: Progress) -> _Work:
        """Long for many rows, so it is done before the database is held. Raises ImportRefused."""
        work = await _Work.begin(session, self._templates.catalog, mode, rows)
        for count, row in enumerate(rows, 1):
            work.take(row)
            if count % _PROGRESS_EVERY == 0 or count == len(rows):
                progress(count, len(rows))
        work.report.warnings = work.warnings()
        if work.report.problems:
            raise ImportRefused(file.name, work.report.problems)
        return work


class _Work:
    """One import on its way: rows are checked against what is there and gathered; then all are written."""

    def __init__(self, catalog: Catalog, mode: Mode) -> None:
        self._catalog = catalog
        self._mode = mode
        self._sites: dict[str, Site] = {}
        self._bases: dict[str, BaseSettings] = {}
        self._there: dict[str, Phone] = {}
        self._lines_of: dict[str, int] = {}
        self._create: list[Phone] = []
        self._update: list[Phone] = []
        self._warnings = CustomWarnings(catalog)
        self.report = Report()

    @classmethod
    async def begin(cls, session: Session, catalog: Catalog, mode: Mode, rows: Iterable[Row]) -> _Work:
        work = cls(catalog, mode)
        work._sites = {site.id: site for site in await session.sites.all()}
        work._bases = {base.id: base for base in await session.base_settings.all()}
        macs = {mac for row in rows if (mac := _mac_of(row))}
        taken = await session.phones.taken(macs)
        work._there = {phone.hardware_id: phone for phone in (await session.phones.all() if taken else [])}
        return work

    def take(self, row: Row) -> None:
        try:
            self._take(row)
        except BadValue as error:
            column = _column_of(error.field)
            self.report.problems.append(f"line {row.number}, column {column}: {error.reason}")

    def _take(self, row: Row) -> None:
        mac = HardwareId.parse(row.cells.get("hardware_id", "")).value
        if mac in self._lines_of:
            raise BadValue("hardware_id", f"{mac} is on line {self._lines_of[mac]} as well")
        self._lines_of[mac] = row.number
        before = self._there.get(mac)
        if before is None and self._mode == "update":
            raise BadValue("hardware_id", f"no phone {mac}")
        if before is not None and self._mode == "create":
            raise BadValue("hardware_id", f"phone {mac} exists already")
        phone = self._checked(_changed(before, row) if before else _new(mac, row))
        self._warnings.look_at(f"line {row.number}", phone.model, _settings(row))
        if before is None:
            self._create.append(phone)
            self.report.created += 1
        elif phone != before:
            self._update.append(phone)
            self.report.updated += 1

    def warnings(self) -> list[str]:
        return [f"{rows}: {complaint}" for rows, complaint in self._warnings.lines()]

    def _checked(self, phone: Phone) -> Phone:
        site, base = self._sites.get(phone.site), self._bases.get(phone.base_settings)
        if site is None:
            raise BadValue("site", f"no site {phone.site[:64]!r}")
        if base is None:
            raise BadValue("base_settings", f"no base settings {phone.base_settings[:64]!r}")
        return checked_phone(self._catalog, phone, site, base)

    async def write(self, session: Session) -> None:
        await session.phones.add(self._create)
        for phone in self._update:
            await session.phones.replace(phone)


def _mac_of(row: Row) -> str | None:
    try:
        return HardwareId.parse(row.cells.get("hardware_id", "")).value
    except BadValue:
        return None


def _new(mac: str, row: Row) -> Phone:
    cells = row.cells
    _refuse_other_categories(cells)
    return Phone(
        name=cells.get("name") or mac,
        hardware_id=mac,
        category=cells.get("category") or "managed",
        model=cells.get("model", ""),
        site=cells.get("site", ""),
        base_settings=cells.get("base_settings", ""),
        lines=_lines(row, ()),
        line_keys=_keys(row),
        settings=_settings(row),
    )


def _changed(before: Phone, row: Row) -> Phone:
    """Empty cells of a phone that is there keep what it has; line and key columns replace when any is filled."""
    cells = row.cells
    _refuse_other_categories(cells)
    own: dict[str, Any] = {name: cells[name] for name in FIELDS if name != "hardware_id" and cells.get(name)}
    return replace(
        before,
        **own,
        lines=_lines(row, before.lines) or before.lines,
        line_keys=_keys(row) or before.line_keys,
        settings={**before.settings, **_settings(row)},
    )


def _refuse_other_categories(cells: Mapping[str, str]) -> None:
    for column in ("user", "remote_address"):
        if cells.get(column):
            raise BadValue(column, "is not a field of a managed phone")


def _lines(row: Row, before: tuple[Line, ...]) -> tuple[Line, ...]:
    """Lines in order. An empty password keeps the one there is, `-` clears it."""
    given = row.group(LINE)
    _refuse_gaps("line", "user", given)
    lines = []
    for number in sorted(given):
        kept = before[number - 1].password if number <= len(before) else ""
        cells = {"user": "", "password": kept, **given[number]}
        if cells["password"] == "-":
            cells["password"] = ""
        shared = switch(f"lines.{number}.shared", cells.pop("shared", "off"))
        lines.append(Line(**cells, shared=shared))
    return tuple(lines)


def _keys(row: Row) -> tuple[LineKey, ...]:
    given = row.group(KEY)
    _refuse_gaps("key", "type", given)
    return tuple(_key(number, given[number]) for number in sorted(given))


def _key(number: int, cells: Mapping[str, str]) -> LineKey:
    """A key of type line names its line in the value column, or is on the first."""
    kind, value = cells.get("type", ""), cells.get("value", "")
    if kind != "line":
        return LineKey(kind, value, cells.get("label", ""))
    if value and not re.fullmatch("[0-9]{1,3}", value):
        raise BadValue(f"line_keys.{number}.value", "a line key has the number of its line here")
    return LineKey("line", "", cells.get("label", ""), int(value or 1))


def _settings(row: Row) -> dict[str, Any]:
    return {m[1]: cell for column, cell in row.cells.items() if cell and (m := SETTING.fullmatch(column))}


def _refuse_gaps(noun: str, first: str, given: Mapping[int, Any]) -> None:
    missing = set(range(1, max(given, default=0) + 1)) - set(given)
    if missing:
        raise BadValue(f"{noun}{min(missing)}_{first}", f"is empty, while {noun} {max(given)} is filled")


def _column_of(field_name: str) -> str:
    """The column of a field: `lines.1.user` → `line1_user`, `line_keys.2` → `key2_type`, `settings.codecs.1` →
    `settings.codecs`."""
    parts = field_name.split(".")
    if parts[0] in _GROUPS and len(parts) > 1:
        prefix, first = _GROUPS[parts[0]]
        name = parts[2] if len(parts) > 2 else first
        # The line of a line key stands in the value column.
        return f"{prefix}{parts[1]}_{'value' if (prefix, name) == ('key', 'line') else name}"
    if parts[0] == "settings" and not field_name.startswith(f"settings.{CUSTOM}"):
        return ".".join(part for part in parts if not part.isdecimal())
    return field_name
