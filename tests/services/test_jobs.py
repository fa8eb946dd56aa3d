"""Bulk work: edited, migrated, removed, undone; every phone by itself, with its audit record."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, HOSTILE_NAME, OTHER_VVX, VVX, sample_phone
from tests.services.opened import open_data
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.domain.job import RETENTION_DAYS, Job, JobItem
from ztp_server.domain.phone import Line
from ztp_server.errors import BadValue, Conflict, Forbidden, ImportRefused, NotFound
from ztp_server.services.job_kinds import Report, StepKind, WholeKind
from ztp_server.services.job_runner import STEP, JobRunner
from ztp_server.services.jobs import FILE_PART, Jobs
from ztp_server.services.opening import Services
from ztp_server.services.phone_selection import Selection, parse_selection
from ztp_server.store.schema_access import job_files, job_items, jobs

ALL = parse_selection(None, {})
ONES = parse_selection([VVX, OTHER_VVX], None)
SECRET = "p&\"4'x%;"


def editor(site: str, name: str = "token:site") -> Actor:
    return Actor(name, (Grant(ROLES["editor"], site),))


async def run(services: Services, job: Job) -> Job:
    return await services.job_runner.run(job.id)


async def phone(services: Services, mac: str) -> Any:
    async with services.store.read() as session:
        return await session.phones.get(mac)


async def items(services: Services, job: Job, state: str = "") -> list[JobItem]:
    return await services.jobs.items(ADMIN, job.id, state=state, limit=1000)


async def changes_of(services: Services, action: str) -> list[Any]:
    async with services.store.read() as session:
        assert not (await session.audit.verify()).broken
        return await session.audit.page(below=None, limit=1000, action=action)


async def edited(services: Services, change: Mapping[str, Any], selection: Selection = ALL, who: Actor = ADMIN) -> Job:
    return await run(services, await services.phone_bulk.edit(who, selection, change))


async def test_an_edit_of_many_changes_each_and_names_those_that_cannot(office: Services) -> None:
    """The third is of a family that has no such setting."""
    job = await edited(office, {"settings": {"tls_minimum": "1.2", "rtp_port_start": 5000}})
    (refused,) = await items(office, job, "refused")
    assert (job.state, job.total, job.done, job.failed) == ("done", 3, 3, 1)
    assert job.summary == {"done": 2, "refused": 1}
    assert refused.label.startswith(HD400) and refused.detail.startswith("settings.tls_minimum: not on")
    assert (await phone(office, VVX)).settings["rtp_port_start"] == 5000
    assert (await phone(office, HD400)).settings == {}


async def test_what_a_phone_cannot_be_given_is_refused_for_it_alone(office: Services) -> None:
    job = await edited(office, {"base_settings": "400hd"})
    refused = await items(office, job, "refused")
    assert sorted(item.label.split()[0] for item in refused) == [VVX, OTHER_VVX]
    assert all("is for" in item.detail for item in refused)
    assert job.summary == {"refused": 2, "unchanged": 1}


async def test_every_changed_phone_has_one_record_that_names_the_job(office: Services) -> None:
    job = await edited(office, {"settings": {"rtp_port_start": 5000, "admin_password": SECRET}}, ONES)
    records = await changes_of(office, "phone.changed")
    assert sorted(r.subject for r in records) == sorted([VVX, OTHER_VVX])
    assert {r.reason for r in records} == {f"job {job.id}"} and {r.actor for r in records} == {"test"}
    assert all(r.after["settings.rtp_port_start"] == 5000 for r in records)
    assert SECRET not in repr(records)


async def test_a_password_in_a_job_is_sealed_and_never_shown(office: Services) -> None:
    job = await edited(office, {"settings": {"admin_password": SECRET}}, ONES)
    assert office.jobs.shown_order(job)["settings"] == {"admin_password": "***"}
    undone = await run(office, await office.jobs.undo(ADMIN, job.id))
    assert undone.summary == {"done": 2}
    again = await edited(office, {"settings": {"admin_password": SECRET + "2"}}, ONES)
    async with office.store.database.reading() as connection:
        rows = [*await connection.execute(sa.select(jobs)), *await connection.execute(sa.select(job_items))]
    assert SECRET not in repr(rows) and repr(SECRET)[1:-1] not in repr([rows, again])
    assert (await phone(office, VVX)).settings["admin_password"] == SECRET + "2"


async def test_a_phone_that_is_so_already_is_left_alone(office: Services) -> None:
    before = await phone(office, VVX)
    job = await edited(office, {"site": "madrid", "settings": {"rtp_port_start": None}}, ONES)
    assert job.summary == {"unchanged": 2}
    assert await phone(office, VVX) == before
    assert await changes_of(office, "phone.changed") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "x"}, "change.name"),
        ({}, "change"),
        ({"site": None}, "change"),
        ({"site": "nowhere"}, "change.site"),
        ({"base_settings": "none"}, "change.base_settings"),
        ({"settings": {"rtp_prot_start": 1}}, "change.settings.rtp_prot_start"),
        ({"settings": {"rtp_prot_start": None}}, "change.settings.rtp_prot_start"),
        ({"settings": {"rtp_port_start": 1}}, "change.settings.rtp_port_start"),
    ],
)
async def test_a_bad_change_is_refused_before_there_is_a_job(
    office: Services, change: Mapping[str, Any], field: str
) -> None:
    with pytest.raises(BadValue) as refused:
        await office.phone_bulk.edit(ADMIN, ALL, change)
    assert refused.value.field == field
    assert await office.jobs.page(ADMIN) == []


@pytest.mark.parametrize(
    ("ids", "filters", "field"),
    [
        (None, None, "filter"),
        ([VVX], {}, "filter"),
        ([], None, "ids"),
        (["0004f2ffffff"], None, "ids.1"),
        ([VVX, "f" * 32], None, "ids.2"),
        ([VVX, "a & b"], None, "ids.2"),
        (None, {"siet": "madrid"}, "filter.siet"),
    ],
)
async def test_a_selection_that_is_none_names_what_is_wrong(
    office: Services, ids: Sequence[str] | None, filters: Mapping[str, str] | None, field: str
) -> None:
    with pytest.raises(BadValue) as refused:
        await office.phone_bulk.remove(ADMIN, parse_selection(ids, filters))
    assert refused.value.field == field


async def test_phones_are_named_in_any_notation_and_counted_once(office: Services) -> None:
    known = await phone(office, VVX)
    selection = parse_selection([known.id, "00:04:F2:AA:BB:CC", "0004-F2AA-BBCC"], None)
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, selection)
    assert [item.label for item in await items(office, job)] == [f"{VVX} {HOSTILE_NAME}"]


async def test_nothing_is_done_when_another_number_of_phones_is_meant_by_now(office: Services) -> None:
    with pytest.raises(Conflict, match="3 phones are meant by now, not 2"):
        await office.phone_bulk.remove(ADMIN, parse_selection(None, {}, 2))
    assert (await run(office, await office.phone_bulk.remove(ADMIN, parse_selection(None, {}, 3)))).summary["done"] == 3


async def two_sites(office: Services) -> None:
    await office.sites.add(ADMIN, "paris", "", {"sip_server": "sip.example.net", "time_zone": "Europe/Paris"})
    async with office.store.write() as session:
        await session.phones.replace(replace(await session.phones.get(OTHER_VVX), site="paris"))


async def test_a_filter_finds_phones_at_ones_own_sites_only(office: Services) -> None:
    await two_sites(office)
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, ALL, editor("paris"))
    assert [item.label.split()[0] for item in await items(office, job)] == [OTHER_VVX]


async def test_phones_named_at_other_sites_are_refused_with_how_many(office: Services) -> None:
    await two_sites(office)
    viewing = Actor("token:v", (Grant(ROLES["editor"], "paris"), Grant(ROLES["viewer"])))
    with pytest.raises(Forbidden, match="phones:edit at site madrid, where 1 of the 2 phones are"):
        await office.phone_bulk.edit(viewing, ONES, {"settings": {"rtp_port_start": 5000}})
    with pytest.raises(BadValue, match=r"ids\.1: no phone"):
        await office.phone_bulk.edit(editor("paris"), ONES, {"settings": {"rtp_port_start": 5000}})


async def test_phones_go_only_where_one_may_change_phones(office: Services) -> None:
    await two_sites(office)
    with pytest.raises(Forbidden, match="site madrid"):
        await office.phone_bulk.edit(editor("paris"), ALL, {"site": "madrid"})
    with pytest.raises(Forbidden):
        await office.phone_bulk.remove(Actor("token:v", (Grant(ROLES["viewer"]),)), ALL)


async def test_a_phone_that_was_moved_away_since_is_left_alone(office: Services) -> None:
    await two_sites(office)
    job = await office.phone_bulk.edit(editor("paris"), ALL, {"settings": {"rtp_port_start": 5000}})
    gone = await office.phone_bulk.remove(editor("paris", "token:b"), ALL)
    async with office.store.write() as session:
        await session.phones.replace(replace(await session.phones.get(OTHER_VVX), site="madrid"))
    for each in (job, gone):
        assert (await run(office, each)).summary == {"refused": 1}
        (item,) = await items(office, each)
        assert "at site madrid" in item.detail
    assert (await phone(office, OTHER_VVX)).settings == {}


async def test_a_removed_phone_is_refused_by_an_edit_and_nothing_new_to_a_removal(office: Services) -> None:
    edit = await office.phone_bulk.edit(ADMIN, ONES, {"settings": {"rtp_port_start": 5000}})
    removal = await office.phone_bulk.remove(ADMIN, ONES)
    first = parse_selection([VVX], None)
    assert (await run(office, await office.phone_bulk.remove(ADMIN, first))).summary == {"done": 1}
    assert (await run(office, edit)).summary == {"done": 1, "refused": 1}
    assert (await run(office, removal)).summary == {"done": 1, "unchanged": 1}


async def test_several_jobs_are_undone_the_last_one_first(office: Services) -> None:
    before = await phone(office, VVX)
    first = await edited(office, {"settings": {"codecs": ["audio/PCMA"], "admin_password": "p&1x"}}, ONES)
    assert first.summary == {"done": 2}
    second = await edited(office, {"settings": {"rtp_port_start": 5000, "codecs": None}}, ONES)
    assert (await run(office, await office.jobs.undo(ADMIN, second.id))).summary == {"done": 2}
    assert (await phone(office, VVX)).settings == {"codecs": ["audio/PCMA"], "admin_password": "p&1x"}
    assert (await run(office, await office.jobs.undo(ADMIN, first.id))).summary == {"done": 2}
    assert (await phone(office, VVX)).settings == before.settings


async def test_an_undo_sets_back_what_nobody_changed_since(office: Services) -> None:
    before = await phone(office, VVX)
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, ONES)
    async with office.store.write() as session:
        since = replace(await session.phones.get(OTHER_VVX), settings={"rtp_port_start": 5000, "sip_dscp": 3})
        await session.phones.replace(since)
        await session.phones.replace(replace(await session.phones.get(VVX), name="since & since"))
    undone = await run(office, await office.jobs.undo(ADMIN, job.id))
    assert undone.undoes == job.id and undone.summary == {"done": 1, "refused": 1}
    (refused,) = await items(office, undone, "refused")
    assert refused.label.startswith(OTHER_VVX) and refused.detail == "changed since"
    assert replace(await phone(office, VVX), revision=0) == replace(before, revision=0, name="since & since")
    assert (await phone(office, OTHER_VVX)).settings == {"rtp_port_start": 5000, "sip_dscp": 3}
    assert [i.label.split()[0] for i in await items(office, job, "undone")] == [VVX]
    assert (await changes_of(office, "phone.changed"))[0].reason == f"job {undone.id}, which undoes job {job.id}"


async def test_what_was_undone_is_not_undone_twice(office: Services) -> None:
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, ONES)
    undone = await run(office, await office.jobs.undo(ADMIN, job.id))
    with pytest.raises(Conflict, match="undone already"):
        await office.jobs.undo(ADMIN, job.id)
    with pytest.raises(Conflict, match="cannot be undone"):
        await office.jobs.undo(ADMIN, undone.id)


async def test_two_undos_made_at_once_undo_once(office: Services) -> None:
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, ONES)
    first, second = [await office.jobs.undo(ADMIN, job.id) for _ in range(2)]
    assert (await run(office, first)).summary == {"done": 2}
    assert (await run(office, second)).summary == {"refused": 2}


async def test_an_undo_needs_the_permission_of_a_change(office: Services) -> None:
    job = await edited(office, {"settings": {"rtp_port_start": 5000}}, ONES)
    viewer = Actor("token:v", (Grant(ROLES["viewer"]),))
    undone = await run(office, await office.jobs.undo(viewer, job.id))
    assert undone.summary == {"refused": 2}
    assert (await phone(office, VVX)).settings == {"rtp_port_start": 5000}


async def test_removed_phones_come_back_with_their_passwords(office: Services) -> None:
    before = [await phone(office, mac) for mac in (VVX, OTHER_VVX)]
    job = await run(office, await office.phone_bulk.remove(ADMIN, ONES))
    assert job.summary == {"done": 2}
    with pytest.raises(NotFound):
        await phone(office, VVX)
    assert len(await changes_of(office, "phone.removed")) == 2
    undone = await run(office, await office.jobs.undo(ADMIN, job.id))
    assert undone.summary == {"done": 2}
    assert [replace(await phone(office, p.hardware_id), revision=p.revision) for p in before] == before


async def test_a_removed_phone_whose_address_is_taken_stays_away(office: Services) -> None:
    job = await run(office, await office.phone_bulk.remove(ADMIN, ONES))
    async with office.store.write() as session:
        await session.phones.add([sample_phone(name="new one")])
    undone = await run(office, await office.jobs.undo(ADMIN, job.id))
    assert undone.summary == {"done": 1, "refused": 1}
    assert "exists already" in (await items(office, undone, "refused"))[0].detail
    assert (await phone(office, VVX)).name == "new one"


async def other_base(office: Services) -> None:
    settings = {"dtmf_payload_type": "110", "rtp_port_start": "6000", "admin_password": SECRET}
    await office.base_settings.add(ADMIN, "vvx-new", "", "vvx-411", settings)
    async with office.store.write() as session:
        known = await session.phones.get(VVX)
        await session.phones.replace(replace(known, settings={"rtp_port_start": 6000, "sip_dscp": 10}))


@pytest.mark.parametrize(
    ("overrides", "left"),
    [("keep", {"rtp_port_start": 6000, "sip_dscp": 10}), ("drop", {}), ("drop-same", {"sip_dscp": 10})],
)
async def test_a_migration_keeps_or_drops_a_phones_own_settings(
    office: Services, overrides: str, left: Mapping[str, Any]
) -> None:
    await other_base(office)
    before = [await phone(office, mac) for mac in (VVX, OTHER_VVX, HD400)]
    job = await run(office, await office.phone_bulk.migrate(ADMIN, ALL, "vvx-new", overrides))
    assert job.summary == {"done": 2, "refused": 1}
    assert (await items(office, job, "refused"))[0].detail.startswith("base_settings: vvx-new is for")
    moved = await phone(office, VVX)
    assert (moved.base_settings, moved.settings) == ("vvx-new", left)
    await run(office, await office.jobs.undo(ADMIN, job.id))
    after = [await phone(office, mac) for mac in (VVX, OTHER_VVX, HD400)]
    assert [replace(p, revision=0) for p in after] == [replace(p, revision=0) for p in before]


async def test_a_migration_is_seen_before_it_is_done(office: Services) -> None:
    await other_base(office)
    seen = await office.phone_bulk.preview_migration(ADMIN, ALL, "vvx-new", "drop")
    assert (seen.phones, seen.checked, seen.changed, seen.unchanged, seen.refused) == (3, 3, 2, 0, 1)
    assert [row.label.split()[0] for row in seen.refusals] == [HD400]
    of = {row.label.split()[0]: row for row in seen.items}
    assert of[VVX].fields == {"base_settings": ("vvx-standard", "vvx-new")}
    rows = {row.name: row for row in of[VVX].settings}
    assert (rows["sip_dscp"].before, rows["sip_dscp"].before_source) == (10, "phone")
    assert rows["sip_dscp"].after_source == "product default"
    assert (rows["dtmf_payload_type"].before, rows["dtmf_payload_type"].after) == (102, 110)
    assert rows["dtmf_payload_type"].after_source == "base settings vvx-new"
    assert (rows["rtp_port_start"].before, rows["rtp_port_start"].after) == (6000, 6000)
    assert (rows["admin_password"].before, rows["admin_password"].after) == ("***", "*** (another one)")
    assert any("110" in diff for diff in (of[VVX].files or {}).values())
    assert SECRET not in repr(seen)
    assert (await phone(office, VVX)).base_settings == "vvx-standard"
    assert await office.jobs.page(ADMIN) == []


async def test_a_preview_comes_page_by_page(office: Services) -> None:
    await other_base(office)
    first = await office.phone_bulk.preview_migration(ADMIN, ALL, "vvx-new", "keep", limit=2)
    second = await office.phone_bulk.preview_migration(
        ADMIN, ALL, "vvx-new", "keep", limit=2, after=int(first.next_cursor)
    )
    assert len(first.items) == 2 and len(second.items) == 1 and second.next_cursor == ""
    assert {row.id for row in (*first.items, *second.items)} == {
        (await phone(office, mac)).id for mac in (VVX, OTHER_VVX, HD400)
    }
    assert first.checked == 3 and second.checked == 0
    few = await office.phone_bulk.preview_migration(ADMIN, ALL, "vvx-new", "keep", most=1, limit=1)
    assert (few.phones, few.checked, few.changed + few.refused) == (3, 1, 1)


async def test_a_migration_to_what_is_not_there_is_refused(office: Services) -> None:
    with pytest.raises(BadValue, match="to: no base settings nowhere"):
        await office.phone_bulk.migrate(ADMIN, ALL, "nowhere", "keep")
    with pytest.raises(BadValue, match="overrides"):
        await office.phone_bulk.migrate(ADMIN, ALL, "vvx-standard", "burn")


async def test_a_stopped_job_keeps_what_it_did_and_goes_on_when_resumed(office: Services) -> None:
    await more_phones(office, 150)
    job = await office.phone_bulk.edit(
        ADMIN, parse_selection(None, {"model": "vvx-411"}), {"settings": {"sip_dscp": 9}}
    )
    stopped_at: list[int] = []

    def stop_after_the_first_step(now: Job) -> None:
        if now.done and not stopped_at:
            stopped_at.append(now.done)
            tasks.append(asyncio.create_task(office.jobs.stop(ADMIN, job.id)))

    tasks: list[asyncio.Task[Job]] = []
    stopped = await office.job_runner.run(job.id, stop_after_the_first_step)
    await asyncio.gather(*tasks)
    assert stopped.state == "stopped" and stopped_at == [STEP]
    assert stopped.done == len(await items(office, job, "done")) == len(await changes_of(office, "phone.changed"))
    assert STEP <= stopped.done < stopped.total == 152
    await office.jobs.resume(ADMIN, job.id)
    ended = await run(office, job)
    assert (ended.state, ended.done, ended.summary) == ("done", 152, {"done": 152})
    with pytest.raises(Conflict, match="nothing left"):
        await office.jobs.resume(ADMIN, job.id)
    with pytest.raises(Conflict, match="done already"):
        await office.jobs.stop(ADMIN, job.id)


async def more_phones(office: Services, count: int) -> None:
    async with office.store.write() as session:
        await session.phones.add(
            [
                sample_phone(f"0004f2{n:06x}", name=f"{HOSTILE_NAME} {n}", lines=(Line(f"u{n}", password=SECRET),),
                             line_keys=(), settings={"sip_dscp": 8})
                for n in range(count)
            ]
        )  # fmt: skip


async def test_a_job_nobody_runs_stops_at_once_and_can_be_undone_in_part(office: Services) -> None:
    job = await office.phone_bulk.remove(ADMIN, ONES)
    with pytest.raises(Conflict, match="stop it first"):
        await office.jobs.undo(ADMIN, job.id)
    assert (await office.jobs.stop(ADMIN, job.id)).state == "stopped"
    with pytest.raises(Conflict, match="changed nothing"):
        await office.jobs.undo(ADMIN, job.id)
    assert (await phone(office, VVX)).name == HOSTILE_NAME


async def test_jobs_of_others_are_seen_and_stopped_by_permission(office: Services) -> None:
    maker, other = editor("madrid", "token:a"), editor("madrid", "token:b")
    job = await office.phone_bulk.remove(maker, ONES)
    assert [found.id for found in await office.jobs.page(maker)] == [job.id]
    assert await office.jobs.page(other) == []
    for asked in (office.jobs.get, office.jobs.items, office.jobs.stop, office.jobs.resume, office.jobs.undo):
        with pytest.raises(NotFound):
            await asked(other, job.id)
    viewer = Actor("token:v", (Grant(ROLES["viewer"]),))
    assert (await office.jobs.get(viewer, job.id)).id == job.id
    with pytest.raises(Forbidden):
        await office.jobs.stop(viewer, job.id)
    may_stop = Actor("token:s", (Grant(frozenset({"jobs:view", "jobs:stop"})),))
    assert (await office.jobs.stop(may_stop, job.id)).state == "stopped"
    with pytest.raises(Forbidden):
        await office.jobs.resume(may_stop, job.id)
    assert (await office.jobs.resume(ADMIN, job.id)).state == "queued"
    assert len(await changes_of(office, "job.stopped")) == len(await changes_of(office, "job.resumed")) == 1


async def test_jobs_are_listed_the_newest_first_and_page_by_page(office: Services) -> None:
    made = [await office.phone_bulk.remove(ADMIN, ONES) for _ in range(3)]
    await office.jobs.stop(ADMIN, made[0].id)
    assert [j.id for j in await office.jobs.page(ADMIN)] == [j.id for j in reversed(made)]
    assert [j.id for j in await office.jobs.page(ADMIN, below=made[1].id)] == [made[0].id]
    assert [j.id for j in await office.jobs.page(ADMIN, state="stopped")] == [made[0].id]
    with pytest.raises(BadValue, match="state"):
        await office.jobs.page(ADMIN, state="lost")


async def test_a_job_that_another_process_has_is_not_run_twice(office: Services, data: Path) -> None:
    other = await open_data(data)
    try:
        job = await office.phone_bulk.edit(ADMIN, ONES, {"settings": {"sip_dscp": 9}}, run_here=True)
        assert not await other.job_runner.try_to_run(job.id)
        assert (await run(office, job)).summary == {"done": 2}
        assert not await other.job_runner.try_to_run(job.id)
    finally:
        await other.close()


async def test_runners_that_race_for_a_job_do_each_item_once(office: Services, data: Path) -> None:
    await more_phones(office, 250)
    others = [await open_data(data) for _ in range(2)]
    try:
        job = await office.phone_bulk.edit(ADMIN, parse_selection(None, {}), {"settings": {"sip_dscp": 9}})
        ended = await asyncio.gather(*(s.job_runner.run(job.id) for s in (office, *others)))
        assert {found.state for found in ended} == {"done"}
    finally:
        for each in others:
            await each.close()
    records = await changes_of(office, "phone.changed")
    assert len(records) == len({r.subject for r in records}) == ended[0].summary["done"]
    assert ended[0].done == ended[0].total == 253


def take(data: Path, owner: str, lasts: timedelta) -> None:
    """As another process would, which has the right for so long by its clock."""
    with sqlite3.connect(data / "ztp.db") as other:
        until = f"{datetime.now(UTC) + lasts:%Y-%m-%d %H:%M:%S.%f}"
        other.execute("UPDATE jobs SET state = 'running', owner = ?, lease_until = ?", (owner, until))
    other.close()


async def test_a_job_of_a_process_that_died_before_the_clock_was_set_back_goes_on(office: Services, data: Path) -> None:
    job = await office.phone_bulk.edit(ADMIN, ALL, {"settings": {"sip_dscp": 9}})
    take(data, "dead", timedelta(hours=1))
    assert (await run(office, job)).state == "done"


async def test_who_lost_a_job_to_another_does_nothing_more(office: Services, data: Path) -> None:
    """Its lease ran out while it slept, and another took the job."""
    await more_phones(office, 150)
    job = await office.phone_bulk.edit(ADMIN, ALL, {"settings": {"sip_dscp": 9}})

    def heard(now: Job) -> None:
        if now.done:
            take(data, "thief", timedelta(seconds=30))

    assert not await office.job_runner.try_to_run(job.id, heard)
    left = await office.jobs.get(ADMIN, job.id)
    assert (left.state, left.owner, left.done, left.total) == ("running", "thief", STEP, 153)
    assert len(await changes_of(office, "phone.changed")) == left.summary["done"]


async def test_a_long_job_is_forgotten_a_part_at_a_time(office: Services) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=RETENTION_DAYS, seconds=1)
    job = await edited(office, {"settings": {"sip_dscp": 9}}, ONES)
    removed = []
    while not removed or removed[-1]:
        async with office.store.write() as session:
            old = sa.update(jobs).where(jobs.c.id == job.id).values(finished_at=long_ago)
            await session.jobs._connection.execute(old)
            removed.append(await session.jobs.remove_ended_before(datetime.now(UTC) - timedelta(days=1), most=1))
    assert len(removed) > 2 and max(removed) == 2
    assert await office.jobs.page(ADMIN) == []


async def test_old_jobs_are_forgotten_with_their_items(office: Services) -> None:
    old = await edited(office, {"settings": {"sip_dscp": 9}}, ONES)
    young = await edited(office, {"settings": {"sip_dscp": 10}}, ONES)
    waiting = await office.phone_bulk.remove(ADMIN, ONES)
    async with office.store.write() as session:
        long_ago = datetime.now(UTC) - timedelta(days=RETENTION_DAYS, seconds=1)
        await session.jobs._connection.execute(sa.update(jobs).where(jobs.c.id == old.id).values(finished_at=long_ago))
    await office.job_runner._prune()
    assert {job.id for job in await office.jobs.page(ADMIN)} == {young.id, waiting.id}
    async with office.store.database.reading() as connection:
        count = sa.select(sa.func.count()).select_from(job_items)
        assert (await connection.execute(count)).scalar_one() == 4


class Upside(WholeKind[list[str]]):
    """Names every phone after a line of its file."""

    name = "test.names"

    def __init__(self) -> None:
        self.read: list[int] = []
        self.meanwhile: Any = None
        self.refuse: list[str] = []

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return dict(order)

    async def prepare(self, session: Any, job: Job, file: Any, progress: Any) -> list[str]:
        body = b"".join([part async for part in file])
        self.read.append(len(body))
        await progress(1, 2)
        if self.meanwhile:
            change, self.meanwhile = self.meanwhile, None
            await change()
        if self.refuse:
            raise ImportRefused("names.csv", self.refuse)
        return body.decode("utf-16").split("\n")

    async def apply(self, session: Any, job: Job, prepared: list[str]) -> Report:
        known = await session.phones.all()
        named = [replace(found, name=name) for found, name in zip(known, prepared, strict=False)]
        await session.phones.replace_many(named)
        return Report(len(named), {"done": len(named)}, [JobItem(1, known[0].id, "first", "done")])


class Failing(StepKind):
    """Writes, and then breaks."""

    name = "test.fails"

    def shown(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async def step(self, session: Any, job: Job, items: Sequence[JobItem]) -> list[JobItem]:
        await session.phones.replace(replace(await session.phones.get(VVX), name="half done"))
        raise ZeroDivisionError("a secret " + SECRET)


def with_kind(office: Services, kind: Any) -> tuple[Jobs, JobRunner]:
    runner = JobRunner(office.store, {kind.name: kind})
    return Jobs(office.store, {kind.name: kind}, runner), runner


def pieces(text: str) -> list[bytes]:
    body = text.encode("utf-16")
    return [body[start : start + FILE_PART] for start in range(0, len(body), FILE_PART)]


async def no_files(office: Services) -> bool:
    async with office.store.database.reading() as connection:
        return not (await connection.execute(sa.select(job_files))).all()


async def test_a_job_that_reads_a_file_does_all_of_it_at_its_end(office: Services) -> None:
    kind = Upside()
    asked, runner = with_kind(office, kind)
    names = [f"{HOSTILE_NAME} {n}" for n in range(3)]
    job = await asked.submit_file(ADMIN, kind.name, {"mode": "x"}, pieces("\n".join([*names, "ü" * FILE_PART])))
    ended = await runner.run(job.id)
    assert (ended.state, ended.total, ended.done, ended.summary) == ("done", 3, 3, {"done": 3})
    assert {found.name for found in [await phone(office, mac) for mac in (VVX, OTHER_VVX, HD400)]} == set(names)
    assert [item.label for item in await asked.items(ADMIN, job.id)] == ["first"]
    assert await no_files(office) and len(kind.read) == 1


async def test_what_is_written_meanwhile_is_looked_at_again(office: Services) -> None:
    kind = Upside()

    async def somebody_writes() -> None:
        async with office.store.write() as session:
            await session.phones.replace(replace(await session.phones.get(VVX), settings={"sip_dscp": 9}))

    kind.meanwhile = somebody_writes
    asked, runner = with_kind(office, kind)
    job = await asked.submit_file(ADMIN, kind.name, {}, pieces("a\nb\nc"))
    assert (await runner.run(job.id)).state == "done"
    assert len(kind.read) == 2
    assert (await phone(office, VVX)).settings == {"sip_dscp": 9}


async def test_a_file_with_bad_rows_changes_nothing_and_every_row_is_named(office: Services) -> None:
    kind = Upside()
    kind.refuse = ["line 2, column name: is empty", "line 3, column site: no site 'x & y'"]
    asked, runner = with_kind(office, kind)
    job = await asked.submit_file(ADMIN, kind.name, {}, pieces("a\nb\nc"))
    ended = await runner.run(job.id)
    assert (ended.state, ended.failed) == ("failed", 2)
    assert ended.reason == "names.csv: 2 problems, nothing imported"
    assert [item.detail for item in await asked.items(ADMIN, job.id)] == kind.refuse
    assert (await phone(office, VVX)).name == HOSTILE_NAME and await no_files(office)
    with pytest.raises(Conflict, match="start it anew"):
        await asked.resume(ADMIN, job.id)


async def test_a_mistake_of_ours_ends_the_job_and_leaves_nothing_half_done(office: Services) -> None:
    kind = Failing()
    asked, runner = with_kind(office, kind)

    job = await asked.submit(ADMIN, kind.name, {}, [JobItem(1, "x", "x"), JobItem(2, "y", "y")])
    ended = await runner.run(job.id)
    assert (ended.state, ended.done) == ("failed", 0) and SECRET not in ended.reason
    assert (await phone(office, VVX)).name == HOSTILE_NAME
    assert (await asked.resume(ADMIN, job.id)).state == "queued"


async def test_a_job_of_a_kind_that_is_not_known_fails_by_name(office: Services) -> None:
    kind = Failing()
    asked, _ = with_kind(office, kind)
    job = await asked.submit_file(ADMIN, kind.name, {}, [])
    ended = await run(office, job)
    assert (ended.state, ended.reason) == ("failed", "this ztp knows no job of kind test.fails")
    assert office.jobs.shown_order(ended) == {}


async def test_a_server_that_is_told_to_end_lets_the_job_go(office: Services, data: Path) -> None:
    """The next one takes it at once, without waiting for the lease."""
    await more_phones(office, 150)
    job = await office.phone_bulk.edit(ADMIN, ALL, {"settings": {"sip_dscp": 9}})
    began = asyncio.Event()
    running = asyncio.create_task(office.job_runner.try_to_run(job.id, lambda now: began.set() if now.done else None))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await office.jobs.get(ADMIN, job.id)).owner == ""
    assert (await run(office, job)).done == 153
