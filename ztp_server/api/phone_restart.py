"""/phones/restart, /phones/resync and the same of one phone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ztp_server.api.jobs import JobRecord, accepted
from ztp_server.api.operation import Call, Reply, Routes
from ztp_server.api.phone_bulk import PhoneSelection, RefusalRecord
from ztp_server.api.shapes import Answer, Body
from ztp_server.domain.moment import parse_moment
from ztp_server.services.notify_plan import Action
from ztp_server.services.phone_selection import parse_selection
from ztp_server.services.restarts import FOLLOW_SECONDS, MOST_A_SECOND, UNCONFIRMED, Telling, preview_view

routes = Routes("restart", "Phones restarted, or asked to look for their files again (re-sync), one or many.")

Moment = Annotated[str, Field(max_length=64, description="As in 2026-11-20T22:00+01:00; UTC without an offset.")]


class TellOne(Body):
    """How. With `idle` the phone waits until its calls have ended, if its family can. Before `not_before` nothing is
    sent, and what is left at `not_after` is refused. For `follow` seconds afterwards it is looked what became of it."""

    when: Literal["now", "idle"] = "now"
    follow: int = Field(FOLLOW_SECONDS, ge=0, le=3600)
    not_before: Moment | None = None
    not_after: Moment | None = None


class TellMany(TellOne, PhoneSelection):
    """Which phones, and how: `rate` of them a second, and never more than a tenth of a site at once."""

    rate: float = Field(5.0, ge=1, le=MOST_A_SECOND)
    confirm: str = Field(
        "", max_length=16, description=f"Their number: for more than {UNCONFIRMED} phones. Another number is refused."
    )


class TellPreviewRecord(Answer):
    """Of `phones` meant, the first `planned` were looked at: how many would be told by which way (its name as the
    family's facts have it), how many would be refused, and what people should know before."""

    phones: int
    planned: int
    ways: dict[str, int]
    refused: int
    refusals: list[RefusalRecord] = Field(description="The first hundred.")
    costs: list[str]


@routes.post("/phones/{id}/restart", answer=JobRecord, status=202, permission="phones:restart")
async def restart_phone(call: Call, id: str, body: TellOne) -> Any:
    """Restart a phone.

    By the way that its family has, through its SIP platform or straight to it. The only item of the job says what
    became of it."""
    return await _one(call, "restart", id, body)


@routes.post("/phones/{id}/resync", answer=JobRecord, status=202, permission="phones:restart")
async def resync_phone(call: Call, id: str, body: TellOne) -> Any:
    """Ask a phone to look for its files again.

    One that finds them unchanged does nothing."""
    return await _one(call, "resync", id, body)


@routes.post("/phones/restart", answer=JobRecord, status=202, permission="phones:restart")
async def restart_phones(call: Call, body: TellMany) -> Any:
    """Restart many phones.

    What became of each is in the items of the job, as `told`. It stops within two seconds when it is asked to."""
    return await _many(call, "restart", body)


@routes.post("/phones/resync", answer=JobRecord, status=202, permission="phones:restart")
async def resync_phones(call: Call, body: TellMany) -> Any:
    """Ask many phones to look for their files again.

    Those that find them unchanged do nothing. What became of each is in the items of the job, as `told`."""
    return await _many(call, "resync", body)


@routes.post("/phones/restart/preview", answer=TellPreviewRecord, permission="phones:restart", repeatable=True)
async def preview_restart_of_phones(call: Call, body: TellMany) -> Any:
    """Show which phones a restart would reach, and how."""
    return await _preview(call, "restart", body)


@routes.post("/phones/resync/preview", answer=TellPreviewRecord, permission="phones:restart", repeatable=True)
async def preview_resync_of_phones(call: Call, body: TellMany) -> Any:
    """Show which phones a re-sync would reach, and how."""
    return await _preview(call, "resync", body)


async def _one(call: Call, action: Action, phone: str, body: TellOne) -> Reply:
    return accepted(call, await call.services.restarts.tell(call.who, action, phone, _telling(body)))


async def _many(call: Call, action: Action, body: TellMany) -> Reply:
    selection = parse_selection(body.ids, body.filter, body.expected_count)
    known = call.services.restarts
    return accepted(
        call, await known.tell_many(call.who, action, selection, _telling(body, body.rate), confirm=body.confirm)
    )


async def _preview(call: Call, action: Action, body: TellMany) -> dict[str, Any]:
    selection = parse_selection(body.ids, body.filter, body.expected_count)
    return preview_view(await call.services.restarts.preview(call.who, action, selection, _telling(body, body.rate)))


def _telling(body: TellOne, rate: float = 5.0) -> Telling:
    times = {name: getattr(body, name) for name in ("not_before", "not_after")}
    moments = {name: parse_moment(name, text) for name, text in times.items() if text is not None}
    return Telling(body.when, rate, body.follow, **moments)
