"""What became of telling phones something, as the store keeps it; on SQLite and, where ZTP_TEST_POSTGRES names one, on
PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.conftest import ADMIN, VVX, fill
from tests.services.told_phones import UNSUPPORTED, Messages, fetches, items, named, registers, told_by
from tests.store.test_store import Open, open_one, url  # noqa: F401 (fixtures)
from ztp_server.domain.status import Progress
from ztp_server.services.phone_selection import parse_selection
from ztp_server.services.restarts import Telling

ALL = parse_selection(None, {})


async def test_a_job_tells_phones_and_what_became_of_each_is_kept(open_one: Open) -> None:  # noqa: F811
    services = await open_one()
    await fill(services)
    messages = told_by(services, Messages(answers={VVX: UNSUPPORTED}))
    job = await services.restarts.tell_many(ADMIN, "restart", ALL, Telling(rate=50, follow=0))
    ended = await services.job_runner.run(job.id)
    found = await items(services, job)
    assert ended.summary == {"done": 2, "refused": 1} and len(messages.sent) == 3
    assert found[VVX].told and found[VVX].told.code == 489
    later = Telling(not_before=datetime.now(UTC) + timedelta(days=1))
    waits = await services.restarts.tell_many(ADMIN, "restart", named(VVX), later)
    async with services.store.write() as session:
        assert await session.jobs.waiting(kinds=["phones.restart"]) is None
        await session.paced_items.claim(waits.id, [1])
    stopped = await services.jobs.stop(ADMIN, waits.id)
    assert (stopped.state, stopped.summary) == ("stopped", {"refused": 1})


async def test_a_phone_is_seen_again_after_it_was_told_and_not_before(open_one: Open) -> None:  # noqa: F811
    services = await open_one()
    await fill(services)
    phone = await services.phones.get(ADMIN, VVX)
    await fetches(services, VVX)
    await registers(services, VVX)
    now = datetime.now(UTC)
    async with services.store.read() as session:
        before, after = [await session.seen_again.since({phone.id: at}) for at in (now - timedelta(hours=1), now)]
    assert before.fetched.keys() == before.registered.keys() == {phone.id} == after.heard
    assert after.fetched == after.registered == {}


async def test_phones_that_a_change_is_about_had_their_files(open_one: Open) -> None:  # noqa: F811
    services = await open_one()
    await fill(services)
    group = ("vvx-411", "madrid", "vvx-standard")
    await services.phones.edit(ADMIN, VVX, {}, {"dynamic_reload": False})
    phone = await services.phones.get(ADMIN, VVX)
    now = datetime.now(UTC)
    async with services.store.write() as session:
        assert await session.reload_targets.concerned([VVX], [group]) == []
        await session.phone_status.keep([Progress(phone.id, now, now, now, inputs="all of them")])
        by_name = await session.reload_targets.concerned([VVX], [])
        assert by_name == await session.reload_targets.concerned([], [group])
        ((target, theirs, reload),) = by_name
        newest = await session.reload_targets.newest(0)
        assert VVX in await session.reload_targets.named_since(0)
        assert await session.reload_targets.named_since(newest) == set()
    assert (target.hardware_id, theirs, reload) == (VVX, group, False) and newest > 0
