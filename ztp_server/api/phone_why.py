"""Why a phone is given what it is given."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from pydantic import Field

from ztp_server.api.operation import Call, Routes
from ztp_server.api.shapes import Answer, Body
from ztp_server.services.why_views import why_view

routes = Routes("why", "What a phone would be given now, and why.")


class WhyQuestion(Body):
    from_: str = Field(
        "", alias="from", max_length=64, description="Where it asks from; without it, from where it did last."
    )
    file: str = Field("", max_length=255, description="One file; without it, each of the phone's own.")
    certificate: str = Field("", max_length=65_536, description="Its client certificate (PEM), to see what it proves.")
    user_agent: str = Field("", max_length=1024, description="How it calls itself.")


class WhyFinding(Answer):
    ok: bool | None
    text: str


class WhyAnswer(Answer):
    listener: str
    file: str
    status: int
    text: str


class WhyAttempt(Answer):
    file: str
    first_at: datetime
    last_at: datetime
    count: int
    status: int
    reason: str
    address: str
    listener: str
    proof: str
    firmware: str


class WhyRecord(Answer):
    hardware_id: str
    from_: str = Field(alias="from")
    from_is: str
    findings: list[WhyFinding]
    answers: list[WhyAnswer]
    attempts: list[WhyAttempt]
    advice: list[str]


@routes.post("/phones/{phone}/why", answer=WhyRecord, status=200, permission="phones:view", repeatable=True)
async def explain_phone(call: Call, phone: str, body: WhyQuestion) -> Any:
    """Say what a phone would be given now, and why.

    No request is made and nothing is written down. The phone is named by its id or its MAC, which need not be known.
    """
    why = call.services.why
    pem = body.certificate.encode()
    shown = await asyncio.to_thread(why.read_certificate, pem) if pem else None
    found = await why.explain(
        call.who, phone, address=body.from_, file=body.file, shown=shown, user_agent=body.user_agent
    )
    return why_view(found)
