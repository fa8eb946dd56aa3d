"""CSV → phones: all or none with every bad row named, or (asked for) the good rows.

A file is read and checked outside of any lock, some rows at a time, while phones are served; then all of it is
written in one transaction. Killed at any moment, nothing of it is done, or everything. A command does that by itself; a
server keeps the file sealed in a job (`ImportKind`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.text import check_text
from ztp_server.errors import BadValue, Forbidden, ImportRefused
from ztp_server.services.import_rows import MODES, Mode, RowChecks, RowResult, Writes
from ztp_server.services.job_kinds import Progress, WholeKind
from ztp_server.services.job_kinds import Report as JobReport
from ztp_server.services.jobs import FILE_PART, Jobs
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.phone_csv import read_rows
from ztp_server.services.records import phone_record, subject_of
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store

LARGEST_FILE = 64 << 20
# Rows whose phones are looked up and written together: some milliseconds each time, and phones are served in between.
_BATCH = 250
# Phones are served between pieces of work of this many seconds.
_WORK_SECONDS = 0.004
# How often everything is checked anew without the lock, because somebody wrote meanwhile.
_TRIES = 3


@dataclass
class Report:
    """What an import did, or would do: how many phones, what became of each row, and what is to be said of rows that
    were taken all the same."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
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
    """What is asked for. `partial` takes the good rows of a file that has bad ones. `file` is what people call it."""

    file: str
    mode: Mode = "create"
    dry_run: bool = False
    partial: bool = False

    @classmethod
    def parse(cls, order: Mapping[str, Any]) -> Order:
        """Raises BadValue for an unknown mode or a name that is no text."""
        if order["mode"] not in MODES:
            raise BadValue("mode", f"must be one of {', '.join(MODES)}")
        return cls(check_text("file", order["file"]), order["mode"], order["dry_run"], order["partial"])


@dataclass
class Prepared:
    """A file that was checked: what there is to say, and the phones to write, packed."""

    report: Report
    packs: list[bytes] = field(default_factory=list)


class Importing:
    """The two parts of every import."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def prepare(
        self, session: Session, who: Actor, order: Order, chunks: Iterable[bytes], total: int, progress: Progress
    ) -> Prepared:
        """Read and check everything. `total` is about how many rows there are. Raises Forbidden, and BadValue for what
        is no such file."""
        _require(who, order.mode)
        checks = RowChecks(self._templates.catalog, who, order.mode)
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
            found.packs.append(checks.writes.packed())
        found.report.warnings = checks.warnings.lines()
        await progress(len(found.report.rows), len(found.report.rows))
        return found

    async def apply(self, session: Session, who: Actor, order: Order, prepared: Prepared, reason: str) -> None:
        """Write everything, with its records in the audit."""
        for packed in prepared.packs:
            writes = Writes.unpacked(packed)
            await session.phones.add(writes.new)
            await session.phones.replace_many([after for _, after in writes.changed])
            await session.audit.add_all(who, list(self._entries(session, writes, reason)))
        report = prepared.report
        counts = {"created": report.created, "updated": report.updated, "unchanged": report.unchanged}
        after = {"mode": order.mode, **counts, "refused": report.refused}
        await session.audit.add(who, "phones.imported", order.file, after=after, reason=reason)

    def _entries(self, session: Session, writes: Writes, reason: str) -> Iterator[AuditEntry]:
        table, digest = self._templates.catalog.settings, session.audit.digest
        for phone in writes.new:
            yield AuditEntry("phone.added", subject_of(phone), {}, phone_record(phone, table, digest), reason)
        for before, after in writes.changed:
            records = (phone_record(before, table, digest), phone_record(after, table, digest))
            yield AuditEntry("phone.changed", subject_of(after), *records, reason)


class PhoneImport:
    def __init__(self, store: Store, templates: Templates, jobs: Jobs) -> None:
        self._store = store
        self._jobs = jobs
        self._importing = Importing(templates)

    async def run(
        self,
        who: Actor,
        file: Path | Sequence[bytes],
        mode: Mode,
        *,
        dry_run: bool = False,
        partial: bool = False,
        progress: Callable[[int, int], object] = lambda done, rows: None,
    ) -> Report:
        """Import a CSV file, or the pieces of one, now. `progress` hears how many rows are checked, of about how many.

        Raises ImportRefused naming every bad row, BadValue for a file that is no such CSV, and Forbidden; then nothing
        is done.
        """
        name = file.name if isinstance(file, Path) else "standard input"
        order = Order(name, mode, dry_run, partial)

        async def heard(done: int, rows: int) -> None:
            progress(done, rows)

        async def prepare(session: Session) -> Prepared:
            chunks = _chunks(file)
            prepared = await self._importing.prepare(session, who, order, chunks, _count(_chunks(file)), heard)
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
        asked = {"file": order.file, "mode": order.mode, "dry_run": order.dry_run, "partial": order.partial}
        Order.parse(asked)
        return await self._jobs.submit_file(who, ImportKind.name, asked, _in_parts(file))


class ImportKind(WholeKind[Prepared]):
    """`order` holds the fields of an Order."""

    name = "phones.import"

    def __init__(self, templates: Templates) -> None:
        self._importing = Importing(templates)

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def prepare(self, session: Session, job: Job, file: AsyncIterator[bytes], progress: Progress) -> Prepared:
        # At most LARGEST_FILE, for as long as it takes to read it.
        parts = [part async for part in file]
        order = Order.parse(job.order)
        prepared = await self._importing.prepare(session, job.who, order, parts, _count(parts), progress)
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


def _chunks(file: Path | Sequence[bytes]) -> Iterator[bytes]:
    """Raises BadValue for a file that cannot be read."""
    if not isinstance(file, Path):
        yield from file
        return
    try:
        with open(file, "rb") as opened:
            while chunk := opened.read(FILE_PART):
                yield chunk
    except OSError as error:
        raise BadValue("file", f"{file}: {error.strerror}") from None


def _count(chunks: Iterable[bytes]) -> int:
    """About how many rows a file has: the lines below its header."""
    return max(sum(chunk.count(b"\n") for chunk in chunks) - 1, 0)


def _in_parts(file: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in file:
        for start in range(0, len(chunk), FILE_PART):
            yield chunk[start : start + FILE_PART]
