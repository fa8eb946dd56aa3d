"""Phones restarted and re-synced: what became of each, who may, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, OTHER_VVX, VVX
from tests.services.told_phones import (
    PATIENCE,
    UNSUPPORTED,
    Messages,
    add_phones,
    fetches,
    items,
    named,
    registers,
    told_by,
    until,
)
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.job import Job
from ztp_server.domain.told import Told
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound
from ztp_server.services.messenger import Sent
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import Selection, parse_selection
from ztp_server.services.restarts import Telling

ALL = parse_selection(None, {})
FAST = Telling(rate=50, follow=0)


@pytest.fixture
async def messages(office: Services) -> Messages:
    return told_by(office, Messages())


async def told(services: Services, selection: Selection = ALL, telling: Telling = FAST, action: Any = "restart") -> Job:
    job = await services.restarts.tell_many(ADMIN, action, selection, telling)
    return await services.job_runner.run(job.id)


async def test_every_phone_has_its_outcome_in_words_and_for_programs(office: Services, messages: Messages) -> None:
    messages.refusals[HD400] = "its platform is not known"
    messages.answers[OTHER_VVX] = UNSUPPORTED
    job = await told(office)
    found = await items(office, job)
    assert (job.state, job.total, job.done, job.failed) == ("done", 3, 3, 2)
    assert job.summary == {"done": 1, "refused": 2}
    assert sorted(messages.sent) == sorted([VVX, OTHER_VVX])
    assert found[HD400].detail == "its platform is not known" and found[HD400].told is None
    unsupported = found[OTHER_VVX].told
    assert unsupported and (unsupported.answer, unsupported.code) == ("not_supported", 489)
    answered = found[VVX].told
    assert answered and (answered.answer, answered.code, answered.way) == ("answered", 200, "check-sync")
    assert answered.sent_at and answered.fetched is None and answered.registered is None
    assert found[VVX].detail == "200 OK; it has not asked for a file within 0 s"
    assert found[VVX].label == f"{VVX} {HOSTILE_NAME}"


async def test_each_phone_that_was_told_has_an_audit_record(office: Services, messages: Messages) -> None:
    messages.refusals[HD400] = "no way known"
    job = await told(office, action="resync")
    async with office.store.read() as session:
        records = await session.audit.page(below=None, limit=10, action="phone.resynced")
        assert not (await session.audit.verify()).broken
    assert sorted(record.subject for record in records) == sorted([VVX, OTHER_VVX])
    assert {record.reason for record in records} == {f"job {job.id}"}
    assert all(record.after == {"way": "check-sync", "answer": "answered", "code": 200} for record in records)


async def test_a_phone_is_followed_until_it_fetched_and_registered_again(office: Services, messages: Messages) -> None:
    await registers(office, VVX)
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), replace(FAST, follow=600))
    running = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    await fetches(office, VVX)

    async def has_fetched() -> bool:
        item = (await items(office, job))[VVX]
        return item.told is not None and item.told.fetched is not None

    await until(has_fetched)
    item = (await items(office, job))[VVX]
    assert (item.state, item.detail) == ("under_way", "200 OK") and item.told and item.told.registered is None
    assert (await office.jobs.get(ADMIN, job.id)).summary == {"under_way": 1}
    await registers(office, VVX)
    ended = await asyncio.wait_for(running, PATIENCE)
    item = (await items(office, job))[VVX]
    assert ended.summary == {"done": 1} and item.state == "done" and item.told
    assert item.told.registered is not None and item.told.registered >= item.told.fetched  # type: ignore[operator]
    assert item.detail.startswith("200 OK; fetched again after ") and "; registered again after " in item.detail


async def test_somebody_of_the_same_name_at_another_domain_is_no_sign_of_a_phone(office: Services) -> None:
    await registers(office, VVX)
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), replace(FAST, follow=600))
    kind: Any = office.job_runner._kinds["phones.restart"]
    sent = replace((await items(office, job))[VVX], state="under_way", told=Told(datetime.now(UTC)))
    await registers(office, VVX, domain="other.example")
    async with office.store.read() as session:
        assert await kind.follow(session, job, [sent]) == []
    await registers(office, VVX, domain="SIP.example.net")
    async with office.store.read() as session:
        (found,) = await kind.follow(session, job, [sent])
    assert found.state == "under_way" and found.told.registered is not None


async def test_nobody_waits_for_the_time_by_which_a_clock_was_set_back(office: Services) -> None:
    job = await office.restarts.tell_many(ADMIN, "restart", named(VVX), replace(FAST, follow=600))
    kind: Any = office.job_runner._kinds["phones.restart"]
    item = (await items(office, job))[VVX]
    later = Told(datetime.now(UTC) + timedelta(hours=2))
    async with office.store.read() as session:
        (found,) = await kind.follow(session, job, [replace(item, state="under_way", told=later)])
    assert found.state == "done" and "it has not asked for a file within 600 s" in found.detail


async def test_a_resync_is_over_when_the_phone_has_fetched(office: Services, messages: Messages) -> None:
    await fetches(office, VVX)  # before: that is no answer
    await registers(office, VVX)
    job = await office.restarts.tell(ADMIN, "resync", VVX, replace(FAST, follow=600))
    running = asyncio.create_task(office.job_runner.run(job.id))
    await asyncio.wait_for(messages.heard.wait(), PATIENCE)
    await fetches(office, VVX)
    await asyncio.wait_for(running, PATIENCE)
    item = (await items(office, job))[VVX]
    assert item.state == "done" and item.told and item.told.fetched is not None and item.told.registered is None


@pytest.mark.parametrize(
    ("telling", "field"),
    [
        (Telling(rate=0.5), "rate"),
        (Telling(rate=51), "rate"),
        (Telling(rate=float("nan")), "rate"),
        (Telling(follow=-1), "follow"),
        (Telling(when="later"), "when"),  # type: ignore[arg-type]
        (Telling(not_after=datetime(2020, 1, 1, tzinfo=UTC)), "not_after"),
        (Telling(not_before=datetime(2999, 1, 1, tzinfo=UTC)), "not_before"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(office: Services, telling: Telling, field: str) -> None:
    with pytest.raises(BadValue) as refused:
        await office.restarts.tell_many(ADMIN, "restart", named(VVX), telling)
    assert refused.value.field == field and await office.jobs.page(ADMIN) == []


async def test_more_than_fifty_phones_are_told_only_by_their_number(office: Services, messages: Messages) -> None:
    await add_phones(office, 48)
    for confirm in ("", "50", "yes", "051"):
        with pytest.raises(BadValue, match='confirm with "51"'):
            await office.restarts.tell_many(ADMIN, "restart", ALL, FAST, confirm=confirm)
    assert (await office.restarts.tell_many(ADMIN, "restart", ALL, FAST, confirm=" 51 ")).total == 51
    few = parse_selection(None, {"name": "P *"})
    with pytest.raises(BadValue, match='confirm with "48"'):  # somebody agreed to another number than there are
        await office.restarts.tell_many(ADMIN, "restart", few, FAST, confirm="51")
    assert (await office.restarts.tell_many(ADMIN, "restart", few, FAST)).total == 48


async def test_a_preview_tells_nobody(office: Services, messages: Messages) -> None:
    messages.refusals[HD400] = "no way known"
    preview = await office.restarts.preview(ADMIN, "restart", ALL, FAST)
    assert (preview.phones, preview.planned, preview.refused) == (3, 3, 1)
    assert preview.ways == {"check-sync": 2} and preview.costs == ["it drops calls"]
    ((_, label, reason),) = preview.refusals
    assert label.startswith(HD400) and reason == "no way known"
    assert messages.sent == [] and await office.jobs.page(ADMIN) == []


async def test_who_may_restart_at_one_site_restarts_nothing_elsewhere(office: Services, messages: Messages) -> None:
    await office.sites.add(ADMIN, "oslo", "Oslo", {})
    (mac,) = await add_phones(office, 1, "oslo")
    who = Actor("token:oslo", (Grant(ROLES["operator"], "oslo"),))
    job = await office.restarts.tell_many(who, "restart", ALL, FAST)
    assert job.total == 1
    with pytest.raises(NotFound):
        await office.restarts.tell(who, "restart", VVX, FAST)
    with pytest.raises(Forbidden):
        viewer = Actor("token:v", (Grant(ROLES["viewer"]),))
        await office.restarts.tell(viewer, "restart", mac, FAST)
    await office.phones.edit(ADMIN, mac, {"site": "madrid"}, {})
    ended = await office.job_runner.run(job.id)
    (item,) = (await items(office, job)).values()
    assert ended.summary == {"refused": 1} and messages.sent == []
    assert item.detail == "needs the permission phones:restart at site madrid"


async def test_a_phone_that_was_removed_and_one_that_breaks_the_sending_are_named(
    office: Services, messages: Messages
) -> None:
    def broken(mac: str) -> None:
        if mac == VVX:
            raise RuntimeError("of the test")

    messages.before_answer = broken
    job = await office.restarts.tell_many(ADMIN, "restart", ALL, FAST)
    await office.phones.remove(ADMIN, HD400)
    ended = await office.job_runner.run(job.id)
    found = await items(office, job)
    assert ended.summary == {"done": 1, "refused": 2}
    assert found[HD400].detail == "was removed"
    assert found[VVX].detail == "a mistake of the server; its log has more"


async def test_such_a_job_cannot_be_undone(office: Services, messages: Messages) -> None:
    job = await told(office)
    with pytest.raises(Conflict, match="cannot be undone"):
        await office.jobs.undo(ADMIN, job.id)


async def test_what_comes_over_the_network_is_kept_short_of_nothing_else(office: Services, messages: Messages) -> None:
    messages.answers[VVX] = Sent(False, "w\0&\"'", "503 \0<b>😀", False, 503)
    item = (await items(office, await told(office, named(VVX))))[VVX]
    assert item.state == "refused" and item.told and (item.told.answer, item.told.code) == ("not_reached", 503)
