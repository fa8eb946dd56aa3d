"""/audit and /events: who changed what, and what the server reported."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Routes
from ztp_server.api.paging import make_cursor, page, read_cursor
from ztp_server.api.shapes import Answer, Body, Page, PageQuery
from ztp_server.services.audit import PERMISSION, audit_view, verdict_view
from ztp_server.services.events import event_view

routes = Routes("audit", "Who changed or looked at what, and what the server itself reported.")


class AuditQuery(PageQuery):
    """Which records."""

    subject: str = Field("", max_length=255, description="What was changed: a hardware ID, `site:madrid`, …")
    actor: str = Field("", max_length=255, description="Who did it: `token:ci`, `account:ana`, `local:root`.")
    action: str = Field("", max_length=64, description="What was done: `phone.changed`.")


class AuditItem(Answer):
    """A change or a reveal. `before` and `after` hold what changed, secrets as digests; `hash` covers the record and
    the hash of the one before."""

    seq: int
    at: str
    actor: str
    address: str
    action: str
    subject: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    hash: str


class AuditHead(Answer):
    """Number and hash of the newest record."""

    head: str


class NotedHead(Body):
    """A head that was noted earlier; without one the chain is followed by itself."""

    head: str = Field("", pattern=r"^([0-9]{1,15}:([0-9a-f]{64})?)?$", examples=["0:"])


class AuditVerdict(Answer):
    """Whether the records are whole; else the number of the first that is not, and why."""

    whole: bool
    records: int
    head: str
    broken: int
    reason: str


class EventQuery(PageQuery):
    """Which events."""

    subject: str = Field("", max_length=255, description="What it is about: a file, a hardware ID, an image.")
    action: str = Field("", max_length=64, description="What happened: `firmware.damaged`.")


class EventItem(Answer):
    """Something that happened."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


@routes.get("/audit", answer=Page[AuditItem], permission=PERMISSION)
async def list_audit(call: Call, query: AuditQuery) -> Any:
    """List changes and reveals, newest first."""
    place = read_cursor(query.cursor, int)
    chosen = {"subject": query.subject, "actor": query.actor, "action": query.action}
    below = place[0] if place else None
    rows, more = await call.services.audit.page(call.who, below=below, limit=query.limit, **chosen)
    return page(map(audit_view, rows), make_cursor(rows[-1].seq) if more else None)


@routes.get("/audit/head", answer=AuditHead, permission=PERMISSION)
async def get_audit_head(call: Call) -> Any:
    """Show the head of the audit, to be noted elsewhere."""
    return {"head": await call.services.audit.head(call.who)}


@routes.post("/audit/verify", answer=AuditVerdict, permission=PERMISSION)
async def verify_audit(call: Call, body: NotedHead) -> Any:
    """Verify every record of the audit.

    With a head that was noted elsewhere it shows as well whether the newest records were taken away."""
    return verdict_view(await call.services.audit.verify(call.who, body.head))


@routes.get("/events", answer=Page[EventItem], permission=PERMISSION)
async def list_events(call: Call, query: EventQuery) -> Any:
    """List what the server reported, newest first."""
    place = read_cursor(query.cursor, int)
    below = place[0] if place else None
    rows, more = await call.services.events.page(
        call.who, below=below, limit=query.limit, subject=query.subject, action=query.action
    )
    return page([event_view(*row) for row in rows], make_cursor(rows[-1][0]) if more else None)
