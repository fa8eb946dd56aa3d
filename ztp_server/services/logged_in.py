"""Who is logged in on phones: users logged out and in by administrators, on one phone or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Phone
from ztp_server.errors import BadValue, Conflict, NotFound, Refused
from ztp_server.services.belief import require_to_lend
from ztp_server.services.edits import checked_reason
from ztp_server.services.job_kinds import StepKind
from ztp_server.services.jobs import Jobs
from ztp_server.services.log_in import Turn, check_borrowed, logged_out, logging_in, write_turns
from ztp_server.services.phone_batch import reason_of
from ztp_server.services.phone_checks import seen_phone
from ztp_server.services.phone_list import PhoneList
from ztp_server.services.phone_selection import Selection, items_of, select_phones
from ztp_server.services.restarts import FOLLOW_SECONDS, spread
from ztp_server.services.templates import Templates
from ztp_server.services.written_phone import Written
from ztp_server.store import Session, Store

LOG_OUT = "phones:restart"
RESYNC = "phones.resync"
PER_SECOND = 5
# A job that has so many phones is given no more.
MOST_TOGETHER = 1000
# It hands a user's passwords to a phone.
LOG_IN = "phones:edit"


class Asking:
    """Phones asked to look for their files, once somebody was logged out of them or in: as a job, if there is a SIP
    platform by way of which they are reached. Else they learn of it at their next poll or boot."""

    def __init__(self) -> None:
        # The service of jobs is made of their kinds.
        self.jobs: Jobs | None = None

    async def ask(self, session: Session, who: Actor, turns: Sequence[Turn]) -> None:
        """Within the transaction of the change."""
        pairs = [pair for turn in turns for pair in turn.pairs if pair[0] != pair[1] and pair[1].proofs != ()]
        ids = [after.id for _, after in pairs if who.may(LOG_OUT, after.site)]
        if self.jobs is None or not ids or not await session.platforms.all():
            return
        were = {before.id: before.borrows_from for before, _ in pairs if before.borrows_from}
        waiting = await _not_begun(session, who)
        if waiting:
            # A phone is looked at right before it is asked; where it is registered, it was before the first change.
            known = {item.subject for item in await session.jobs.items(waiting.id, limit=waiting.total)}
            ids = [phone_id for phone_id in ids if phone_id not in known]
            were |= waiting.order["were"]
        items = items_of(spread(await session.phone_targets.of_ids(ids)))
        if waiting:
            await session.jobs.extend(replace(waiting, order={**waiting.order, "were": were}), items)
            return
        order = {"when": "now", "rate": PER_SECOND, "follow": FOLLOW_SECONDS, "were": were}
        await self.jobs.submit_in(session, who, RESYNC, order, items)


async def _not_begun(session: Session, who: Actor) -> Job | None:
    """The last job of this kind that somebody made here, if nobody began with it and it is not too long. A job of many
    is done in steps, and would make as many jobs as it has steps."""
    for job in await session.jobs.page(actor=who.name[:255], kind=RESYNC, limit=1):
        is_new = job.state == "queued" and not job.stop and job.started_at is None and "were" in job.order
        if is_new and job.total < MOST_TOGETHER and set(job.who.grants) == set(who.grants):
            return job
    return None


class LoggedIn:
    def __init__(self, store: Store, templates: Templates, jobs: Jobs, phone_list: PhoneList, asking: Asking) -> None:
        self._asking = asking
        self._store = store
        self._templates = templates
        self._jobs = jobs
        self._list = phone_list

    async def log_out(self, who: Actor, text: str, reason: str = "") -> Written:
        """Take the user off a managed phone: its files are made with the profile that its site has for that, at once.
        Raises BadValue for what is neither id nor hardware ID, NotFound, Forbidden and Conflict."""
        reason = checked_reason(reason)
        async with self._store.write() as session:
            before = await seen_phone(session, who, text)
            who.require(LOG_OUT, before.site)
            return await self._turned(session, who, Turn([(before, logged_out(before))]), reason)

    async def log_in(self, who: Actor, text: str, user: str = "", reason: str = "") -> Written:
        """Put a user on a managed phone: its own again, or on a hot desk this one, who is logged out wherever else they
        are (said in `warnings`). Raises BadValue for the user, NotFound, Forbidden and Conflict."""
        reason = checked_reason(reason)
        async with self._store.write() as session:
            before = await seen_phone(session, who, text)
            who.require(LOG_IN, before.site)
            if user and await session.phones.extension_of(user) is None:
                raise BadValue("user", f"no user {user[:64]}")
            return await self._turned(session, who, await logging_in(session, who, before, user), reason)

    async def log_out_many(self, who: Actor, selection: Selection, reason: str = "", *, run_here: bool = False) -> Job:
        """Log users out of many phones, as a job that can be undone. Raises BadValue, Forbidden, Conflict."""
        order = {"reason": checked_reason(reason)}
        async with self._store.read() as session:
            found = await select_phones(session, self._list, self._templates.catalog, who, LOG_OUT, selection)
        return await self._jobs.submit(
            who, LogOutKind.name, {**order, **selection.shown}, items_of(found), run_here=run_here
        )

    async def _turned(self, session: Session, who: Actor, turn: Turn, reason: str) -> Written:
        catalog = self._templates.catalog
        for before, after in turn.pairs:
            require_to_lend(who, before, after)
            if before != after:
                await check_borrowed(session, catalog, after)
        await write_turns(session, catalog, who, [turn], reason)
        await self._asking.ask(session, who, [turn])
        before, after = turn.pairs[0]
        return Written(await session.phones.get_any(after.id) if after != before else before, turn.said)


class LogOutKind(StepKind):
    """A phone that has lines and belongs to nobody, such as one in a lobby, is not meant when many are."""

    name = "phones.log_out"
    undoable = True

    def __init__(self, templates: Templates, asking: Asking) -> None:
        self._templates = templates
        self._asking = asking

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def step(self, session: Session, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        there = {phone.id: phone for phone in await session.phones.get_many([item.subject for item in items])}
        results, turns = list[JobItem](), list[Turn]()
        for item in items:
            before = there.get(item.subject)
            try:
                result, turn = await self._logged_out(session, job.who, item, before)
            except Refused as error:
                result, turn = replace(item, state="refused", detail=str(error)), None
            results.append(result)
            turns += [turn] if turn else []
        reason = " ".join(filter(None, (job.order["reason"], reason_of(job.id))))
        await write_turns(session, self._templates.catalog, job.who, turns, reason)
        await self._asking.ask(session, job.who, turns)
        return results

    async def take_back(
        self, session: Session, job: Job, items: Sequence[JobItem], undo: Mapping[int, Mapping[str, Any]]
    ) -> list[JobItem]:
        there = {phone.id: phone for phone in await session.phones.get_many([item.subject for item in items])}
        results, turns = list[JobItem](), list[Turn]()
        for item in items:
            try:
                turn = await self._logged_in(session, job.who, there.get(item.subject), undo.get(item.position))
            except Refused as error:
                results.append(replace(item, state="refused", detail=str(error)))
                continue
            # One after the other: who is logged in by one of them is logged in for the next.
            reason = reason_of(job.id, job.undoes)
            await write_turns(session, self._templates.catalog, job.who, [turn], reason)
            results.append(replace(item, state="done"))
            turns.append(turn)
        await self._asking.ask(session, job.who, turns)
        return results

    async def _logged_out(
        self, session: Session, who: Actor, item: JobItem, before: Phone | None
    ) -> tuple[JobItem, Turn | None]:
        if before is None:
            raise NotFound("was removed meanwhile")
        who.require(LOG_OUT, before.site)
        after = logged_out(before)
        if after == before:
            return replace(item, state="unchanged", detail="nobody was logged in"), None
        if not before.user:
            return replace(item, state="unchanged", detail="it belongs to nobody: log out of it by itself"), None
        await check_borrowed(session, self._templates.catalog, after)
        undo = {"user": before.user, "revision": before.revision + 1}
        return replace(item, state="done", undo=undo), Turn([(before, after)])

    async def _logged_in(
        self, session: Session, who: Actor, phone: Phone | None, undo: Mapping[str, Any] | None
    ) -> Turn:
        if phone is None:
            raise NotFound("was removed meanwhile")
        if undo is None:
            raise Conflict("was undone meanwhile")
        if phone.revision != undo["revision"]:
            raise Conflict("changed since")
        who.require(LOG_IN, phone.site)
        if await session.phones.extension_of(undo["user"]) is None:
            raise Conflict(f"user {undo['user']} was removed")
        turn = await logging_in(session, who, phone, undo["user"])
        if len(turn.pairs) > 1:
            raise Conflict(f"user {undo['user']} is logged in on another phone by now")
        await check_borrowed(session, self._templates.catalog, turn.pairs[0][1])
        return turn
