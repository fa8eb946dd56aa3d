"""Phones → CSV, in the columns that an import reads: exported with secrets and imported again, nothing changes."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ztp_server.domain.access import Actor
from ztp_server.domain.phone import Phone
from ztp_server.errors import BadValue, Forbidden, TooMany
from ztp_server.services.edits import checked_reason
from ztp_server.services.phone_cells import cells_of
from ztp_server.services.phone_csv import KEY_FIELDS, LINE_FIELDS, MOST_COLUMNS
from ztp_server.services.phone_list import PhoneList, read_filter
from ztp_server.services.reveals import note_reveal
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

Filters = Mapping[str, str | Sequence[str]]
_FIRST = ("id", "name", "category", "hardware_id", "model", "site", "base_settings", "user", "proofs")
# Phones in memory at a time; others are served between two batches.
_BATCH = 250
# Each holds a connection to the database for as long as its reader takes, and phones need some as well.
_AT_ONCE = 3
_RETRY_SECONDS = 10


@dataclass(frozen=True)
class Export:
    """A file that can be read once: how many phones it has, and its pieces."""

    phones: int
    pieces: AsyncIterator[bytes]


class PhoneExport:
    def __init__(self, store: Store, templates: Templates, phone_list: PhoneList) -> None:
        self._store = store
        self._templates = templates
        self._list = phone_list
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def export(self, who: Actor, filters: Filters, *, reveal: bool = False, reason: str = "") -> Export:
        """The phones that fit, of those one may see, by name. Secrets only when they are revealed, which takes the
        permission at the site of every one of these phones, and a reason: it is written down before anything is given.
        Raises BadValue naming the filter, Forbidden, and TooMany while others are read."""
        sites = who.sites("phones:view")
        if reveal:
            who.sites("phones:reveal")
            reason = checked_reason(reason, needed=True)
        catalog = self._templates.catalog
        wanted = read_filter(filters, catalog)
        if self._free.locked():
            raise TooMany("as many exports as can be are being read", _RETRY_SECONDS)
        async with self._store.read() as session:
            ids = await session.phone_list.ids(wanted, sites, await self._list.facts(session))
            if reveal:
                await require_reveal(session, who, ids)
            await _columns(session, ids)
        if reveal:
            shown = {"count": len(ids), "filter": {name: _shown(value) for name, value in filters.items()}}
            async with self._store.write() as session:
                await note_reveal(session, who, "phones.revealed", "export", after=shown, reason=reason)
        return Export(len(ids), self._pieces(who, ids, reveal))

    async def _pieces(self, who: Actor, ids: Sequence[str], reveal: bool) -> AsyncIterator[bytes]:
        """The table, out of one transaction, so that its columns are those of its rows."""
        table = self._templates.catalog.settings
        async with self._free, self._store.read() as session:
            columns = await _columns(session, ids)
            yield _written([dict(zip(columns, columns, strict=True))], columns)
            ordered = await session.phone_widths.by_name(ids)
            for start in range(0, len(ordered), _BATCH):
                found = await session.phones.get_many(ordered[start : start + _BATCH])
                # One that was moved just now may be where its secrets are not for these eyes.
                rows = [cells_of(phone, table, reveal=reveal) for phone in found if _may(who, phone, reveal)]
                yield _written(rows, columns)


async def _columns(session: Session, ids: Sequence[str]) -> list[str]:
    """The columns these phones need. Raises BadValue when no import would take so many."""
    widest = await session.phone_widths.of_ids(ids)
    found = [*_FIRST, *(["logged_out"] if widest.logged_out else [])]
    found += [f"line{number}_{name}" for number in range(1, widest.lines + 1) for name in LINE_FIELDS]
    found += [f"key{number}_{name}" for number in range(1, widest.line_keys + 1) for name in KEY_FIELDS]
    found += ["remote_address", *(f"settings.{name}" for name in widest.settings)]
    if len(found) > MOST_COLUMNS:
        raise BadValue("filter", f"{len(found)} columns, at most {MOST_COLUMNS}: choose fewer phones at a time")
    return found


async def require_reveal(session: Session, who: Actor, ids: Sequence[str]) -> None:
    """Raises Forbidden naming the first site where the secrets are not for these eyes."""
    if who.may("phones:reveal"):
        return
    for site in sorted({target.site for target in await session.phone_targets.of_ids(ids)}):
        if not who.may("phones:reveal", site):
            raise Forbidden("phones:reveal", site)


def _may(who: Actor, phone: Phone, reveal: bool) -> bool:
    return who.may("phones:view", phone.site) and (not reveal or who.may("phones:reveal", phone.site))


def _shown(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _written(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, restval="").writerows(rows)
    return text.getvalue().encode()
