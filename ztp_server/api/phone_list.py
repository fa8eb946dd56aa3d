"""GET /phones: lists of phones, filtered, in an order, page by page."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ztp_server.api.operation import Call, Routes
from ztp_server.api.phone_shapes import PhoneRecord
from ztp_server.api.shapes import Flag, Page, PageQuery
from ztp_server.domain.phone_filter import STATES
from ztp_server.domain.phone_order import SORTS

routes = Routes("phones", "Phones of all categories. `{id}` is a phone's id, or its hardware ID in any notation.")

_Text = Annotated[str, Field(max_length=2000)]


def _filter(description: str) -> Any:
    return Field([], max_length=200, description=description)


class PhoneListQuery(PageQuery):
    """Different filters must all fit. Several values of one, repeated or with commas, are alternatives; `!` before a
    value takes away what it fits. `*` stands for any characters where wildcards are spoken of; a backslash before
    `*`, a comma, `!` or a backslash means the character itself."""

    cursor: str | None = Field(None, max_length=4096, description="`next_cursor` of the part before.")
    sort: str = Field("name", max_length=32, description=f"One of {', '.join(SORTS)}; `-` before it turns it round.")
    count: Flag = Field("false", description="Also say how many there are in all, which takes longer.")
    q: str | None = Field(
        None, max_length=255, description="Part of a name, a hardware ID, a line's user, an extension, an address."
    )
    site: list[_Text] = _filter("Sites, by id.")
    base_settings: list[_Text] = _filter("Base settings, by id.")
    model: list[_Text] = _filter("Models, by id; wildcards.")
    family: list[_Text] = _filter("Families of models, by the name of their folder.")
    vendor: list[_Text] = _filter("Makers, by the name of their folder.")
    category: list[_Text] = _filter("managed, unmanaged, webrtc, remote.")
    status: list[_Text] = _filter(f"How far a phone came, and whether it is registered: {', '.join(STATES)}.")
    firmware: list[_Text] = _filter("What a phone said it runs; wildcards.")
    name: list[_Text] = _filter("Names, without regard to capitals; wildcards.")
    hardware_id: list[_Text] = _filter("MACs in any notation, or host names; wildcards.")
    user: list[_Text] = _filter("Whose phone it is, by id or name; wildcards.")
    line: list[_Text] = _filter("SIP users of lines; wildcards.")
    overrides: list[_Text] = _filter("Settings that a phone sets itself, by name; `any`, `none`.")
    proofs: list[_Text] = _filter("Whose proofs count: site, own; blocked: none do.")
    logged_in: list[_Text] = _filter("`yes`: somebody is logged in; `no`: nobody is.")
    never_seen: str | None = Field(None, max_length=8, description="`on`: never asked for a file; `off`: did.")


class PhonePage(Page[PhoneRecord]):
    """A part of the list. `total` is null unless it was asked for."""

    total: int | None


@routes.get("/phones", answer=PhonePage, permission="phones:view")
async def list_phones(call: Call, query: PhoneListQuery) -> Any:
    """List phones.

    Those that the one who asks may see. A page begins behind the last phone of the one before, whatever was added,
    changed or removed meanwhile."""
    filters = query.model_dump(exclude_defaults=True, exclude={"limit", "cursor", "sort", "count"})
    page = await call.services.phone_list.page(
        call.who, filters, sort=query.sort, limit=query.limit, cursor=query.cursor, count=query.count == "true"
    )
    return {"items": page.items, "next_cursor": page.next_cursor, "total": page.total}
