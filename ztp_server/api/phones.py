"""/phones: adding, showing, changing and removing one; /removed-phones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.phone_shapes import (
    LineBody,
    LineKeyBody,
    NewPhone,
    PhonePatch,
    PhoneRecord,
    PhoneWrittenRecord,
)
from ztp_server.api.shapes import Answer, Page, PageQuery
from ztp_server.domain.line_key import LineKey
from ztp_server.domain.phone import LineChange, Phone
from ztp_server.errors import BadValue
from ztp_server.services.phone_views import removed_phone_view, written_view
from ztp_server.services.written_phone import Written

routes = Routes("phones", "Phones of all categories. `{id}` is a phone's id, or its hardware ID in any notation.")

# Null takes these from a phone; the others it must have.
_CLEARED = ("hardware_id", "user", "proofs")
_PARTS = {
    "settings": "name each setting that is to be inherited again",
    "lines": "an empty list takes all away",
    "line_keys": "an empty list takes all away",
}


class RemovedPhoneRecord(Answer):
    """A phone that can be brought back."""

    id: str
    name: str
    category: str
    hardware_id: str | None
    site: str
    removed_by: str
    removed_at: str
    restorable_until: str


@routes.post("/phones", answer=PhoneWrittenRecord, status=201, permission="phones:add")
async def add_phone(call: Call, body: NewPhone) -> Any:
    """Add a phone.

    A managed phone is configured at its next request. Passwords that are made for an unmanaged or webrtc phone are in
    `new_passwords`, this once. `warnings` say what is odd and was done all the same."""
    lines = tuple(line_of(line).onto(None) for line in body.lines)
    phone = Phone(
        name=body.name,
        category=body.category,
        hardware_id=body.hardware_id or "",
        model=body.model or "",
        site=body.site,
        base_settings=body.base_settings or "",
        user=body.user or "",
        remote_address=body.remote_address or "",
        proofs=None if body.proofs is None else tuple(body.proofs),
        settings={name: value for name, value in body.settings.items() if value is not None},
        lines=lines,
        line_keys=tuple(key_of(key) for key in body.line_keys),
    )
    written = await call.services.phones.add(call.who, phone)
    return Reply(await show_written(call, written), location=f"/phones/{written.phone.id}")


@routes.get("/phones/{id}", answer=PhoneRecord, permission="phones:view")
async def get_phone(call: Call, id: str) -> Any:
    """Show a phone."""
    return await call.services.phones.view(await call.services.phones.get(call.who, id))


@routes.patch("/phones/{id}", answer=PhoneWrittenRecord, permission="phones:edit", revised=True)
async def edit_phone(call: Call, id: str, body: PhonePatch) -> Any:
    """Change a phone.

    A merge (RFC 7396): a setting that is null is inherited again, `lines` and `line_keys` replace. The category stays
    what it is. An edit that changes nothing leaves the revision."""
    written = await call.services.phones.edit(
        call.who,
        id,
        _fields(body),
        body.settings or {},
        None if body.lines is None else [line_of(line) for line in body.lines],
        None if body.line_keys is None else [key_of(key) for key in body.line_keys],
        unset_any=True,
        revision=call.revision,
    )
    return await show_written(call, written)


@routes.delete("/phones/{id}", permission="phones:delete", revised=True)
async def remove_phone(call: Call, id: str) -> None:
    """Remove a phone.

    It is answered as an unknown one from now on, and its hardware ID is free. For 30 days it can be brought back."""
    await call.services.phones.remove(call.who, id, revision=call.revision)


@routes.get("/removed-phones", answer=Page[RemovedPhoneRecord], permission="phones:view")
async def list_removed_phones(call: Call, query: PageQuery) -> Any:
    """List phones that can be brought back, the last one removed first."""
    place = read_cursor(query.cursor, str, str)
    after = (moment_of(place[0]), place[1]) if place else None
    found = await call.services.removed_phones.page(call.who, after, query.limit + 1)
    shown = found[: query.limit]
    more = make_cursor(shown[-1].at.isoformat(), shown[-1].id) if len(found) > query.limit else None
    return page(map(removed_phone_view, shown), more)


@routes.post("/removed-phones/{id}/restore", answer=PhoneRecord, permission="phones:add")
async def restore_phone(call: Call, id: str) -> Any:
    """Bring a removed phone back.

    With its id, lines, passwords and what it sent: the phone of an id, or the last one removed that had this hardware
    ID."""
    return await call.services.phones.view(await call.services.removed_phones.restore(call.who, id))


def line_of(body: LineBody) -> LineChange:
    return LineChange(body.user, body.auth_user, body.password, body.display_name, body.label, body.shared)


def key_of(body: LineKeyBody) -> LineKey:
    return LineKey(body.type, body.value, body.label, body.line)


async def show_written(call: Call, written: Written) -> dict[str, Any]:
    return written_view(await call.services.phones.view(written.phone), written)


def _fields(body: PhonePatch) -> dict[str, Any]:
    """The fields that are given. Raises BadValue for a null where a phone must have something."""
    given = body.model_dump(exclude_unset=True, exclude=set(_PARTS))
    for name, value in given.items():
        if value is None and name not in _CLEARED:
            raise BadValue(name, "cannot be taken away")
    for name, instead in _PARTS.items():
        if name in body.model_fields_set and getattr(body, name) is None:
            raise BadValue(name, f"cannot be null: {instead}")
    fields: dict[str, Any] = {name: value or "" for name, value in given.items()}
    if "proofs" in given:
        fields["proofs"] = None if body.proofs is None else tuple(body.proofs)
    return fields


def moment_of(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadValue("cursor", "is none that this list gave")
