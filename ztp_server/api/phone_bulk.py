"""/phones/edit, /phones/migrate, /phones/remove: many phones at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.jobs import JobRecord, accepted
from ztp_server.api.operation import Call, Routes
from ztp_server.api.paging import make_cursor, read_cursor
from ztp_server.api.shapes import Answer, Body, PageQuery
from ztp_server.services.bulk_preview import Preview
from ztp_server.services.job_views import preview_view
from ztp_server.services.phone_proofs import WINDOW_MINUTES
from ztp_server.services.phone_selection import MOST_NAMED, Selection, parse_selection

routes = Routes("bulk", "The same change of many phones: looked at first, done by a job, undone by another.")

Text = Annotated[str, Field(max_length=1024)]
Id = Annotated[str, Field(max_length=64)]


class PhoneSelection(Body):
    """Which phones: `ids` (or hardware IDs), or a `filter` as of `GET /phones`, where `{}` are all of them. One of the
    two. With `expected_count`, nothing is done when another number of phones is meant by now."""

    ids: list[Annotated[str, Field(max_length=255)]] | None = Field(None, min_length=1, max_length=MOST_NAMED)
    filter: dict[str, Text | list[Text]] | None = None
    expected_count: int | None = Field(None, ge=0, le=2**31)


class BulkChange(Body):
    """What they all get. A setting that is null is inherited again."""

    site: Id | None = None
    base_settings: Id | None = None
    settings: dict[str, Any] | None = None


class BulkEdit(PhoneSelection):
    """A change of many phones."""

    change: BulkChange


class Migration(PhoneSelection):
    """Phones to other base settings of their family. Their own settings are kept, dropped, or (`drop-same`) dropped
    where they would inherit the same value."""

    to: Id
    overrides: Literal["keep", "drop", "drop-same"] = "keep"


class WindowsBody(PhoneSelection):
    """For how long they may come without a proof of their own."""

    minutes: int = Field(WINDOW_MINUTES, ge=1, le=10_080)
    reason: Annotated[str, Field(max_length=255, description="Why; it goes into the audit.")] = ""


class SettingChangeRecord(Answer):
    """A setting before and after, each with the layer it comes from; null: not there."""

    name: str
    before: Any
    before_source: str
    after: Any
    after_source: str


class FieldChangeRecord(Answer):
    """A field before and after."""

    before: str
    after: str


class PhonePreviewRecord(Answer):
    """What would become of one phone. `files` are unified diffs by name, of the first phones of a page only."""

    id: str
    label: str
    state: Literal["changed", "unchanged", "refused"]
    reason: str
    fields: dict[str, FieldChangeRecord]
    settings: list[SettingChangeRecord]
    files: dict[str, str] | None


class RefusalRecord(Answer):
    """A phone that would be refused."""

    id: str
    label: str
    reason: str


class PreviewRecord(Answer):
    """Of `phones` meant, the first `checked` were looked at, and so many would change, stay as they are, or be refused.
    Behind the first page nothing is counted."""

    phones: int
    checked: int
    changed: int
    unchanged: int
    refused: int
    refusals: list[RefusalRecord] = Field(description="The first hundred.")
    items: list[PhonePreviewRecord]
    next_cursor: str | None


@routes.post("/phones/edit", answer=JobRecord, status=202, permission="phones:edit")
async def edit_phones(call: Call, body: BulkEdit) -> Any:
    """Change many phones.

    Each is checked as if it were changed alone; one that cannot be changed is refused by name, and the others are
    changed. The job can be undone."""
    return accepted(call, await call.services.phone_bulk.edit(call.who, _selection(body), _change(body)))


@routes.post("/phones/edit/preview", answer=PreviewRecord, permission="phones:edit", repeatable=True)
async def preview_edit_of_phones(call: Call, body: BulkEdit, query: PageQuery) -> Any:
    """Show what a change of many phones would do."""
    return _shown(
        await call.services.phone_bulk.preview_edit(call.who, _selection(body), _change(body), **_page(query))
    )


@routes.post("/phones/migrate", answer=JobRecord, status=202, permission="phones:edit")
async def migrate_phones(call: Call, body: Migration) -> Any:
    """Move phones to other base settings.

    Only phones of the same family; others are refused by name. The job can be undone."""
    found = await call.services.phone_bulk.migrate(call.who, _selection(body), body.to, body.overrides)
    return accepted(call, found)


@routes.post("/phones/migrate/preview", answer=PreviewRecord, permission="phones:edit", repeatable=True)
async def preview_migration_of_phones(call: Call, body: Migration, query: PageQuery) -> Any:
    """Show what a move to other base settings would do.

    To see the files of one phone, select that phone."""
    return _shown(
        await call.services.phone_bulk.preview_migration(
            call.who, _selection(body), body.to, body.overrides, **_page(query)
        )
    )


@routes.post("/phones/remove", answer=JobRecord, status=202, permission="phones:delete")
async def remove_phones(call: Call, body: PhoneSelection) -> Any:
    """Remove many phones.

    They are kept for a while, and an undo of the job brings them back."""
    return accepted(call, await call.services.phone_bulk.remove(call.who, _selection(body)))


@routes.post("/phones/windows", answer=JobRecord, status=202, permission="phones:approve")
async def open_phone_windows(call: Call, body: WindowsBody) -> Any:
    """Open a provisioning window for many phones.

    What an item of the job says is how that phone will prove itself later, where nothing sure does. A phone whose site
    takes no windows is refused."""
    job = await call.services.phone_bulk.open_windows(call.who, _selection(body), body.minutes, body.reason)
    return accepted(call, job)


def _selection(body: PhoneSelection) -> Selection:
    return parse_selection(body.ids, body.filter, body.expected_count)


def _change(body: BulkEdit) -> dict[str, Any]:
    return body.change.model_dump(exclude_unset=True)


def _page(query: PageQuery) -> dict[str, int]:
    place = read_cursor(query.cursor, int)
    return {"after": place[0] if place else 0, "limit": query.limit}


def _shown(preview: Preview) -> dict[str, Any]:
    cursor = make_cursor(int(preview.next_cursor)) if preview.next_cursor else None
    return {**preview_view(preview), "next_cursor": cursor}
