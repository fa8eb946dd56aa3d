"""Restarts and re-syncs as jobs: phones told at a pace, and followed until they are seen again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.audit import AuditEntry
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Phone
from ztp_server.domain.told import Answer, Told
from ztp_server.errors import Damaged, Refused
from ztp_server.services.given_phones import still_registered
from ztp_server.services.job_kinds import PacedKind, Ready
from ztp_server.services.messenger import Messenger, Sent
from ztp_server.services.notify_plan import Action
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.registration_rollup import folded
from ztp_server.services.role_grants import as_of_now
from ztp_server.services.status import PhoneStatus
from ztp_server.store import Session
from ztp_server.store.seen_again import Seen

TELL = "phones:restart"
# Of the phones of a site, the part that is under way at once; at least one is.
SITE_PART = 10
# How long a phone that was told to restart counts as under way at its site, unless it is seen before.
_RESTART_HOLD = 15.0
_DONE = {"restart": "phone.restarted", "resync": "phone.resynced"}


class TellKind(PacedKind):
    """`order` holds `rate` (a second), `when`, `follow` (seconds), the selection; and `changed_only`: phones whose
    files are what they have are left alone; `were`: who was on some phones, by the ids of these, under whose lines they
    may still be registered."""

    def __init__(self, action: Action, messenger: Messenger, status: PhoneStatus) -> None:
        self.name = f"phones.{action}"
        self._action: Action = action
        self._messenger = messenger
        self._status = status

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    def per_second(self, order: Mapping[str, Any]) -> float:
        return float(order["rate"])

    async def ready(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[Ready | JobItem]:
        there = {phone.id: phone for phone in await session.phones.get_many([item.subject for item in items])}
        rooms: dict[str, int] = {}
        found: list[Ready | JobItem] = []
        # It may have been made long ago, and by somebody who may do less by now.
        now = await as_of_now(session, job.who)
        for item in items:
            try:
                found.append(await self._ready(session, (job, now), item, there.get(item.subject), rooms))
            except (Refused, Damaged) as error:
                found.append(replace(item, state="refused", detail=str(error)))
        return found

    async def send(self, ready: Ready) -> JobItem:
        sent_at = datetime.now(UTC)
        plan, is_news = ready.ticket
        sent = await self._messenger.send(plan, is_news=is_news)
        told = Told(sent_at, sent.way, _answer(sent), sent.code)
        return replace(ready.item, state="under_way" if sent.ok else "refused", detail=sent.detail, told=told)

    async def follow(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        now, most = datetime.now(UTC), timedelta(seconds=job.order["follow"])
        sent = {item.position: item.told.sent_at for item in items if item.told and item.told.sent_at}
        seen = await session.seen_again.since({item.subject: sent[item.position] for item in items})
        registered = await self._registered(session, items, seen)
        after = []
        for item in items:
            # One that was sent in times to come was so before the clock was set back: nobody waits for that.
            is_over = abs(now - sent[item.position]) >= most
            after.append(self._followed(item, seen, registered, is_over, job.order["follow"]))
        return [new for new, old in zip(after, items, strict=True) if new != old]

    async def note(self, session: Session, job: Job, items: Sequence[JobItem]) -> None:
        # What the server does by itself follows from a change, which has its record.
        if items and not job.order.get("changed_only"):
            reason = reason_of(job.id)
            entries = [AuditEntry(_DONE[self._action], _subject(i), {}, _after(i), reason) for i in items]
            await session.audit.add_all(job.who, entries)

    async def _ready(
        self, session: Session, made: tuple[Job, Actor], item: JobItem, phone: Phone | None, rooms: dict[str, int]
    ) -> Ready | JobItem:
        job, now = made
        if phone is None:
            return replace(item, state="refused", detail="was removed")
        # It may have been moved since the job was made.
        for who in (job.who, now):
            who.require(TELL, phone.site)
        is_changed = bool(job.order.get("changed_only"))
        if is_changed and await self._status.has_current_files(session, phone):
            return replace(item, state="unchanged")
        reached = await still_registered(session, phone, job.order.get("were", {}).get(phone.id, ""))
        plan = await self._messenger.plan(session, reached, self._action, when=job.order["when"])
        if phone.site not in rooms:
            rooms[phone.site] = await session.seen_again.phones_at(phone.site) // SITE_PART
        # Who is logged out and another in within a minute: the phone is to hear of both.
        ticket = plan, is_changed or "were" in job.order
        # A re-sync that costs something is a restart.
        hold = _RESTART_HOLD if self._action == "restart" or plan.cost else 0.0
        return Ready(item, phone.site, rooms[phone.site], ticket, hold)

    async def _registered(self, session: Session, items: Sequence[JobItem], seen: Seen) -> dict[str, datetime]:
        """When phones were first seen to register, with a server of their own: elsewhere a user of the same name is
        somebody else."""
        new = {item.subject for item in items if item.told and item.told.registered is None} & seen.registered.keys()
        own = await self._status.own_domains(session, new) if new else {}
        found: dict[str, datetime] = {}
        for name, domains in own.items():
            at = [at for domain, at in seen.registered[name].items() if folded(domain) in domains]
            if at:
                found[name] = min(at)
        return found

    def _followed(
        self, item: JobItem, seen: Seen, registered: Mapping[str, datetime], is_over: bool, most: int
    ) -> JobItem:
        told = item.told
        if told is None or told.sent_at is None:
            return item
        told = replace(
            told,
            fetched=_after_seconds(told.fetched, told.sent_at, seen.fetched.get(item.subject)),
            registered=_after_seconds(told.registered, told.sent_at, registered.get(item.subject)),
        )
        is_back = self._action == "resync" or told.registered is not None or item.subject not in seen.heard
        if (told.fetched is None or not is_back) and not is_over:
            return replace(item, told=told)
        said = [f"{verb} again after {seconds:.0f} s" for verb, seconds in _seen(told) if seconds is not None]
        if told.fetched is None:
            said.append(f"it has not asked for a file within {most} s")
        elif not is_back:
            said.append(f"it has not registered within {most} s")
        return replace(item, state="done", told=told, detail="; ".join([item.detail, *said]))


def _seen(told: Told) -> tuple[tuple[str, float | None], ...]:
    return ("fetched", told.fetched), ("registered", told.registered)


def _after_seconds(before: float | None, sent_at: datetime, at: datetime | None) -> float | None:
    if before is not None or at is None:
        return before
    return round((at - sent_at).total_seconds(), 1)


def _answer(sent: Sent) -> Answer:
    if sent.ok:
        return "answered"
    if sent.is_unsupported:
        return "not_supported"
    return "declined" if sent.reached else "not_reached"


def _after(item: JobItem) -> dict[str, Any]:
    told = item.told or Told()
    return {"way": told.way, "answer": told.answer, "code": told.code}


def _subject(item: JobItem) -> str:
    """The hardware ID, with which a label begins."""
    return item.label.partition(" ")[0] or item.subject
