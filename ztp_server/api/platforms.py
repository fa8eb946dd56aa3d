"""/platforms: the SIP services that phones register with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.edits import Name, Reason, RemovalQuery, Slug
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.domain.platform import LONGEST_ADDRESS, LONGEST_CA, LONGEST_LOGIN, MOST_DOMAINS, SourceKind
from ztp_server.services.platform_views import platform_view

routes = Routes(
    "platforms",
    "SIP platforms that phones register with: where requests to phones go, and who tells of registrations.",
)

_PATH = "/platforms/{id}"
_Domains = Annotated[
    list[Annotated[str, Field(max_length=253)]],
    Field(max_length=MOST_DOMAINS, description="SIP servers, as `sip_server` of phones has them."),
]
_Address = Annotated[
    str | None,
    Field(max_length=LONGEST_ADDRESS, description="Where requests to phones go: udp:HOST:PORT, tcp:… or tls:…"),
]
_Login = Annotated[str | None, Field(max_length=LONGEST_LOGIN)]
_Password = Annotated[
    str | None, Field(max_length=LONGEST_LOGIN, description="Never shown again. Given anew when its address changes.")
]
_Ca = Annotated[
    str | None,
    Field(max_length=LONGEST_CA, description="PEM of the CA that signs for it over TLS; null: the system's."),
]
_Direct = Annotated[bool, Field(description="Whether requests may go straight to a phone.")]
_Source = Annotated[SourceKind, Field(description="Who tells which lines are registered.")]
_Door = Annotated[
    str | None,
    Field(max_length=LONGEST_ADDRESS, description="Where: a URL for kamailio_rpc, else tcp:HOST:PORT or tls:…."),
]


class PlatformRecord(Answer):
    """A platform. Its passwords are never shown; `has_password` and `has_source_password` say that there is one."""

    id: str
    name: str
    domains: list[str]
    address: str
    user: str
    has_password: bool
    ca: str
    direct: bool
    source: SourceKind
    source_address: str
    source_user: str
    has_source_password: bool
    revision: int


class _PlatformFields(Body):
    domains: _Domains = Field(default_factory=list)
    address: _Address = None
    user: _Login = None
    password: _Password = None
    ca: _Ca = None
    direct: _Direct = False
    source: _Source = "none"
    source_address: _Door = None
    source_user: _Login = None
    source_password: _Password = None
    reason: Reason = ""


class NewPlatform(_PlatformFields):
    """A new platform; `domains` have to be said."""

    id: Slug
    name: Annotated[str, Field(max_length=255)] = ""


class PlatformPatch(_PlatformFields):
    """What is left out stays as it is; null empties."""

    name: Name = "-"


class CheckFinding(Answer):
    """What a check found, and what to do."""

    part: Literal["address", "source"]
    level: Literal["ok", "advice", "warning", "failure"]
    what: str
    advice: str


class PlatformCheck(Answer):
    """What came of asking a platform; `level` is the worst of it."""

    id: str
    level: Literal["ok", "advice", "warning", "failure"]
    findings: list[CheckFinding]


@routes.get("/platforms", answer=Page[PlatformRecord], permission="platforms:view")
async def list_platforms(call: Call, query: PageQuery) -> Any:
    """List SIP platforms, by id."""
    place = read_cursor(query.cursor, str)
    found, more = await call.services.platforms.page(call.who, place[0] if place else "", query.limit)
    return page(map(platform_view, found), make_cursor(found[-1].id) if more else None)


@routes.post("/platforms", answer=PlatformRecord, status=201, permission="platforms:edit")
async def add_platform(call: Call, body: NewPlatform) -> Any:
    """Make a SIP platform.

    The service that phones register with: by way of its `address` they are restarted and re-synced, and its `source`
    tells which are online. Nothing is asked of it by this; `/platforms/{id}/check` does."""
    added = await call.services.platforms.add(call.who, body.id, body.name, _changes(call, body), reason=body.reason)
    return Reply(platform_view(added), location=f"/platforms/{added.id}")


@routes.get(_PATH, answer=PlatformRecord, permission="platforms:view")
async def get_platform(call: Call, id: str) -> Any:
    """Show a SIP platform."""
    return platform_view(await call.services.platforms.get(call.who, id))


@routes.patch(_PATH, answer=PlatformRecord, permission="platforms:edit", revised=True)
async def edit_platform(call: Call, id: str, body: PlatformPatch) -> Any:
    """Change a SIP platform.

    With another address a stored password has to be given again: it would be shown to whoever is there."""
    edited = await call.services.platforms.edit(
        call.who,
        id,
        body.name if "name" in call.given else None,
        _changes(call, body),
        reason=body.reason,
        revision=call.revision,
    )
    return platform_view(edited)


@routes.delete(_PATH, permission="platforms:edit", revised=True)
async def remove_platform(call: Call, id: str, query: RemovalQuery) -> None:
    """Remove a SIP platform, with what is known of who is registered there."""
    await call.services.platforms.remove(call.who, id, reason=query.reason, revision=call.revision)


@routes.post(f"{_PATH}/check", answer=PlatformCheck, permission="platforms:edit", repeatable=True, refusals=(429,))
async def check_platform(call: Call, id: str) -> Any:
    """Ask a SIP platform whether it is there, and its source whether it tells who is registered.

    That takes some seconds, and one is checked at a time."""
    return await call.services.platform_check.check(call.who, id)


def _changes(call: Call, body: _PlatformFields) -> dict[str, Any]:
    """What was written of a body."""
    return {name: getattr(body, name) for name in call.given if name not in ("id", "name", "reason")}
