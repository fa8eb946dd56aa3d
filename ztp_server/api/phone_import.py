"""/phones/import, /phones/export and /jobs/{id}/report: phones as CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import IO, Any, Literal

from pydantic import Field

from ztp_server.api.jobs import JobRecord, accepted
from ztp_server.api.operation import Call, Raw, Routes, Upload
from ztp_server.api.shapes import Flag, Query
from ztp_server.services.import_file import LARGEST_FILE
from ztp_server.services.import_report import job_report
from ztp_server.services.jobs import FILE_PART
from ztp_server.services.phone_import import Order
from ztp_server.services.windows import MOST_MINUTES

routes = Routes("CSV", "Phones as a table: imported, exported, and what became of each row.")

_CSV = "text/csv"


class ImportQuery(Query):
    """How to import."""

    mode: Literal["create", "update", "upsert"] = Field(
        "create", description="What is done with new phones, and with those that are there."
    )
    dry_run: Flag = Field("false", description="Check everything, change nothing.")
    partial: Flag = Field("false", description="Take the good rows of a file that has bad ones.")
    open_window: int = Field(
        0,
        ge=0,
        le=MOST_MINUTES,
        description="Open a provisioning window of so many minutes for each new phone: needs phones:approve as well.",
    )
    file: str = Field("phones.csv", min_length=1, max_length=255, description="What the audit calls the file.")


@routes.post(
    "/phones/import",
    answer=JobRecord,
    status=202,
    permission=("phones:add", "phones:edit"),
    upload=Upload((_CSV,), LARGEST_FILE),
)
async def import_phones(call: Call, query: ImportQuery) -> Any:
    """Import phones from CSV, as a job.

    The body is the file, UTF-8 or UTF-16. All rows are taken, or none and each bad one is an item of the job; its
    report is a table of all rows."""
    assert call.upload
    parts = await asyncio.to_thread(lambda upload: list(_parts(upload)), call.upload)
    order = Order(query.file, query.mode, query.dry_run == "true", query.partial == "true", query.open_window)
    return accepted(call, await call.services.phone_import.submit(call.who, order, parts))


class PhoneQuery(Query):
    """Which phones, as a list of phones takes it: several values of one filter by comma or repeated, `!` before what is
    not wanted, `*` for any characters."""

    q: list[str] = Field([], max_length=1, description="Text anywhere in a phone.")
    site: list[str] = Field([], max_length=200)
    base_settings: list[str] = Field([], max_length=200)
    model: list[str] = Field([], max_length=200)
    family: list[str] = Field([], max_length=200)
    vendor: list[str] = Field([], max_length=200)
    category: list[str] = Field([], max_length=200)
    status: list[str] = Field([], max_length=200)
    firmware: list[str] = Field([], max_length=200)
    name: list[str] = Field([], max_length=200)
    hardware_id: list[str] = Field([], max_length=200)
    user: list[str] = Field([], max_length=200)
    line: list[str] = Field([], max_length=200)
    overrides: list[str] = Field([], max_length=200)
    proofs: list[str] = Field([], max_length=200)
    logged_in: list[str] = Field([], max_length=200)
    never_seen: list[str] = Field([], max_length=1, description="`on` or `off`.")


class ExportQuery(PhoneQuery):
    """Which phones, and whether with their secrets."""

    reveal: Flag = Field("false", description="With passwords and secret settings.")
    reason: str = Field("", max_length=255, description="Why they are revealed; it is written down.")


@routes.get("/phones/export", answer=_CSV, permission="phones:view")
async def export_phones(call: Call, query: ExportQuery) -> Any:
    """Export phones as CSV, in the columns that an import reads.

    Sorted by name. Passwords and secret settings are empty unless they are revealed, which takes the permission
    phones:reveal at the site of each of these phones. Cells that a spreadsheet program would run begin with an
    apostrophe, which an import takes off."""
    filters = {name: values for name, values in query.model_dump(exclude={"reveal", "reason"}).items() if values}
    found = await call.services.phone_export.export(
        call.who, filters, reveal=query.reveal == "true", reason=query.reason
    )
    return Raw(found.pieces, f"{_CSV}; charset=utf-8", file_name="phones.csv")


@routes.get("/jobs/{id}/report", answer=_CSV)
async def get_job_report(call: Call, id: str) -> Any:
    """What became of each row of an import, or of each thing of another job, as CSV.

    Columns: line, hardware_id, result, column, reason. Cells that a spreadsheet program would run begin with an
    apostrophe."""
    pieces = await job_report(call.services.jobs, call.who, id)
    return Raw(pieces, f"{_CSV}; charset=utf-8", file_name=f"job-{id[:32]}.csv")


def _parts(upload: IO[bytes]) -> Iterator[bytes]:
    while part := upload.read(FILE_PART):
        yield part
