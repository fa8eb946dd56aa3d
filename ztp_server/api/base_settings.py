"""/base-settings: profiles for the phones of one family, and their revisions."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from ztp_server.api.edits import (
    ChangedField,
    DryRun,
    EditAnswer,
    FileSample,
    Name,
    Reason,
    RemovalQuery,
    RevealBody,
    RevealedSettings,
    Settings,
    Slug,
)
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Flag, Page, PageQuery, Query
from ztp_server.errors import NotFound
from ztp_server.services.edit_views import (
    default_view,
    edited_view,
    revision_diff_view,
    revision_view,
    whole_revision_view,
)
from ztp_server.services.views import base_settings_view

routes = Routes("base-settings", "Profiles for the phones of one family. Every edit makes a revision that stays.")

_PATH = "/base-settings/{id}"
_MOST_REVISIONS = 2**31 - 1
Revision = Annotated[int, Field(ge=1, le=_MOST_REVISIONS)]


class BaseSettingsRecord(Answer):
    """Base settings. Secrets are `***`."""

    id: str
    name: str
    model: str
    settings: dict[str, Any]
    revision: int


class EditedBaseSettings(BaseSettingsRecord, EditAnswer):
    """Base settings with what an edit of them did, or would do."""


class RevisionRecord(Answer):
    """Who made a revision, when (ISO 8601), and why."""

    revision: int
    author: str
    reason: str
    at: str


class WholeRevision(BaseSettingsRecord, RevisionRecord):
    """Base settings as they were in a revision, and who made it."""


class RevisionDifference(Answer):
    """What is different between two revisions. `sample` is null unless files were asked for and there is a phone."""

    from_: int = Field(alias="from")
    to: int
    changes: list[ChangedField]
    sample: FileSample | None


class UnderneathValue(Answer):
    value: Any
    source: str


class SettingDefault(Answer):
    """A setting as it is for a model by itself. `support`: `parameter` and `server` can be set; `absent` and
    `unproven` cannot, for the reason in `note`."""

    name: str
    value: Any
    source: str
    underneath: list[UnderneathValue]
    support: str
    note: str


class NewBaseSettings(Body):
    id: Slug
    model: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(max_length=255)] = ""
    settings: Settings = Field({}, description="What is not inherited.")
    reason: Reason = ""


class BaseSettingsClone(Body):
    id: Slug
    name: Annotated[str, Field(max_length=255)] = ""
    settings: Settings = Field({}, description="What shall be different; null: inherited.")
    reason: Reason = ""


class BaseSettingsPatch(Body):
    name: Name = Field("-", description="Left out: as it is.")
    settings: Settings = Field({}, description="Settings to change; null: inherited.")
    reason: Reason = ""


class RevertBody(Body):
    revision: Revision
    reason: Reason = ""


class DiffQuery(Query):
    from_: Revision = Field(alias="from", description="The earlier revision.")
    to: Revision | None = Field(None, description="The later one; left out: the current one.")
    files: Flag = Field("false", description="Also what it makes of the files of a phone that has these base settings.")
    phone: Annotated[str, Field(max_length=64)] | None = Field(None, description="With the files of this phone.")


@routes.get("/base-settings", answer=Page[BaseSettingsRecord], permission="base_settings:view")
async def list_base_settings(call: Call, query: PageQuery) -> Any:
    """List base settings, by id."""
    place = read_cursor(query.cursor, str)
    found = await call.services.base_settings.page(call.who, place[0] if place else "", query.limit + 1)
    shown = [base_settings_view(base, _table(call)) for base in found[: query.limit]]
    return page(shown, make_cursor(shown[-1]["id"]) if len(found) > query.limit else None)


@routes.post("/base-settings", answer=EditedBaseSettings, status=201, permission="base_settings:add")
async def add_base_settings(call: Call, body: NewBaseSettings) -> Any:
    """Make base settings for the family of a model.

    What is not set is inherited: see `/models/{id}/template` for what that is."""
    added = await call.services.base_settings.add(
        call.who, body.id, body.name, body.model, body.settings, reason=body.reason
    )
    return Reply(_edited(call, added), location=f"/base-settings/{body.id}")


@routes.get(_PATH, answer=BaseSettingsRecord, permission="base_settings:view")
async def get_base_settings(call: Call, id: str) -> Any:
    """Show base settings as they are now."""
    return base_settings_view(await call.services.base_settings.get(call.who, id), _table(call))


@routes.patch(_PATH, answer=EditedBaseSettings, permission="base_settings:edit", revised=True)
async def edit_base_settings(call: Call, id: str, query: DryRun, body: BaseSettingsPatch) -> Any:
    """Change base settings: a new revision, unless nothing changes.

    Every phone on them is checked first. With `dry_run` nothing is changed, and the answer has the difference in the
    files of one phone of each model as well."""
    edited = await call.services.base_settings.edit(
        call.who,
        id,
        body.name if "name" in call.given else None,
        body.settings,
        reason=body.reason,
        revision=call.revision,
        dry_run=query.dry_run == "true",
        merge=True,
    )
    return _edited(call, edited)


@routes.delete(_PATH, permission="base_settings:delete", revised=True)
async def remove_base_settings(call: Call, id: str, query: RemovalQuery) -> None:
    """Remove base settings that no phone uses, with their revisions.

    While phones use them the answer is 409, with the first of them in `phones`."""
    await call.services.base_settings.remove(call.who, id, reason=query.reason, revision=call.revision)


@routes.post(f"{_PATH}/clone", answer=EditedBaseSettings, status=201, permission="base_settings:add")
async def clone_base_settings(call: Call, id: str, body: BaseSettingsClone) -> Any:
    """Make base settings that begin as others are, secrets too."""
    clone = call.services.base_settings.clone
    made = await clone(call.who, id, body.id, body.name, body.settings, reason=body.reason, merge=True)
    return Reply(_edited(call, made), location=f"/base-settings/{body.id}")


@routes.post(f"{_PATH}/revert", answer=EditedBaseSettings, permission="base_settings:edit", revised=True)
async def revert_base_settings(call: Call, id: str, query: DryRun, body: RevertBody) -> Any:
    """Return to the settings of an earlier revision.

    A new revision has them again, if they suit the phones of today."""
    edited = await call.services.base_settings.revert(
        call.who, id, body.revision, reason=body.reason, revision=call.revision, dry_run=query.dry_run == "true"
    )
    return _edited(call, edited)


@routes.post(f"{_PATH}/reveal", answer=RevealedSettings, permission="phones:reveal")
async def reveal_base_settings(call: Call, id: str, body: RevealBody) -> Any:
    """Show the secrets among base settings, such as the admin password.

    That it was done, and why, goes into the audit."""
    return {"settings": await call.services.base_settings.reveal(call.who, id, body.reason)}


@routes.get(f"{_PATH}/revisions", answer=Page[RevisionRecord], permission="base_settings:view")
async def list_revisions(call: Call, id: str, query: PageQuery) -> Any:
    """List who changed base settings, when and why, the newest first."""
    place = read_cursor(query.cursor, int)
    revisions = call.services.base_settings_revisions
    found = await revisions.page(call.who, id, place[0] if place else None, query.limit + 1)
    shown = [revision_view(revision) for revision in found[: query.limit]]
    return page(shown, make_cursor(shown[-1]["revision"]) if len(found) > query.limit else None)


@routes.get(f"{_PATH}/revisions/{{number}}", answer=WholeRevision, permission="base_settings:view")
async def get_revision(call: Call, id: str, number: str) -> Any:
    """Show base settings as they were in a revision."""
    if not re.fullmatch("[0-9]{1,9}", number):
        raise NotFound(f"no revision {number[:32]}")
    found = await call.services.base_settings_revisions.get(call.who, id, int(number))
    return whole_revision_view(*found, _table(call))


@routes.get(f"{_PATH}/diff", answer=RevisionDifference, permission="base_settings:view")
async def diff_base_settings(call: Call, id: str, query: DiffQuery) -> Any:
    """Show what changed from one revision to another, also in the files of a phone."""
    diff = await call.services.base_settings_revisions.diff(
        call.who, id, query.from_, query.to, files=query.files == "true", phone=query.phone
    )
    return revision_diff_view(diff)


@routes.get("/models/{id}/template", answer=Page[SettingDefault], permission="base_settings:view")
async def get_model_template(call: Call, id: str) -> Any:
    """Show every setting as it is for a model by itself, and who says so.

    It is what base settings for that model begin with."""
    found = await call.services.base_settings_revisions.template(call.who, id)
    return page(default_view(name, default) for name, default in found.items())


def _edited(call: Call, edited: Any) -> dict[str, Any]:
    return edited_view(edited, base_settings_view(edited.record, _table(call)))


def _table(call: Call) -> Any:
    return call.services.templates.catalog.settings
