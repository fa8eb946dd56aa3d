"""What phones asked for and were given is written down: in runs, in batches, and bounded whoever asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, VVX_UA, World, sample_phone
from ztp_server.domain.attempt import Attempt
from ztp_server.domain.request import PhoneRequest
from ztp_server.errors import StoreUnavailable, TemplateError
from ztp_server.services import check_in_batch, served_bytes
from ztp_server.store import schema_history

SETTINGS = f"{VVX}-settings.cfg"
MASTER = f"{VVX}.cfg"


async def runs(world: World, phone: str = VVX, **options: Any) -> list[Attempt]:
    await world.app.check_ins.flush()
    found: list[Attempt] = await world.services.history.attempts(ADMIN, phone, 1000, **options)
    return found


async def rows(world: World, table: sa.Table) -> list[Any]:
    async with world.services.store.database.reading() as connection:
        return list((await connection.execute(sa.select(table))).all())


async def ask(world: World, path: str, address: str = "127.0.0.1", **more: Any) -> int:
    """A request as the door would hand it in."""
    request = PhoneRequest(path, user_agent=VVX_UA, address=address, **more)
    return (await world.app.provisioning.answer(request)).status


async def test_requests_alike_are_one_row_that_counts(world: World) -> None:
    for _ in range(3):
        assert (await world.ask(SETTINGS)).status == 200
    await world.app.check_ins.flush()
    assert (await world.ask(SETTINGS)).status == 200
    (run,) = await runs(world)
    assert (run.count, run.file, run.status, run.reason) == (4, SETTINGS, 200, "")
    assert (run.address, run.listener, run.proof) == ("127.0.0.1", "http", "network")
    assert run.firmware == "5.9.7.4477" and run.first_at < run.last_at


async def test_a_row_says_what_the_file_was_made_of(world: World) -> None:
    await world.ask(SETTINGS)
    (run,) = await runs(world)
    phone = await world.services.phones.get(ADMIN, VVX)
    assert run.made_of is not None
    assert (run.made_of.site, run.made_of.base_settings) == ("madrid", "vvx-standard")
    assert run.made_of.phone_revision == phone.revision
    assert run.made_of.base_settings_revision >= 1 and run.made_of.templates and run.made_of.inputs


async def test_a_new_revision_of_base_settings_begins_a_new_row(world: World) -> None:
    await world.ask(SETTINGS)
    await world.services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": "20"})
    await world.ask(SETTINGS)
    newer, older = await runs(world)
    assert newer.made_of and older.made_of and newer.etag != older.etag
    assert newer.made_of.base_settings_revision == older.made_of.base_settings_revision + 1


async def test_a_change_of_address_begins_a_new_row_and_the_old_one_keeps_its_own(world: World) -> None:
    await ask(world, SETTINGS, "127.0.0.1")
    await ask(world, SETTINGS, "127.0.0.2")
    await ask(world, SETTINGS, "127.0.0.1")
    assert [run.address for run in await runs(world)] == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]


async def test_the_fingerprint_of_a_factory_certificate_is_in_the_row(world: World) -> None:
    device = world.device("poly", VVX)
    assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 200
    (run,) = await runs(world)
    assert run.proof == "certificate" and run.listener == "mtls" and len(run.certificate) == 64


async def test_a_refusal_of_a_phone_of_ours_is_a_row_with_its_reason(world: World) -> None:
    assert await ask(world, SETTINGS, "203.0.113.7") == 404
    (run,) = await runs(world)
    assert (run.status, run.reason, run.address, run.proof) == (404, "no proof", "203.0.113.7", "")


async def test_another_phones_certificate_is_a_row_of_the_phone_it_asked_for(world: World) -> None:
    device = world.device("poly", OTHER_VVX)
    assert (await world.ask(SETTINGS, listener="mtls", device=device)).status == 404
    (run,) = await runs(world)
    assert run.reason == "no proof" and len(run.certificate) == 64 and run.proof == ""


async def test_a_bootstrap_file_given_instead_says_why_and_is_no_sign_that_the_address_is_the_phones(
    world: World,
) -> None:
    await world.services.sites.edit(ADMIN, "madrid", None, {"plain_secrets": "off"})
    assert (await world.ask(f"{HD400}.cfg", user_agent=HD400_UA)).status == 200
    (run,) = await runs(world, HD400)
    assert (run.status, run.reason) == (200, "no secrets over plain HTTP at this site")
    kept = await world.services.history.file(ADMIN, HD400, f"{HD400}.cfg", datetime.now(UTC))
    assert b"ca.pem" in kept.body
    assert await world.services.phones.check_ins(ADMIN, HD400) == []


async def test_made_up_phones_grow_nothing(world: World) -> None:
    for number in range(300):
        await ask(world, f"0004f2{number:06x}.cfg")
        await ask(world, f"0004f3{number:06x}.cfg", "203.0.113.7")
    await world.app.check_ins.flush()
    assert await rows(world, schema_history.check_in_runs) == []
    assert await rows(world, schema_history.served_files) == []
    assert await rows(world, schema_history.phone_status) == []


async def test_a_flood_of_refusals_from_anywhere_is_one_row(world: World) -> None:
    for number in range(200):
        await ask(world, SETTINGS, f"203.0.113.{number}")
        if number % 50 == 0:
            await world.app.check_ins.flush()
    (run,) = await runs(world)
    assert run.count == 200 and run.address == "203.0.113.199"


async def test_refusals_between_do_not_end_the_run_of_the_phone_itself(world: World) -> None:
    for _ in range(4):
        await ask(world, SETTINGS)
        await ask(world, SETTINGS, "203.0.113.7")
        await world.app.check_ins.flush()
    assert sorted((run.status, run.count) for run in await runs(world)) == [(200, 4), (404, 4)]


async def test_a_phone_that_keeps_changing_its_address_makes_so_many_rows_a_day_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_in_batch, "MOST_RUNS_A_DAY", 5)
    for number in range(30):
        await ask(world, SETTINGS, f"127.0.0.{number + 1}")
        await world.app.check_ins.flush()
    found = await runs(world)
    assert len(found) == 5 and sum(run.count for run in found) == 30


async def test_an_attackers_requests_leave_the_status_of_a_phone_as_it_is(world: World) -> None:
    for name in (MASTER, SETTINGS):
        await ask(world, name)
    await world.app.check_ins.flush()
    before = await rows(world, schema_history.phone_status)
    for name in (MASTER, SETTINGS):
        await ask(world, name, "203.0.113.7")
    await world.app.check_ins.flush()
    assert len(before) == 1 and await rows(world, schema_history.phone_status) == before


async def test_what_could_not_be_written_is_written_the_next_time(world: World) -> None:
    await ask(world, SETTINGS)
    store, failing = world.app.check_ins._store, _Failing()
    world.app.check_ins._store = failing  # type: ignore[assignment]
    await world.app.check_ins.flush()
    assert failing.asked
    await ask(world, SETTINGS)
    world.app.check_ins._store = store
    (run,) = await runs(world)
    assert run.count == 2


class _Failing:
    asked = False

    def write(self) -> Any:
        self.asked = True
        raise StoreUnavailable("disk full")

    def take_damaged(self) -> dict[str, str]:
        return {}


async def test_a_failing_template_is_a_row_with_its_file_and_line(world: World) -> None:
    snapshot = world.services.templates.snapshot
    original = snapshot.renderer.render

    def fail(template: str, *rest: Any) -> bytes:
        raise TemplateError(template, 7, "it is broken")

    snapshot.renderer.render = fail
    assert (await world.ask(SETTINGS)).status == 503
    snapshot.renderer.render = original
    (run,) = await runs(world)
    assert run.status == 503 and "settings.cfg.j2:7" in run.reason
    status = await world.services.phone_status.get(ADMIN, VVX)
    assert status.provisioning == "error" and "it is broken" in status.reason


async def test_bytes_that_are_kept_already_are_not_made_without_secrets_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = served_bytes.make_file

    def counted(renderer: Any, server: Any, rule: Any, known: Any) -> Any:
        made.append(rule.pattern)
        return original(renderer, server, rule, known)

    monkeypatch.setattr(served_bytes, "make_file", counted)
    await world.ask(SETTINGS)
    await world.app.check_ins.flush()
    kept = await rows(world, schema_history.served_files)
    # As after a restart: nothing is remembered of what was made.
    (await world.app.fleet.find(VVX)).files.clear()
    await world.ask(SETTINGS)
    await world.app.check_ins.flush()
    assert made == ["{mac}-settings.cfg"]
    assert len(kept) == 1 and await rows(world, schema_history.served_files) == kept


async def test_bytes_are_kept_as_they_were_made_although_phone_and_templates_are_others_by_then(world: World) -> None:
    given = (await world.ask(SETTINGS)).text
    await world.services.phones.edit(ADMIN, VVX, {"name": "Another"}, {"rtp_dscp": "11"})
    known = await world.app.fleet.find(VVX)
    known.offer = known.offer.__class__("9.9.9", "9.9.9", True)
    await world.app.check_ins.flush()
    kept = await world.services.history.file(ADMIN, VVX, SETTINGS, datetime.now(UTC))
    differing = [(a, b) for a, b in zip(given.splitlines(), kept.body.decode().splitlines(), strict=True) if a != b]
    assert differing and all("***" in shown for _, shown in differing)


async def test_more_new_files_than_can_wait_are_kept_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_bytes, "MOST_WAITING", 1)
    monkeypatch.setattr(served_bytes, "RENDER_SECONDS", 0.0)
    for name in (MASTER, SETTINGS, f"{OTHER_VVX}.cfg", f"{OTHER_VVX}-settings.cfg"):
        assert (await world.ask(name)).status == 200
    await world.app.check_ins.flush()
    assert len(await rows(world, schema_history.served_files)) == 3
    await world.app.check_ins.flush(at_the_end=True)
    assert len(await rows(world, schema_history.served_files)) == 4


async def test_what_waits_is_kept_when_the_server_stops(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_bytes, "RENDER_SECONDS", 0.0)
    await world.ask(SETTINGS)
    await world.restart()
    assert len(await rows(world, schema_history.served_files)) == 1


async def test_a_phone_that_asks_while_files_are_kept_is_not_lost(world: World) -> None:
    await world.ask(SETTINGS)
    await asyncio.gather(world.app.check_ins.flush(), world.ask(f"{OTHER_VVX}-settings.cfg"))
    await world.app.check_ins.flush()
    assert len(await rows(world, schema_history.served_files)) == 2


async def test_a_phone_that_is_removed_has_its_history_still(world: World) -> None:
    await world.services.phones.add(ADMIN, sample_phone("0004f2000001", name="Short lived"))
    await world.ask("0004f2000001-settings.cfg")
    await world.app.check_ins.flush()
    await world.services.phones.remove(ADMIN, "0004f2000001")
    (run,) = await runs(world, "00:04:F2:00:00:01")
    assert run.file == "0004f2000001-settings.cfg"
    kept = await world.services.history.file(ADMIN, "0004f2000001", run.file, datetime.now(UTC))
    assert b"***" in kept.body


async def test_what_is_being_written_when_the_server_stops_is_kept(world: World) -> None:
    check_ins = world.app.check_ins
    flusher = world.app._tasks[0]
    async with world.services.store.write():
        assert await ask(world, SETTINGS) == 200
        while not check_ins._being_written:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        flusher.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([flusher])
    async with world.services.store.read() as session:
        (run,) = await session.check_in_log.page(VVX, limit=10)
    assert run.count == 1
