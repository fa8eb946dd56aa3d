"""/sites: places where phones stand."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ztp_server.api.edits import (
    DryRun,
    EditAnswer,
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
from ztp_server.api.phone_shapes import LineBody, LineRecord
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.services.edit_views import edited_view
from ztp_server.services.site_fields import changes_of
from ztp_server.services.views import site_view

routes = Routes("sites", "Places: SIP servers, time zone, networks that prove a phone, civic address, emergency calls.")

_PATH = "/sites/{id}"
_Texts = list[Annotated[str, Field(max_length=512)]]
_Element = Annotated[str, Field(min_length=1, max_length=32)]
Address = dict[_Element, Annotated[str, Field(max_length=255)] | None] | None


class ProfileRecord(Answer):
    """What phones get on which nobody is logged in: settings above all others, and the one line they have then."""

    settings: dict[str, Any]
    line: LineRecord | None


class SiteRecord(Answer):
    """A site. Secrets are `***`."""

    id: str
    name: str
    networks: list[str]
    proofs: list[str]
    plain_secrets: bool
    settings: dict[str, Any]
    civic_address: dict[str, str]
    webrtc_url: str
    ice_servers: list[str]
    logged_out: ProfileRecord
    revision: int


class EditedSite(SiteRecord, EditAnswer):
    """A site with what an edit of it did, or would do."""


class ProfileBody(Body):
    """Settings that are null are taken out. A line without a password keeps the one it has; null takes it away."""

    settings: Settings = Field({}, description="Above all other layers.")
    line: LineBody | None = Field(None, description="The one line that such a phone has.")


class _SiteFields(Body):
    networks: _Texts = Field([], description="CIDRs whose addresses prove a phone.")
    proofs: _Texts = Field([], description="Which proofs count: certificate, network.")
    plain_secrets: bool = Field(True, description="Whether plain HTTP gives more than the bootstrap file.")
    settings: Settings = Field({}, description="Settings of the site; null: inherited.")
    civic_address: Address = Field(
        None,
        description="Elements of RFC 5139: country (needed), A1 to A6, RD, HNO, PC, LOC, FLR, ROOM, …; null: none.",
    )
    webrtc_url: Annotated[str, Field(max_length=255)] | None = Field(
        "", description="Where a browser's softphone connects to: wss://…"
    )
    ice_servers: _Texts | None = Field([], description="stun: and turn: URIs.")
    logged_out: ProfileBody | None = Field(
        None, description="What phones get on which nobody is logged in; null: no line, and settings as before."
    )
    reason: Reason = ""


class NewSite(_SiteFields):
    """What is left out is inherited, or as a new site has it: private networks, every proof."""

    id: Slug
    name: Annotated[str, Field(max_length=255)] = ""


class SitePatch(_SiteFields):
    """What is left out stays as it is."""

    name: Name = "-"


@routes.get("/sites", answer=Page[SiteRecord], permission="sites:view")
async def list_sites(call: Call, query: PageQuery) -> Any:
    """List sites, by id."""
    place = read_cursor(query.cursor, str)
    found = await call.services.sites.page(call.who, place[0] if place else "", query.limit + 1)
    shown = [_view(call, site) for site in found[: query.limit]]
    return page(shown, make_cursor(shown[-1]["id"]) if len(found) > query.limit else None)


@routes.post("/sites", answer=EditedSite, status=201, permission="sites:add")
async def add_site(call: Call, body: NewSite) -> Any:
    """Make a site."""
    changes = _changes(call, body)
    added = await call.services.sites.add(call.who, body.id, body.name, changes, reason=body.reason, merge=True)
    return Reply(_edited(call, added), location=f"/sites/{body.id}")


@routes.get(_PATH, answer=SiteRecord, permission="sites:view")
async def get_site(call: Call, id: str) -> Any:
    """Show a site."""
    return _view(call, await call.services.sites.get(call.who, id))


@routes.patch(_PATH, answer=EditedSite, permission="sites:edit", revised=True)
async def edit_site(call: Call, id: str, query: DryRun, body: SitePatch) -> Any:
    """Change a site.

    Every phone there is checked first. With `dry_run` nothing is changed, and the answer has the difference in the
    files of one phone of each model and base settings as well."""
    edited = await call.services.sites.edit(
        call.who,
        id,
        body.name if "name" in call.given else None,
        _changes(call, body),
        reason=body.reason,
        revision=call.revision,
        dry_run=query.dry_run == "true",
        merge=True,
    )
    return _edited(call, edited)


@routes.delete(_PATH, permission="sites:delete", revised=True)
async def remove_site(call: Call, id: str, query: RemovalQuery) -> None:
    """Remove a site at which no phone stands.

    While phones do the answer is 409, with the first of them in `phones`."""
    await call.services.sites.remove(call.who, id, reason=query.reason, revision=call.revision)


@routes.post(f"{_PATH}/reveal", answer=RevealedSettings, permission="phones:reveal")
async def reveal_site(call: Call, id: str, body: RevealBody) -> Any:
    """Show the secrets among a site's settings, such as the token of its location server.

    That it was done, and why, goes into the audit."""
    return {"settings": await call.services.sites.reveal(call.who, id, body.reason)}


def _changes(call: Call, body: _SiteFields) -> dict[str, Any]:
    """What was written of a body, and nothing of what it stands for when left out."""
    apart = ("id", "name", "settings", "reason")
    fields = {name: value for name, value in body.model_dump(exclude_unset=True).items() if name not in apart}
    return changes_of(fields, body.settings)


def _edited(call: Call, edited: Any) -> dict[str, Any]:
    return edited_view(edited, _view(call, edited.record))


def _view(call: Call, site: Any) -> dict[str, Any]:
    return site_view(site, call.services.templates.catalog.settings)
