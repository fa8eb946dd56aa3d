"""Phones that can be told something without a network: they answer as a test says, and are seen again when it says."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.conftest import ADMIN, sample_phone
from ztp_server.domain.event import CheckIn
from ztp_server.domain.job import Job, JobItem
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.platform import Platform
from ztp_server.domain.registration import Contact, RollUp
from ztp_server.errors import Refused
from ztp_server.services.messenger import Sent
from ztp_server.services.notify_plan import Plan
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import Selection, parse_selection
from ztp_server.store.registrations import Kept, Told

PATIENCE = 60
OK = Sent(True, "check-sync", "200 OK", True, 200)
UNSUPPORTED = Sent(False, "check-sync", "489 Bad Event", True, 489, is_unsupported=True)


@dataclass(frozen=True)
class Way:
    """How a phone is told."""

    name: str = "check-sync"

    @property
    def says(self) -> str:
        return self.name


@dataclass
class Messages:
    """In place of a Messenger. `sent` are the hardware IDs in the order in which they were told (`news`: again within a
    minute), `answers` what some of them answer instead of 200, `refusals` why some cannot be told.
    While `held` is set, nobody answers."""

    answers: dict[str, Sent] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    under_way: Counter[str] = field(default_factory=Counter)
    most_under_way: Counter[str] = field(default_factory=Counter)
    held: asyncio.Event | None = None
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    before_answer: Callable[[str], Any] = lambda _mac: None
    # What a re-sync costs: a phone that it restarts.
    cost: str = ""

    async def plan(self, _session: Any, phone: Phone, action: Any, *, when: Any = "now") -> Plan:
        if phone.hardware_id in self.refusals:
            raise Refused(self.refusals[phone.hardware_id])
        cost = self.cost or ("it drops calls" if action == "restart" else "")
        return Plan(phone.id, phone.hardware_id, phone.site, action, when, (Way(),), cost=cost)  # type: ignore[arg-type]

    async def send(self, plan: Plan, *, is_news: bool = False) -> Sent:
        self.sent.append(plan.hardware_id)
        self.news += [plan.hardware_id] if is_news else []
        self.heard.set()
        self.under_way[plan.site] += 1
        self.most_under_way[plan.site] = max(self.most_under_way[plan.site], self.under_way[plan.site])
        try:
            if self.held:
                await self.held.wait()
            self.before_answer(plan.hardware_id)
        finally:
            self.under_way[plan.site] -= 1
        return self.answers.get(plan.hardware_id, OK)


def told_by(services: Services, messages: Messages) -> Messages:
    """Let all jobs of these services tell phones so."""
    for name in ("phones.restart", "phones.resync"):
        services.job_runner._kinds[name]._messenger = messages  # type: ignore[attr-defined]
    services.restarts._messenger = messages  # type: ignore[assignment]
    return messages


async def add_phones(services: Services, count: int, site: str = "madrid", first: int = 0) -> list[str]:
    """So many phones with a line each; returns their hardware IDs."""
    macs = [f"0004f3{number:06x}" for number in range(first, first + count)]
    async with services.store.write() as session:
        await session.phones.add(
            [sample_phone(mac, name=f"P {mac}", site=site, lines=(Line(f"u{mac}"),), line_keys=()) for mac in macs]
        )
    return macs


async def fetches(services: Services, *macs: str) -> None:
    """These phones ask for a file now."""
    async with services.store.write() as session:
        rows = [CheckIn(mac, f"{mac}.cfg", datetime.now(UTC), 200, "e", "192.0.2.9", "network", "") for mac in macs]
        await session.check_ins.note(rows)


async def registers(services: Services, mac: str, platform: str = "pbx", domain: str = "sip.example.net") -> None:
    """The first line of a phone registers now; at another domain than its own it is somebody else with that name."""
    now = datetime.now(UTC)
    async with services.store.write() as session:
        if not any(known.id == platform for known in await session.platforms.all()):
            await session.platforms.add(Platform(platform, "", ("sip.example.net",), source="reg_event"))
        phone = await session.phones.get(mac)
        contact = Contact("sip:u@192.0.2.9", "udp", "", None, "")
        user = phone.lines[0].user
        await session.registrations.keep([Told(platform, user, domain, (contact,))], now)
        await session.registrations.keep_rolled_up({phone.id: Kept(RollUp("online", "", platform), now)})


async def until(holds: Callable[[], Any]) -> None:
    """Wait for something that happens by itself; `holds` may be asynchronous."""
    async with asyncio.timeout(PATIENCE):
        while not (await found if inspect.isawaitable(found := holds()) else found):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)


def named(*macs: str) -> Selection:
    return parse_selection(macs, None)


async def items(services: Services, job: Job, state: str = "") -> dict[str, JobItem]:
    """What became of each phone, by its hardware ID."""
    found = await services.jobs.items(ADMIN, job.id, limit=1000, state=state)
    return {item.label.split()[0]: item for item in found}
