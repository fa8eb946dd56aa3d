"""Jobs that speak to the network: paced, stopped, within a time, going on after a process is gone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX
from tests.services.told_phones import PATIENCE, Messages, add_phones, fetches, items, named, told_by, until
from ztp_server.domain.access import Actor
from ztp_server.domain.account import RoleGrant
from ztp_server.domain.job import Job
from ztp_server.errors import StoreUnavailable
from ztp_server.services.job_runner import PACED_AT_ONCE, PACED_OF_ONE, JobRunner
from ztp_server.services.opening import Services
from ztp_server.services.pace import Pace, Places
from ztp_server.services.phone_selection import Selection, parse_selection
from ztp_server.services.restarts import Telling, spread
from ztp_server.store.phone_targets import Target
from ztp_server.store.schema_access import jobs

ALL = parse_selection(None, {})
FAST = Telling(rate=50, follow=0)


@pytest.fixture
async def messages(office: Services) -> Messages:
    return told_by(office, Messages())


async def told(services: Services, selection: Selection = ALL, telling: Telling = FAST, action: Any = "restart") -> Job:
    job = await services.restarts.tell_many(ADMIN, action, selection, telling)
    return await services.job_runner.run(job.id)


async def test_a_stop_leaves_the_others_for_a_resume(office: Services, messages: Messages) -> None:
    await add_phones(office, 60)
    messages.held = asyncio.Event()  # nobody answers
    job = await office.restarts.tell_many(ADMIN, "resync", ALL, FAST, confirm="63")
    running = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    await office.jobs.stop(ADMIN, job.id)
    stopped = await asyncio.wait_for(running, PATIENCE)
    begun = set(messages.sent)
    found = await items(office, job, "refused")
    assert stopped.state == "stopped" and set(found) == begun and 0 < len(begun) < 63
    assert {item.detail for item in found.values()} == {"not known: the job was stopped while it was sent"}
    assert {item.told.answer for item in found.values() if item.told} == {"not_known"}
    assert len(await items(office, job, "pending")) == 63 - len(begun)
    messages.held.set()
    again = await office.jobs.resume(ADMIN, job.id)
    ended = await office.job_runner.run(again.id)
    assert ended.state == "done" and ended.done == ended.total == 63
    assert len(messages.sent) == len(set(messages.sent)) == 63


async def test_what_was_answered_before_a_stop_is_done(office: Services, messages: Messages) -> None:
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), replace(FAST, follow=600))
    running = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    await office.jobs.stop(ADMIN, job.id)
    ended = await asyncio.wait_for(running, PATIENCE)
    item = (await items(office, job))[VVX]
    assert (ended.state, ended.summary, item.state) == ("stopped", {"done": 1}, "done")
    assert item.detail == "200 OK; the job was stopped while it was followed"


async def test_a_server_that_stops_leaves_what_it_followed_to_the_next(office: Services, messages: Messages) -> None:
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), replace(FAST, follow=600))
    first = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    item = (await items(office, job))[VVX]
    assert item.state == "under_way" and item.told and item.told.answer == "answered"
    await fetches(office, VVX)
    other = JobRunner(office.store, office.job_runner._kinds)
    ended = await asyncio.wait_for(other.run(job.id), PATIENCE)
    assert ended.summary == {"done": 1} and messages.sent == [VVX]


async def test_a_phone_of_a_killed_server_is_not_told_twice(office: Services, messages: Messages) -> None:
    """It was claimed, and nobody knows whether it was sent."""
    job = await office.restarts.tell_many(ADMIN, "restart", ALL, FAST)
    async with office.store.write() as session:
        await session.jobs.take(job.id, "a process that is gone", 10)
        await session.paced_items.claim(job.id, [2])
        await session.jobs._connection.execute(sa.update(jobs).values(lease_until=None))
    lost = (await office.jobs.items(ADMIN, job.id, state="under_way"))[0].label.split()[0]
    ended = await office.job_runner.run(job.id)
    found = await items(office, job)
    assert ended.summary == {"done": 2, "refused": 1} and lost not in messages.sent and len(messages.sent) == 2
    assert found[lost].detail == "not known: the server stopped while it was sent"
    async with office.store.read() as session:
        records = await session.audit.page(below=None, limit=10, action="phone.restarted")
    assert {record.subject: record.after["answer"] for record in records}[lost] == "not_known"


async def test_a_job_of_a_killed_server_that_is_stopped_settles_what_was_under_way(
    office: Services, messages: Messages
) -> None:
    job = await office.restarts.tell_many(ADMIN, "restart", ALL, FAST)
    async with office.store.write() as session:
        await session.paced_items.claim(job.id, [1])
    stopped = await office.jobs.stop(ADMIN, job.id)
    assert (stopped.state, stopped.summary, stopped.failed) == ("stopped", {"refused": 1}, 1)
    assert len(await items(office, job, "pending")) == 2


async def test_a_database_that_is_away_for_a_moment_loses_nothing(
    office: Services, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, failures = type(office.job_runner).mine, iter([False, True, True])

    async def mine(self: Any, session: Any, job_id: str) -> Any:
        if next(failures, False):
            raise StoreUnavailable("locked")
        return await keep(self, session, job_id)

    monkeypatch.setattr(JobRunner, "mine", mine)
    job = await told(office)
    assert job.summary == {"done": 3} and sorted(messages.sent) == sorted([VVX, OTHER_VVX, HD400])


async def test_the_first_phones_of_a_job_do_not_wait_for_those_of_another(office: Services, messages: Messages) -> None:
    """A server runs several at once, and an import beside them."""
    messages.held = asyncio.Event()
    await office.restarts.tell_many(ADMIN, "restart", named(VVX), FAST)
    await office.restarts.tell_many(ADMIN, "resync", named(OTHER_VVX), FAST)
    edit = await office.phone_bulk.edit(ADMIN, named(HD400), {"settings": {"rtp_port_start": 5000}})
    server = asyncio.create_task(office.job_runner.run_forever())
    await until(lambda: sorted(messages.sent) == sorted([VVX, OTHER_VVX]))

    async def have_ended(*wanted: str) -> bool:
        return all(found.ended for found in await office.jobs.page(ADMIN) if not wanted or found.id in wanted)

    await until(lambda: have_ended(edit.id))
    messages.held.set()
    await until(have_ended)
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def test_nobody_takes_all_the_places_with_many_jobs(office: Services, messages: Messages) -> None:
    macs = await add_phones(office, PACED_AT_ONCE)
    messages.held = asyncio.Event()  # nobody answers
    for mac in macs:
        await office.restarts.tell_many(ADMIN, "restart", named(mac), FAST)
    await office.restarts.tell_many(Actor.trusted("local:bob"), "resync", named(VVX), FAST)
    server = asyncio.create_task(office.job_runner.run_forever())
    await until(lambda: VVX in messages.sent)
    assert len(office.job_runner._running) == PACED_OF_ONE + 1
    messages.held.set()

    async def have_ended() -> bool:
        return all(found.ended for found in await office.jobs.page(ADMIN))

    await until(have_ended)
    assert sorted(messages.sent) == sorted([*macs, VVX])
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def test_a_site_is_never_told_all_at_once(office: Services, messages: Messages) -> None:
    """Of thirty phones, three are under way; of the others at small sites, one."""
    await office.sites.add(ADMIN, "oslo", "Oslo", {})
    await add_phones(office, 27)
    few = await add_phones(office, 4, "oslo", first=100)
    messages.held = asyncio.Event()
    job = await office.restarts.tell_many(ADMIN, "resync", ALL, FAST)
    running = asyncio.create_task(office.job_runner.run(job.id))
    await until(lambda: len(messages.sent) == 4)
    messages.held.set()
    ended = await asyncio.wait_for(running, PATIENCE)
    assert ended.summary == {"done": 34} and set(few) < set(messages.sent)
    assert messages.most_under_way == {"madrid": 3, "oslo": 1}


@pytest.mark.parametrize("action", ["restart", "resync"])  # which costs phones their calls here: it restarts them
async def test_a_phone_that_restarts_holds_its_place_until_it_is_seen(
    office: Services, messages: Messages, action: Any
) -> None:
    messages.cost = "it restarts them"
    job = await office.restarts.tell_many(ADMIN, action, named(VVX, OTHER_VVX), replace(FAST, follow=600))
    running = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    first = messages.sent[0]
    await until(lambda: _is_followed(office, job, first))
    assert messages.sent == [first]
    await fetches(office, first)
    await until(lambda: len(messages.sent) == 2)
    async with office.store.read() as session:
        seen = await session.seen_again.since({})
    assert seen.fetched == {}
    await until(lambda: _is_done(office, job, first))
    await fetches(office, VVX, OTHER_VVX)
    await asyncio.wait_for(running, PATIENCE)


async def _is_done(services: Services, job: Job, mac: str) -> bool:
    return (await items(services, job))[mac].state == "done"


async def _is_followed(services: Services, job: Job, mac: str) -> bool:
    return (await items(services, job))[mac].told is not None


async def test_a_job_waits_for_its_time(office: Services, messages: Messages) -> None:
    later = replace(FAST, not_before=datetime.now(UTC) + timedelta(hours=1))
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), later, run_here=True)
    assert job.state == "queued" and not await office.job_runner.try_to_run(job.id)
    async with office.store.write() as session:
        assert await session.jobs.waiting() is None
        past = datetime.now(UTC) - timedelta(seconds=1)
        await session.jobs._connection.execute(sa.update(jobs).values(not_before=past))
        assert await session.jobs.waiting() == job.id
    assert (await office.job_runner.run(job.id)).summary == {"done": 1}


async def test_a_job_does_no_more_than_who_made_it_may_do_by_now(office: Services, messages: Messages) -> None:
    """It may have waited for its time for months: tokens are revoked meanwhile, and people given less."""
    actors = {}
    for name, role in (("gone", "operator"), ("less", "operator"), ("same", "operator")):
        text, token = await office.tokens.create(ADMIN, name, [RoleGrant(role)])
        actors[name] = token, await office.tokens.authenticate(text, "")
    made = {}
    for name, (_, who) in actors.items():
        assert who
        made[name] = await office.restarts.tell_many(who, "restart", named(VVX, OTHER_VVX), FAST)
    await office.tokens.revoke(ADMIN, "gone")
    async with office.store.write() as session:
        await session.roles.give(f"token:{actors['less'][0].id}", [RoleGrant("viewer")])
    for name in ("gone", "less"):
        ended = await office.job_runner.run(made[name].id)
        assert ended.summary == {"refused": 2} and messages.sent == [], name
    found = await items(office, made["gone"])
    assert "phones:restart" in found[VVX].detail
    assert (await office.job_runner.run(made["same"].id)).summary == {"done": 2}
    assert sorted(messages.sent) == sorted([VVX, OTHER_VVX])


async def test_what_is_left_when_its_time_is_over_is_refused(office: Services, messages: Messages) -> None:
    soon = replace(FAST, not_after=datetime.now(UTC) + timedelta(hours=1))
    job = await office.restarts.tell_many(ADMIN, "restart", ALL, soon)
    async with office.store.write() as session:
        past = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        await session.jobs._connection.execute(sa.update(jobs).values(not_after=past))
    ended = await office.job_runner.run(job.id)
    assert (ended.state, ended.summary, ended.failed, messages.sent) == ("done", {"refused": 3}, 3, [])
    assert {item.detail for item in (await items(office, job)).values()} == {
        "its time was over: it was to be done by 2026-01-02 03:04:05 UTC"
    }


def test_the_pace_is_kept_at_the_mean_and_never_even() -> None:
    pace, sent = Pace(5, 0.0, random.Random(1)), []
    now = 0.0
    while now < 1000:
        now = max(now + 0.003, pace.due)  # a loop that is late by some milliseconds
        sent.append(now)
        pace.taken(now)
    gaps = [b - a for a, b in pairwise(sent)]
    assert len(sent) == pytest.approx(5000, rel=0.01)
    assert min(gaps) < 0.12 and max(gaps) > 0.28 and max(gaps) < 0.31


def test_a_pause_is_not_made_up_for_in_a_burst() -> None:
    pace = Pace(10, 0.0, random.Random(1))
    pace.taken(0.0)
    at_once = 0
    while pace.due <= 3600:
        pace.taken(3600.0)
        at_once += 1
    assert at_once <= 16


def test_a_place_has_room_for_one_at_least_and_is_freed_once() -> None:
    places = Places()
    assert places.has_room("a", 0)
    places.take(1, "a")
    assert not places.has_room("a", 0) and places.has_room("a", 2) and places.has_room("b", 0)
    places.release(1)
    places.release(1)
    places.take(2, "a")
    assert not places.has_room("a", 1)


def test_the_phones_of_each_site_stand_evenly_apart() -> None:
    found = [Target(f"{site}{n}", "", "", site) for site, count in (("a", 6), ("b", 3)) for n in range(count)]
    sites = [target.site for target in spread(found)]
    assert [sites[start : start + 3].count("b") for start in (0, 3, 6)] == [1, 1, 1]
    assert sorted(spread(found)) == sorted(found)
