"""Many phones removed, each as one is: kept for a while, and brought back by an undo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Phone
from ztp_server.errors import Conflict, Forbidden, NotFound, Refused
from ztp_server.services.job_kinds import StepKind
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.removed_phones import remove_phones, restore_phones
from ztp_server.services.templates import Templates
from ztp_server.store import Session


class RemoveKind(StepKind):
    name = "phones.remove"
    undoable = True

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        there = {phone.id: phone for phone in await session.phones.get_many([item.subject for item in items])}
        results: list[JobItem] = []
        gone: list[Phone] = []
        for item in items:
            phone = there.get(item.subject)
            if phone is None:
                results.append(replace(item, state="unchanged", detail="was removed already"))
            elif not job.who.may("phones:delete", phone.site):
                # It was moved since the job was made.
                results.append(replace(item, state="refused", detail=str(Forbidden("phones:delete", phone.site))))
            else:
                gone.append(phone)
                results.append(replace(item, state="done", undo={"revision": phone.revision}))
        if gone:
            await remove_phones(session, self._templates.catalog.settings, job.who, gone, reason_of(job.id))
        return results

    async def take_back(
        self, session: Session, job: Job, items: Sequence[JobItem], undo: Mapping[int, Mapping[str, Any]]
    ) -> list[JobItem]:
        gone = {phone.id: phone for phone in await session.removed_phones.get_many([item.subject for item in items])}
        results: list[JobItem] = []
        for item in items:
            try:
                await self._restore(session, job, gone.get(item.subject), undo.get(item.position))
            except Refused as error:
                results.append(replace(item, state="refused", detail=str(error)))
            else:
                results.append(replace(item, state="done"))
        return results

    async def _restore(self, session: Session, job: Job, phone: Phone | None, undo: Mapping[str, Any] | None) -> None:
        if phone is None:
            raise NotFound("was brought back already, or was removed too long ago")
        if undo is None or phone.revision != undo["revision"]:
            raise Conflict("changed since")
        await restore_phones(session, self._templates, job.who, [phone], reason_of(job.id, job.undoes))
