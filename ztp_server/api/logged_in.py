"""/phones/{id}/log-out, /phones/{id}/log-in, /phones/log-out: who is logged in on phones."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ztp_server.api.jobs import JobRecord, accepted
from ztp_server.api.operation import Call, Routes
from ztp_server.api.phone_bulk import PhoneSelection
from ztp_server.api.phone_shapes import PhoneWrittenRecord
from ztp_server.api.phones import show_written
from ztp_server.api.shapes import Body
from ztp_server.services.phone_selection import parse_selection

routes = Routes("log-in", "Users logged out of phones, and in again.")

_Reason = Annotated[str, Field(max_length=255, description="Why; it goes into the audit.")]


class LogOutBody(Body):
    """Why."""

    reason: _Reason = ""


class LogInBody(Body):
    """Who, on a phone without lines of its own; another takes its own user back."""

    user: str = Field("", max_length=64, description="The id of a user; empty for the phone's own.")
    reason: _Reason = ""


class LogOutManyBody(PhoneSelection):
    """Which phones, and why."""

    reason: _Reason = ""


@routes.post("/phones/{id}/log-out", answer=PhoneWrittenRecord, permission="phones:restart")
async def log_out_of_phone(call: Call, id: str, body: LogOutBody) -> Any:
    """Take the user off a phone.

    Its next files are made with the logged-out profile of its site. A phone with lines of its own keeps them, and its
    user, in its record; another belongs to nobody from now on. What the user changed on the phone is undone."""
    return await show_written(call, await call.services.logged_in.log_out(call.who, id, body.reason))


@routes.post("/phones/{id}/log-in", answer=PhoneWrittenRecord, permission="phones:edit")
async def log_in_on_phone(call: Call, id: str, body: LogInBody) -> Any:
    """Put a user on a phone.

    Where else they are logged in they are logged out, which `warnings` say. The answer is 409 when that is at a site
    where this token may not log anybody out."""
    return await show_written(call, await call.services.logged_in.log_in(call.who, id, body.user, body.reason))


@routes.post("/phones/log-out", answer=JobRecord, status=202, permission="phones:restart")
async def log_out_of_phones(call: Call, body: LogOutManyBody) -> Any:
    """Take the users off many phones.

    Phones that have lines and belong to nobody are left as they are. The job can be undone."""
    selection = parse_selection(body.ids, body.filter, body.expected_count)
    return accepted(call, await call.services.logged_in.log_out_many(call.who, selection, body.reason))
