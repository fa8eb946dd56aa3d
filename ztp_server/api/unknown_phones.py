"""/unknown-phones: who knocked, and who of them is let in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.phone_shapes import LineBody, PhoneWrittenRecord, Text
from ztp_server.api.phones import line_of, moment_of, show_written
from ztp_server.api.shapes import Answer, Body, Page, PageQuery, Query
from ztp_server.services.unknown_phone_views import approval_view, unknown_phone_view
from ztp_server.services.unknown_phones import MOST_AT_ONCE, PERMISSION, WINDOW_MINUTES

routes = Routes(
    "unknown phones",
    "What asked for the files of a phone that is none of ours. Bounded: 10,000, for 24 hours after the last request. "
    "Nothing of what such a phone says of itself is proven.",
)

_Reason = Annotated[str, Field(max_length=255, description="Why; it goes into the audit.")]
_Minutes = Annotated[
    int,
    Field(ge=0, le=10_080, description="If it has no proof of its own, it may come without one for so many minutes."),
]


class ShownCertificate(Answer):
    """A factory certificate that was shown: its SHA-256, the MAC in it, and whether that is the phone's."""

    sha256: str
    mac: str
    is_its_own: bool


class UnknownPhoneRecord(Answer):
    """What is known of who knocked. `why` says why it was denied, or what kept it from a rule."""

    mac: str
    state: Literal["waiting", "denied"]
    vendor: str | None
    model: str | None
    firmware: str | None
    address: str | None
    certificate: ShownCertificate | None
    files: list[str]
    first_at: str
    last_at: str
    count: int
    denied_by: str | None
    why: str | None


class UnknownPhoneQuery(PageQuery):
    """Which of them."""

    state: Literal["waiting", "denied"] = "waiting"
    vendor: str = Field("", max_length=64, description="The id of a vendor.")
    model: str = Field("", max_length=64, description="The id of a model.")
    network: str = Field("", max_length=64, description="A network (10.1.0.0/16) or an address.")


class _Place(Body):
    site: Text
    base_settings: Text
    model: Annotated[Text, Field(description="Needed when the phone did not say which it is.")] = ""
    open_window: _Minutes = WINDOW_MINUTES


class ApproveBody(_Place):
    """What it becomes. Left out, its name is its MAC."""

    name: Text = ""
    lines: list[LineBody] = Field(default_factory=list, max_length=64)


class ApproveManyBody(_Place):
    """Phones that become the same."""

    macs: list[Text] = Field(min_length=1, max_length=MOST_AT_ONCE)


class ApprovalRecord(Answer):
    """What became of a MAC: the id of the phone it is now, or why not."""

    mac: str
    id: str | None
    warnings: list[str]
    problem: str | None


class ApprovalsRecord(Answer):
    """One for each MAC, in their order."""

    items: list[ApprovalRecord]


class DenyBody(Body):
    """Why nobody wants to hear of it."""

    reason: _Reason = ""


class ForgetQuery(Query):
    reason: _Reason = ""


@routes.get("/unknown-phones", answer=Page[UnknownPhoneRecord], permission=PERMISSION)
async def list_unknown_phones(call: Call, query: UnknownPhoneQuery) -> Any:
    """List who knocked, the one that came last first."""
    place = read_cursor(query.cursor, str, str)
    found, more = await call.services.unknown_phones.page(
        call.who,
        state=query.state,
        vendor=query.vendor,
        model=query.model,
        network=query.network,
        after=(moment_of(place[0]), place[1]) if place else None,
        limit=query.limit,
    )
    cursor = make_cursor(found[-1].first_at.isoformat(), found[-1].mac) if more else None
    return page(map(unknown_phone_view, found), cursor)


@routes.get("/unknown-phones/{mac}", answer=UnknownPhoneRecord, permission=PERMISSION)
async def get_unknown_phone(call: Call, mac: str) -> Any:
    """Show one that knocked, waiting or denied."""
    return unknown_phone_view(await call.services.unknown_phones.get(call.who, mac))


@routes.post("/unknown-phones/{mac}/approve", answer=PhoneWrittenRecord, status=201, permission=PERMISSION)
async def approve_unknown_phone(call: Call, mac: str, body: ApproveBody) -> Any:
    """Make it a phone.

    That takes phones:add at the site as well. It is configured when it asks again. If nothing of its own would prove it
    at that site, a provisioning window is opened for it, unless the site takes none or `open_window` is 0."""
    written = await call.services.unknown_phones.approve(
        call.who,
        mac,
        body.site,
        body.base_settings,
        name=body.name,
        model=body.model,
        lines=[line_of(line) for line in body.lines],
        open_window=body.open_window,
    )
    return Reply(await show_written(call, written), location=f"/phones/{written.phone.id}")


@routes.post("/unknown-phones/approve", answer=ApprovalsRecord, permission=PERMISSION)
async def approve_unknown_phones(call: Call, body: ApproveManyBody) -> Any:
    """Make many of them phones, at one site with the same base settings.

    That takes phones:add at the site as well. Each by itself: the answer says of every MAC what it became, or why
    nothing."""
    approvals = await call.services.unknown_phones.approve_many(
        call.who, body.macs, body.site, body.base_settings, model=body.model, open_window=body.open_window
    )
    return {"items": [approval_view(approval) for approval in approvals]}


@routes.post("/unknown-phones/{mac}/deny", permission=PERMISSION)
async def deny_unknown_phone(call: Call, mac: str, body: DenyBody) -> None:
    """Keep it quiet.

    It is no longer listed as waiting, and no rule approves it. It can still be approved by hand."""
    await call.services.unknown_phones.deny(call.who, mac, body.reason)


@routes.delete("/unknown-phones/{mac}", permission=PERMISSION)
async def forget_unknown_phone(call: Call, mac: str, query: ForgetQuery) -> None:
    """Take it off the list, also one that was denied.

    It comes back when it asks again."""
    await call.services.unknown_phones.forget(call.who, mac, query.reason)
