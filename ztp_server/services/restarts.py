"""Phones restarted, or asked to look for their files again (re-sync): one or many, now or later, as a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ztp_server.domain.access import Actor
from ztp_server.domain.job import Job
from ztp_server.errors import BadValue, Damaged, Refused
from ztp_server.services.jobs import Jobs
from ztp_server.services.messenger import Messenger
from ztp_server.services.notify_plan import Action, When
from ztp_server.services.phone_checks import seen_phone
from ztp_server.services.phone_list import PhoneList
from ztp_server.services.phone_selection import Selection, items_of, select_phones
from ztp_server.services.tell_kind import TELL
from ztp_server.services.templates import Templates
from ztp_server.store import Session, Store
from ztp_server.store.phone_targets import Target

# More phones than these are told only when somebody named their number.
UNCONFIRMED = 50
MOST_A_SECOND = 50
FOLLOW_SECONDS = 180
_LONGEST_FOLLOW = 3600
_FARTHEST = timedelta(days=366)
# How many phones a preview plans while somebody waits for it, and how many of the refused it names.
MOST_PLANNED = 2000
_MOST_NAMED = 100


@dataclass(frozen=True)
class Telling:
    """How phones are told: at once or (`idle`) when their calls have ended, so many a second, within a time (None: from
    now on, and for as long as it takes). Each is followed for so many seconds afterwards."""

    when: When = "now"
    rate: float = 5.0
    follow: int = FOLLOW_SECONDS
    not_before: datetime | None = None
    not_after: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raises BadValue naming the field."""
        if self.when not in ("now", "idle"):
            raise BadValue("when", "must be now or idle")
        if not 1 <= self.rate <= MOST_A_SECOND:
            raise BadValue("rate", f"must be 1 to {MOST_A_SECOND} phones a second")
        if not 0 <= self.follow <= _LONGEST_FOLLOW:
            raise BadValue("follow", f"must be 0 to {_LONGEST_FOLLOW} seconds")
        for name in ("not_before", "not_after"):
            at = getattr(self, name)
            if at and at > now + _FARTHEST:
                raise BadValue(name, "is more than a year away")
        if self.not_after and self.not_after <= max(now, self.not_before or now):
            raise BadValue("not_after", "must lie in the future, and after not_before")


@dataclass(frozen=True)
class TellPreview:
    """Of `phones` meant, the first `planned` were looked at: so many would be told by each way, `refused` would not.
    `refusals` names the first of these (a label and why). `costs` are what people should know before."""

    phones: int
    planned: int
    ways: Mapping[str, int] = field(default_factory=dict)
    refused: int = 0
    refusals: Sequence[tuple[str, str, str]] = ()
    costs: Sequence[str] = ()


class Restarts:
    """All of it needs the permission phones:restart at the site of every phone named; a filter finds phones at sites
    where it is held."""

    def __init__(
        self, store: Store, templates: Templates, jobs: Jobs, phone_list: PhoneList, messenger: Messenger
    ) -> None:
        self._store = store
        self._templates = templates
        self._jobs = jobs
        self._list = phone_list
        self._messenger = messenger

    async def tell(self, who: Actor, action: Action, phone: str, telling: Telling, *, run_here: bool = False) -> Job:
        """Restart or re-sync one phone, by its id or hardware ID. Raises BadValue, NotFound, Forbidden."""
        async with self._store.read() as session:
            found = await seen_phone(session, who, phone)
        return await self.tell_many(who, action, Selection((found.id,)), telling, run_here=run_here)

    async def tell_many(
        self, who: Actor, action: Action, selection: Selection, telling: Telling, *,
        confirm: str = "", run_here: bool = False,
    ) -> Job:  # fmt: skip
        """Restart or re-sync phones; more than UNCONFIRMED only when `confirm` is their number, and never when it is
        another. Raises BadValue naming the field, Forbidden, Conflict."""
        telling.check(datetime.now(UTC))
        async with self._store.read() as session:
            found = await self._select(session, who, selection)
        confirm = confirm.strip()
        if (confirm or len(found) > UNCONFIRMED) and confirm != str(len(found)):
            raise BadValue(
                "confirm", f'this is about {len(found)} phones; confirm with "{len(found)}" if that is meant'
            )
        order = {"when": telling.when, "rate": telling.rate, "follow": telling.follow, **selection.shown}
        return await self._jobs.submit(
            *(who, f"phones.{action}", order, items_of(spread(found))),
            run_here=run_here,
            not_before=telling.not_before,
            not_after=telling.not_after,
        )

    async def preview(self, who: Actor, action: Action, selection: Selection, telling: Telling) -> TellPreview:
        """What `tell_many` would do; sends nothing."""
        telling.check(datetime.now(UTC))
        ways: Counter[str] = Counter()
        refusals: list[tuple[str, str, str]] = []
        costs: dict[str, None] = {}
        async with self._store.read() as session:
            found = await self._select(session, who, selection)
            planned = found[:MOST_PLANNED]
            phones = {phone.id: phone for phone in await session.phones.get_many([target.id for target in planned])}
            for target in planned:
                try:
                    plan = await self._messenger.plan(session, phones[target.id], action, when=telling.when)
                except (Refused, Damaged) as error:
                    refusals.append((target.id, target.label, str(error)))
                    continue
                ways[plan.tries[0].name] += 1
                if plan.cost:
                    costs[plan.cost] = None
        return TellPreview(
            len(found), len(planned), dict(ways.most_common()), len(refusals), refusals[:_MOST_NAMED], list(costs)
        )

    async def count(self, who: Actor, selection: Selection) -> int:
        """How many phones are meant. Raises as `tell_many`."""
        async with self._store.read() as session:
            return len(await self._select(session, who, selection))

    async def _select(self, session: Session, who: Actor, selection: Selection) -> list[Target]:
        return await select_phones(session, self._list, self._templates.catalog, who, TELL, selection)


def spread(found: Sequence[Target]) -> list[Target]:
    """The same phones in an order in which those of each site stand evenly apart: no site is told all at once while
    the others wait."""
    counts = Counter(target.site for target in found)
    seen: Counter[str] = Counter()
    keys: list[tuple[float, int]] = []
    for number, target in enumerate(found):
        keys.append(((seen[target.site] + 0.5) / counts[target.site], number))
        seen[target.site] += 1
    return [found[number] for _, number in sorted(keys)]


def preview_view(preview: TellPreview) -> dict[str, Any]:
    """A preview as doors show it."""
    return {
        "phones": preview.phones,
        "planned": preview.planned,
        "ways": dict(preview.ways),
        "refused": preview.refused,
        "refusals": [{"id": own_id, "label": label, "reason": why} for own_id, label, why in preview.refusals],
        "costs": list(preview.costs),
    }
