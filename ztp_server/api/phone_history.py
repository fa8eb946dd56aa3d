"""/phones/{id}/status, /check-ins, /files-given: what a phone asked for and was given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Raw, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.phone_shapes import StatusRecord
from ztp_server.api.shapes import Answer, Page, PageQuery, Query
from ztp_server.domain.moment import parse_moment
from ztp_server.services.history_views import attempt_view, given_view, status_view

routes = Routes("phone history", "What phones asked for and were given, and how far they came with it.")

_TIME = "A date, or date and time, such as `2026-11-20T10:00`: in UTC unless an offset stands behind it (`%2B01:00`)."
_PLAIN = "text/plain"


class MadeOfRecord(Answer):
    """What a file was made of. `templates` is a digest, `firmware` the version the phone was offered."""

    phone_revision: int
    site: str
    site_revision: int
    base_settings: str
    base_settings_revision: int
    templates: str
    firmware: str


class CheckInRecord(Answer):
    """Requests for one file that were answered alike, one after the other: from `first_at` to `last_at`, `count` of
    them. Without a `proof` somebody asked in the phone's name. `etag` names bytes, but is not their digest."""

    file: str
    first_at: datetime
    last_at: datetime
    count: int
    status: int
    reason: str
    etag: str
    address: str
    listener: str
    proof: str
    certificate: str
    firmware: str
    milliseconds: int
    made_of: MadeOfRecord | None


class GivenRecord(Answer):
    """A file as a phone had been given it last. `size` is without secrets, null when the bytes are not kept."""

    file: str
    etag: str
    at: datetime
    size: int | None


class CheckInQuery(PageQuery):
    file: str = Field("", max_length=255, description="Only this file.")


class AtQuery(Query):
    at: str = Field("", max_length=64, description=f"By when; now, if nothing is said. {_TIME}")


class DiffQuery(Query):
    earlier: str = Field(max_length=64, description=_TIME)
    later: str = Field("", max_length=64, description=f"Now, if nothing is said. {_TIME}")


@routes.get("/phones/{id}/status", answer=StatusRecord, permission="phones:view")
async def phone_status(call: Call, id: str) -> Any:
    """How far a phone came with its configuration, and whether it is registered."""
    return status_view(await call.services.phone_status.get(call.who, id))


@routes.get("/phones/{id}/check-ins", answer=Page[CheckInRecord], permission=("phones:view", "audit:view"))
async def list_check_ins(call: Call, id: str, query: CheckInQuery) -> Any:
    """What a phone asked for and was answered.

    Newest first. A phone that was removed is found by its hardware ID, by whoever may see the audit."""
    place = read_cursor(query.cursor, int)
    below = place[0] if place else None
    runs = await call.services.history.attempts(call.who, id, query.limit + 1, file=query.file, below=below)
    shown = runs[: query.limit]
    return page([attempt_view(run) for run in shown], make_cursor(shown[-1].seq) if len(runs) > len(shown) else None)


@routes.get("/phones/{id}/files-given", answer=Page[GivenRecord], permission=("phones:view", "audit:view"))
async def list_files_given(call: Call, id: str, query: AtQuery) -> Any:
    """The files that a phone had been given last by a time."""
    found = await call.services.history.given(call.who, id, _moment("at", query.at))
    return page([given_view(given) for given in found], None)


@routes.get("/phones/{id}/files-given/{name}", answer=_PLAIN, permission=("phones:view", "audit:view"))
async def file_given(call: Call, id: str, name: str, query: AtQuery) -> Any:
    """The bytes of a file as a phone had been given them last by a time.

    With `***` in the place of each secret."""
    found = await call.services.history.file(call.who, id, name, _moment("at", query.at))
    return Raw(found.body, f"{_PLAIN}; charset=utf-8")


@routes.get("/phones/{id}/files-given/{name}/diff", answer=_PLAIN, permission=("phones:view", "audit:view"))
async def file_given_diff(call: Call, id: str, name: str, query: DiffQuery) -> Any:
    """What differs between a file as a phone had been given it by two times.

    A unified diff; empty when nothing but secrets differs."""
    earlier, later = _moment("earlier", query.earlier), _moment("later", query.later)
    diff = await call.services.history.diff(call.who, id, name, earlier, later)
    return Raw(diff.encode(), f"{_PLAIN}; charset=utf-8")


def _moment(field: str, text: str) -> datetime:
    return parse_moment(field, text) if text else datetime.now(UTC)
