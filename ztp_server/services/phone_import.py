"""CSV → phones: all or none with every bad row named, or (asked for) the good rows.

A file is read and checked outside of any lock, some rows at a time, while phones are served; then all of it is
written in one transaction. Killed at any moment, nothing of it is done, or everything. A command does that by itself; a
server keeps the file sealed in a job (`ImportKind`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue, Forbidden, ImportRefused
from ztp_server.services.address import ServerAddress
from ztp_server.services.import_file import chunks_of, count_rows, in_parts
from ztp_server.services.import_rows import MODES, Mode, RowChecks, RowResult, Writes
from ztp_server.services.job_kinds import Progress, WholeKind
from ztp_server.services.job_kinds import Report as JobReport
from ztp_server.services.jobs import Jobs
from ztp_server.services.lasting_proof import LET_IN, will_last
from ztp_server.services.log_in import undo_changes
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.phone_csv import read_rows
from ztp_server.services.records import phone_record, subject_of
from ztp_server.services.templates import Templates
from ztp_server.services.windows import Windows, checked_minutes
from ztp_server.store import Session, Store

# Rows whose phones are looked up and written together: some milliseconds each time, and phones are served in between.
_BATCH = 250
# Phones are served between pieces of work of this many seconds.
_WORK_SECONDS = 0.004
# How often everything is checked anew without the lock, because somebody wrote meanwhile.
_TRIES = 3


@dataclass
class Report:
    """What an import did, or would do: how many phones, for how many of them a window was opened, what became of each
    row, and what is to be said of rows that were taken all the same."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    windows: int = 0
    rows: list[RowResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [row.problem for row in self.rows if row.result == "refused"]

    def add(self, row: RowResult) -> None:
        self.rows.append(row)
        setattr(self, row.result, getattr(self, row.result) + 1)


@dataclass(frozen=True)
class Order:
    """What is asked for. `partial` takes the good rows of a file that has bad ones. `file` is what people call it.
    `open_window` are the minutes for which a window is opened for each phone that is new; 0 opens none."""

    file: str
    mode: Mode = "create"
    dry_run: bool = False
    partial: bool = False
    open_window: int = 0

    @classmethod
    def parse(cls, order: Mapping[str, Any]) -> Order:
        """Raises BadValue for an unknown mode, a name that is no text, and a window that cannot be."""
        mode, minutes = order["mode"], order.get("open_window", 0)
        if mode not in MODES:
            raise BadValue("mode", f"must be one of {', '.join(MODES)}")
        checked_minutes(minutes, field="open_window", least=0)
        if minutes and mode == "update":
            raise BadValue("open_window", "windows are opened for new phones, and an update makes none")
        return cls(check_text("file", order["file"]), mode, order["dry_run"], order["partial"], minutes)


@dataclass
class Prepared:
    """A file that was checked: what there is to say, the phones to write, packed, and how many of them will not be able
    to prove themselves wherever they are when their window is closed."""

    report: Report
    packs: list[bytes] = field(default_factory=list)
    unsure: int = 0


class Importing:
    """The two parts of every import."""

    def __init__(self, templates: Templates, address: ServerAddress) -> None:
        self._templates = templates
        self._address = address

    async def prepare(
        self, session: Session, who: Actor, order: Order, chunks: Iterable[bytes], total: int, progress: Progress
    ) -> Prepared:
        """Read and check everything. `total` is about how many rows there are. Raises Forbidden, and BadValue for what
        is no such file."""
        _require(who, order.mode)
        _require_windows(who, order)
        checks = RowChecks(self._templates.catalog, who, order.mode, opens_windows=order.open_window > 0)
        await checks.begin(session)
        found = Prepared(Report())
        rows, due = read_rows(chunks), 0.0
        while batch := list(islice(rows, _BATCH)):
            await checks.look_up(session, batch)
            for row in batch:
                found.report.add(checks.take(row))
                if time.monotonic() >= due:
                    done = len(found.report.rows)
                    await progress(done, max(done, total))
                    due = time.monotonic() + _WORK_SECONDS
            if order.open_window:
                self._foresee_windows(found, checks)
            found.packs.append(checks.writes.packed())
        found.report.warnings = [*checks.warnings.lines(), *_unsure(found.unsure)]
        await progress(len(found.report.rows), len(found.report.rows))
        return found

    def _foresee_windows(self, found: Prepared, checks: RowChecks) -> None:
        """Count the windows that are to be opened, and the phones that will be lost when these are closed."""
        for phone in checks.writes.new:
            if phone.category == "managed":
                found.report.windows += 1
                catalog, site = self._templates.catalog, checks.sites[phone.site]
                base = checks.bases[phone.base_settings]
                found.unsure += not will_last(catalog, self._address, phone, site, base)

    async def apply(self, session: Session, who: Actor, order: Order, prepared: Prepared, reason: str) -> None:
        """Write everything, with its records in the audit."""
        windows = Windows(session, self._templates.catalog, self._address, who, order.open_window, reason)
        sites = {site.id: site for site in await session.sites.all()} if order.open_window else {}
        for packed in prepared.packs:
            writes = Writes.unpacked(packed)
            await session.phones.add(writes.new)
            await windows.open_new([(p, sites[p.site]) for p in writes.new if sites and p.category == "managed"])
            await session.phones.replace_many([after for _, after in writes.changed])
            await undo_changes(session, self._templates.catalog, writes.changed)
            await session.audit.add_all(who, list(self._entries(session, writes, reason)))
        report = prepared.report
        counts = {"created": report.created, "updated": report.updated, "unchanged": report.unchanged}
        after = {"mode": order.mode, **counts, "refused": report.refused}
        if order.open_window:
            after |= {"open_window": order.open_window}
        await session.audit.add(who, "phones.imported", order.file, after=after, reason=reason)

    def _entries(self, session: Session, writes: Writes, reason: str) -> Iterator[AuditEntry]:
        table, digest = self._templates.catalog.settings, session.audit.digest
        for phone in writes.new:
            yield AuditEntry("phone.added", subject_of(phone), {}, phone_record(phone, table, digest), reason)
        for before, after in writes.changed:
            records = (phone_record(before, table, digest), phone_record(after, table, digest))
            yield AuditEntry("phone.changed", subject_of(after), *records, reason)


class PhoneImport:
    def __init__(self, store: Store, templates: Templates, address: ServerAddress, jobs: Jobs) -> None:
        self._store = store
        self._jobs = jobs
        self._importing = Importing(templates, address)

    async def run(
        self,
        who: Actor,
        file: Path | Sequence[bytes],
        mode: Mode,
        *,
        dry_run: bool = False,
        partial: bool = False,
        open_window: int = 0,
        progress: Callable[[int, int], object] = lambda done, rows: None,
    ) -> Report:
        """Import a CSV file, or the pieces of one, now, and open a window of so many minutes for each new phone.
        `progress` hears how many rows are checked, of about how many.

        Raises ImportRefused naming every bad row, BadValue for a file that is no such CSV, and Forbidden; then nothing
        is done.
        """
        name = file.name if isinstance(file, Path) else "standard input"
        order = Order.parse(asdict(Order(name, mode, dry_run, partial, open_window)))

        async def heard(done: int, rows: int) -> None:
            progress(done, rows)

        async def prepare(session: Session) -> Prepared:
            chunks = chunks_of(file)
            prepared = await self._importing.prepare(session, who, order, chunks, count_rows(chunks_of(file)), heard)
            _refuse_bad_rows(order, prepared)
            return prepared

        for last_try in (*[False] * (_TRIES - 1), True):
            async with self._store.read() as session:
                seen = await session.last_change()
                prepared = await prepare(session)
            if dry_run:
                return prepared.report
            async with self._store.write() as session:
                if await session.last_change() != seen:
                    # Somebody wrote meanwhile, so what was checked may be another thing now.
                    if not last_try:
                        continue
                    prepared = await prepare(session)
                await self._importing.apply(session, who, order, prepared, f"import of {name}")
                break
        return prepared.report

    async def submit(self, who: Actor, order: Order, file: Iterable[bytes]) -> Job:
        """Make a job that imports a file, given in pieces of any size. Raises BadValue and Forbidden."""
        _require(who, order.mode)
        asked = asdict(order)
        Order.parse(asked)
        _require_windows(who, order)
        return await self._jobs.submit_file(who, ImportKind.name, asked, in_parts(file))


class ImportKind(WholeKind[Prepared]):
    """`order` holds the fields of an Order."""

    name = "phones.import"

    def __init__(self, templates: Templates, address: ServerAddress) -> None:
        self._importing = Importing(templates, address)

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def prepare(self, session: Session, job: Job, file: AsyncIterator[bytes], progress: Progress) -> Prepared:
        # At most LARGEST_FILE, for as long as it takes to read it.
        parts = [part async for part in file]
        order = Order.parse(job.order)
        prepared = await self._importing.prepare(session, job.who, order, parts, count_rows(parts), progress)
        if not order.dry_run:
            _refuse_bad_rows(order, prepared)
        return prepared

    async def apply(self, session: Session, job: Job, prepared: Prepared) -> JobReport:
        order, report = Order.parse(job.order), prepared.report
        if not order.dry_run:
            await self._importing.apply(session, job.who, order, prepared, reason_of(job.id))
        counts = {"done": report.created + report.updated, "unchanged": report.unchanged, "refused": report.refused}
        return JobReport(len(report.rows), counts, [_item(row) for row in report.rows])


def _refuse_bad_rows(order: Order, prepared: Prepared) -> None:
    """Raises ImportRefused."""
    report = prepared.report
    if report.refused and not order.partial:
        raise ImportRefused(order.file, report.problems, report.rows)


def _item(row: RowResult) -> JobItem:
    if row.result == "refused":
        return JobItem(row.line, row.phone_id, row.label, "refused", row.problem)
    if row.result == "unchanged":
        return JobItem(row.line, row.phone_id, row.label, "unchanged")
    return JobItem(row.line, row.phone_id, row.label, "done", row.result)


def _require(who: Actor, mode: Mode) -> None:
    """Raises Forbidden for one who could not import a single row."""
    if mode == "upsert":
        with suppress(Forbidden):
            who.sites("phones:add")
            return
    who.sites("phones:add" if mode == "create" else "phones:edit")


def _require_windows(who: Actor, order: Order) -> None:
    """Raises Forbidden for one who could not let a single phone in."""
    if order.open_window:
        who.sites(LET_IN)


def _unsure(count: int) -> list[str]:
    if not count:
        return []
    return [f"once their windows are closed, {count} of the new phones can prove themselves by their address at most"]
