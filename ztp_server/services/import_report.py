"""What became of each row of an import, as CSV that a spreadsheet program can open without running any of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable

from ztp_server.domain.access import Actor
from ztp_server.domain.job import JobItem
from ztp_server.services.import_rows import RowResult
from ztp_server.services.jobs import Jobs
from ztp_server.services.phone_csv import neutral

COLUMNS = ("line", "hardware_id", "result", "column", "reason")
_BATCH = 1000
_PROBLEM = re.compile(r"line ([0-9]+)(?:, column (.+?))?: (.*)", re.DOTALL)


def report_of(rows: Iterable[RowResult]) -> bytes:
    """The report of an import that was done here: `line` is where a row begins, `hardware_id` of a phone that has none
    its name, `column` and `reason` why it was refused."""
    return _written([COLUMNS]) + _written((r.line, r.label, r.result, r.column, r.reason) for r in rows)


async def job_report(jobs: Jobs, who: Actor, job_id: str) -> AsyncIterator[bytes]:
    """The same of a job of any kind, in pieces. `line` counts the things of a job that read no file. Raises NotFound at
    once, before the first piece is asked for."""
    await jobs.get(who, job_id)
    return _pieces(jobs, who, job_id)


async def _pieces(jobs: Jobs, who: Actor, job_id: str) -> AsyncIterator[bytes]:
    yield _written([COLUMNS])
    after = 0
    while items := await jobs.items(who, job_id, after=after, limit=_BATCH):
        yield _written(map(_row, items))
        after = items[-1].position


def _row(item: JobItem) -> tuple[object, ...]:
    problem = _PROBLEM.fullmatch(item.detail) if item.state == "refused" else None
    if problem:
        return problem[1], item.label, "refused", problem[2] or "", problem[3]
    if item.state == "done" and item.detail:
        return item.position, item.label, item.detail, "", ""
    return item.position, item.label, item.state, "", item.detail


def _written(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([neutral(str(cell)) for cell in row] for row in rows)
    return text.getvalue().encode()
