"""The store, on SQLite and, where ZTP_TEST_POSTGRES names one, on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, fill, sample_phone
from tests.services.opened import new_data, open_data
from ztp_server.domain.event import CheckIn
from ztp_server.errors import BadValue, Conflict, NotFound
from ztp_server.services.opening import Services
from ztp_server.store import Store, schema_access
from ztp_server.store.changes import record
from ztp_server.store.migrations import runner
from ztp_server.store.schema import HEAD, metadata
from ztp_server.store.schema_history import events

POSTGRES = os.environ.get("ZTP_TEST_POSTGRES", "")
DATABASES = ["sqlite", *(["postgresql"] if POSTGRES else [])]
Open = Callable[[], Any]


@pytest.fixture(params=DATABASES)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ztp.db'}"
        return
    import asyncpg

    name = f"ztp_test_{os.getpid()}_{abs(hash(str(tmp_path)))}"
    admin = await asyncpg.connect(POSTGRES)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def open_one(url: str, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens services on the database, each as another process would."""
    opened: list[Services] = []
    data = new_data(tmp_path / "data")

    async def begin() -> Services:
        opened.append(await open_data(data, url))
        return opened[-1]

    yield begin
    for services in opened:
        await services.close()


@pytest.fixture
async def office(open_one: Open) -> Services:
    services = await open_one()
    await fill(services)
    return services


async def raw(store: Store, work: Callable[[sa.Connection], Any]) -> Any:
    async with store.database.reading() as connection:
        return await connection.run_sync(work)


# ---- schema ---------------------------------------------------------------------------------------------------------


def test_the_newest_migration_is_the_one_the_schema_names() -> None:
    assert runner.newest() == HEAD and runner.knows(HEAD) and not runner.knows("9999")


def _is_another_default(
    _context: Any, _there: Any, column: Any, there: str | None, _wanted: Any, wanted: str | None
) -> bool | None:
    """PostgreSQL has no equality of JSON, so those are compared as texts; None: as usual."""
    plain = [(text or "").partition("::")[0].strip("'") for text in (there, wanted)]
    return plain[0] != plain[1] if isinstance(column.type, sa.JSON) else None


async def test_the_migrations_make_the_tables_of_the_schema(office: Services) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": _is_another_default, "render_as_batch": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    assert schema_access.jobs.name in metadata.tables
    assert await raw(office.store, differences) == []


async def test_a_second_start_changes_nothing(open_one: Open) -> None:
    first, second = await open_one(), await open_one()
    version = sa.text("SELECT version_num FROM alembic_version")
    for services in (first, second):
        assert await raw(services.store, lambda c: c.execute(version).scalars().all()) == [HEAD]


# ---- records --------------------------------------------------------------------------------------------------------


async def test_a_phone_is_read_as_it_was_written(office: Services) -> None:
    phone = sample_phone("0004f2000009", settings={"rtp_dscp": 40, "codecs": ["audio/PCMA"], "admin_password": "x&y"})
    await office.phones.add(ADMIN, phone)
    read = await office.phones.get(ADMIN, "0004f2000009")
    assert (read.name, read.lines, read.line_keys, read.settings) == (
        phone.name, phone.lines, phone.line_keys, phone.settings,
    )  # fmt: skip
    assert read.revision == 1


async def test_what_a_request_finds_is_the_whole_phone_or_nothing(office: Services) -> None:
    async with office.store.read() as session:
        assert await session.phones.find(VVX) == await office.phones.get(ADMIN, VVX)
        assert await session.phones.find("0004f2999999") is None


async def test_a_mac_belongs_to_one_phone(office: Services) -> None:
    with pytest.raises(Conflict, match=VVX):
        await office.phones.add(ADMIN, sample_phone())
    as_vvx = {"hardware_id": VVX, "model": "vvx-411", "base_settings": "vvx-standard"}
    with pytest.raises(Conflict, match=VVX):
        await office.phones.edit(ADMIN, HD400, as_vvx, {}, [], [])
    assert len(await office.phones.all(ADMIN)) == 3


async def test_what_goes_wrong_in_the_middle_leaves_nothing(office: Services) -> None:
    before = await office.phones.all(ADMIN)
    with pytest.raises(RuntimeError):
        async with office.store.write() as session:
            await session.phones.remove([await session.phones.get(VVX)])
            raise RuntimeError
    assert await office.phones.all(ADMIN) == before


