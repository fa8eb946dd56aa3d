"""Provisioning windows opened for many phones, each as one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Phone
from ztp_server.domain.site import Site
from ztp_server.errors import Refused
from ztp_server.services.address import ServerAddress
from ztp_server.services.job_kinds import StepKind
from ztp_server.services.lasting_proof import LET_IN
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.templates import Templates
from ztp_server.services.windows import Windows
from ztp_server.store import Session


class OpenWindowsKind(StepKind):
    """What its items say is how those phones will prove themselves later that nothing sure will prove."""

    name = "phones.open_windows"

    def __init__(self, templates: Templates, address: ServerAddress) -> None:
        self._templates = templates
        self._address = address

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        there = {phone.id: phone for phone in await session.phones.get_many([item.subject for item in items])}
        sites: dict[str, Site] = {}
        reason = " ".join(filter(None, (job.order["reason"], reason_of(job.id))))
        windows = Windows(session, self._templates.catalog, self._address, job.who, job.order["minutes"], reason)
        return [await self._opened(session, job, windows, sites, item, there.get(item.subject)) for item in items]

    async def _opened(
        self, session: Session, job: Job, windows: Windows, sites: dict[str, Site], item: JobItem, phone: Phone | None
    ) -> JobItem:
        if phone is None:
            return replace(item, state="refused", detail="was removed")
        try:
            # It may have been moved since the job was made.
            job.who.require(LET_IN, phone.site)
            if phone.site not in sites:
                sites[phone.site] = await session.sites.get(phone.site)
            _, running = await session.phones.get_running(phone.id)
            opened = await windows.open(phone, sites[phone.site], running)
        except Refused as error:  # before anything of it was written
            return replace(item, state="refused", detail=str(error))
        return replace(item, state="done", detail="; ".join(opened.warnings))