async def test_the_lines_of_a_removed_phone_go_with_it(office: Services) -> None:
    await office.phones.remove(ADMIN, VVX)
    phone_lines = sa.text("SELECT count(*) FROM lines JOIN phones ON phones.id = lines.phone_id")
    all_lines = sa.text("SELECT count(*) FROM lines")
    counts = [await raw(office.store, lambda c, q=q: c.execute(q).scalar()) for q in (phone_lines, all_lines)]
    assert counts[0] == counts[1] == 2
    with pytest.raises(NotFound):
        await office.phones.get(ADMIN, VVX)


async def test_two_writers_at_once_lose_no_change(open_one: Open) -> None:
    """Every change that was acknowledged is there in the end; one that lost the race was told so."""
    first, second = await open_one(), await open_one()
    await fill(first)

    async def change(services: Services, number: int) -> int | None:
        try:
            await services.phones.edit(ADMIN, VVX, {}, {f"custom.a{number}": str(number)})
        except Conflict:
            return None
        return number

    done = await asyncio.gather(*(change((first, second)[n % 2], n) for n in range(16)))

    kept = {n for n in done if n is not None}
    assert kept and set((await first.phones.get(ADMIN, VVX)).settings) == {f"custom.a{n}" for n in kept}


async def test_two_writers_of_one_site_lose_no_change(open_one: Open) -> None:
    first, second = await open_one(), await open_one()
    await first.sites.add(ADMIN, "paris", "", {})
    names = ["rtp_dscp", "sip_dscp", "vlan_id", "sip_port", "calls_per_line", "poll_period", "register_expires"]

    async def change(number: int, name: str) -> str | None:
        try:
            await (first, second)[number % 2].sites.edit(
                ADMIN, "paris", None, {name: "20" if "poll" not in name else "7200"}
            )
        except (Conflict, BadValue):
            return None
        return name

    done = await asyncio.gather(*(change(n, name) for n, name in enumerate(names)))
    kept = {name for name in done if name}
    assert kept and set((await first.sites.get(ADMIN, "paris")).settings) == kept


async def test_two_revisions_at_once_become_two_or_one_is_told(open_one: Open) -> None:
    first, second = await open_one(), await open_one()
    await fill(first)

    async def revise(number: int) -> int | None:
        services = (first, second)[number % 2]
        try:
            edited = await services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_dscp": str(number)})
            return edited.record.revision
        except Conflict:
            return None

    numbers = [n for n in await asyncio.gather(*map(revise, range(8))) if n]
    assert numbers and sorted(numbers) == list(range(2, 2 + len(numbers)))


# ---- changes --------------------------------------------------------------------------------------------------------


async def test_a_change_of_another_process_is_heard_once(open_one: Open) -> None:
    here, there = await open_one(), await open_one()
    await fill(there)
    assert here.store.changes.moved()
    assert await here.store.changes.read() == [], "nothing was remembered yet"

    await there.phones.edit(ADMIN, VVX, {"name": "New"}, {})
    await there.sites.edit(ADMIN, "madrid", "New", {})

    assert await eventually(here.store.changes.moved)
    assert await here.store.changes.read() == [("phone", VVX), ("site", "")]
    assert await here.store.changes.read() == []


async def test_the_very_first_change_of_an_empty_database_is_heard(open_one: Open) -> None:
    here, there = await open_one(), await open_one()
    assert await here.store.changes.read() == []
    await there.sites.add(ADMIN, "paris", "", {})
    assert await here.store.changes.read() == [("site", "")]


async def test_both_addresses_of_a_phone_that_was_replaced_are_forgotten(open_one: Open) -> None:
    services = await open_one()
    await fill(services)
    await services.store.changes.read()
    await services.phones.edit(ADMIN, VVX, {"hardware_id": "0004f2aabbce"}, {})
    assert set(await services.store.changes.read()) == {("phone", VVX), ("phone", "0004f2aabbce")}


async def test_a_change_that_is_undone_is_not_told(office: Services) -> None:
    await office.store.changes.read()
    with pytest.raises(BadValue):
        await office.sites.edit(ADMIN, "madrid", None, {"redundancy": "failover"})
    assert await office.store.changes.read() == []


async def test_check_ins_and_reveals_tell_no_change(office: Services) -> None:
    await office.store.changes.read()
    await office.phones.preview(ADMIN, VVX, None, True)
    async with office.store.write() as session:
        await session.check_ins.note([check_in(datetime.now(UTC))])
    assert await office.store.changes.read() == []


@pytest.mark.parametrize("url", [d for d in DATABASES if d != "sqlite"], indirect=True)
async def test_a_writer_that_commits_late_is_heard_as_well(open_one: Open) -> None:
    """Numbers are given out before the commit, so a later number could be seen first if writers did not wait."""
    first, second = await open_one(), await open_one()
    feed = first.store.changes
    await feed.read()

    async def write_quickly() -> None:
        async with second.store.database.writing() as quick:
            await record(quick, "phone", ["0004f2000001"])

    async with first.store.database.writing() as slow:
        await record(slow, "site")
        quickly = asyncio.create_task(write_quickly())
        await asyncio.sleep(0.2)
        heard = await feed.read()
    await quickly
    heard += await feed.read()
    assert ("site", "") in heard and ("phone", "0004f2000001") in heard


async def eventually(moved: Callable[[], bool]) -> bool:
    for _ in range(100):
        if moved():
            return True
        await asyncio.sleep(0.01)
    return False


# ---- time -----------------------------------------------------------------------------------------------------------


def check_in(at: datetime) -> CheckIn:
    return CheckIn(VVX, f"{VVX}.cfg", at, 200, "e", "127.0.0.1", "network", "5.9.7.4477")


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
)
async def test_a_moment_is_read_as_the_same_moment_in_utc(office: Services, at: datetime) -> None:
    async with office.store.write() as session:
        await session.check_ins.note([check_in(at)])
    (read,) = await office.phones.check_ins(ADMIN, VVX)
    assert read.at == at and read.at.utcoffset() == timedelta(0)


async def test_only_the_last_check_in_of_each_file_is_kept(office: Services) -> None:
    for minute in range(3):
        async with office.store.write() as session:
            await session.check_ins.note([check_in(datetime(2026, 1, 1, 0, minute, tzinfo=UTC))])
    (read,) = await office.phones.check_ins(ADMIN, VVX)
    assert read.at.minute == 2


async def test_events_come_newest_first_with_their_moment(office: Services) -> None:
    async with office.store.write() as session:
        for mac in (OTHER_VVX, VVX, HD400):
            await session.events.add("server", "overrides.refused", mac)
    async with office.store.read() as session:
        latest = await session.events.latest(2)
    assert len(latest) == 2 and latest[0].subject == HD400 and latest[0].at >= latest[1].at
    stored = await raw(office.store, lambda c: c.execute(sa.select(sa.func.count()).select_from(events)).scalar())
    assert stored == 3


# ---- an import, on both ---------------------------------------------------------------------------------------------


async def test_an_import_creates_and_updates(office: Services, tmp_path: Path) -> None:
    file = tmp_path / "phones.csv"
    rows = [f"0004f2{n:06x},Phone {n},vvx-411,madrid,vvx-standard,{n},p{n}" for n in range(1, 1202)]
    header = "hardware_id,name,model,site,base_settings,line1_user,line1_password\n"
    file.write_text(header + "\n".join(rows) + "\n")
    report = await office.phone_import.run(ADMIN, file, "create")
    assert (report.created, len(await office.phones.all(ADMIN))) == (1201, 1204)

    file.write_text(f"hardware_id,name\n{VVX},Other\n")
    report = await office.phone_import.run(ADMIN, file, "update")
    assert (report.created, report.updated, (await office.phones.get(ADMIN, VVX)).name) == (0, 1, "Other")


async def test_closing_waits_for_the_transactions_in_progress(open_one: Open) -> None:
    database = (await open_one()).store.database
    async with database.reading() as connection:
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        assert (await connection.execute(sa.text("SELECT 1"))).scalar() == 1
        assert not closing.done()
    await closing


async def test_a_nul_in_a_question_is_no_failure_of_the_database(office: Services) -> None:
    with pytest.raises((BadValue, NotFound)):
        await office.jobs.get(ADMIN, "a\x00")


async def test_more_changes_than_are_read_at_once_are_all_told_in_order(office: Services) -> None:
    await office.store.changes.read()
    keys = [f"{number:012x}" for number in range(2000)]
    async with office.store.database.writing() as connection:
        await record(connection, "phone", keys)
    assert await office.store.changes.read() == [("phone", key) for key in keys]
    assert await office.store.changes.read() == []


async def test_who_reads_while_the_key_is_rotated_reads_all_of_one_moment(open_one: Open, office: Services) -> None:
    """A value that was sealed anew meanwhile names a key that the reader was not told of."""
    other = await open_one()
    async with other.store.read() as session:
        before = await session.phones.get(VVX)
        await office.keys.rotate(ADMIN)
        assert await session.phones.get(VVX) == before
    assert (await other.phones.get(ADMIN, VVX)).lines == before.lines
    assert not other.store.take_damaged()
