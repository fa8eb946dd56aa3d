"""A saved change is told at once to exactly the phones whose bytes it changed and that are to be told."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, HD400_UA, OTHER_VVX, VVX, VVX_UA, World, sample_phone, start_filled
from tests.services.opened import open_data
from tests.services.told_phones import Messages, told_by, until
from ztp_server.config import shipped_folder
from ztp_server.domain.job import Job
from ztp_server.domain.phone import Line
from ztp_server.domain.platform import Platform
from ztp_server.domain.request import PhoneRequest
from ztp_server.services import dynamic_reload, paced_run
from ztp_server.services.dynamic_reload import ACTOR, DynamicReload

Start = Callable[..., Awaitable[World]]


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own task sleeps: tests say when it is looked, and what time it is."""

    async def asleep(_self: DynamicReload) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(DynamicReload, "run", asleep)


class Office:
    """A server whose three phones have fetched their files, looking for changes since then."""

    def __init__(self, world: World, messages: Messages) -> None:
        self.world = world
        self.messages = messages
        self.services = world.services
        self.now = 1000.0

    async def look(self, after: float = 0.0) -> None:
        """What the server's task does at a moment, so many seconds later."""
        self.now += after
        await self.services.dynamic_reload.look(self.now)

    async def quiet(self) -> list[Job]:
        """The jobs there are once nothing was saved for long enough, when all phones of theirs were told."""
        await self.look()
        await self.look(dynamic_reload.QUIET_SECONDS + 0.1)
        found: list[Job] = await self.services.jobs.page(ADMIN)
        for job in found:
            await until(lambda job=job: self._told(job))
        return found

    async def _told(self, job: Job) -> bool:
        items = await self.services.jobs.items(ADMIN, job.id)
        return all(item.state not in ("pending", "under_way") or item.told for item in items)


async def fetch(world: World, mac: str, user_agent: str) -> None:
    """A phone fetches all its files."""
    files = {VVX_UA: (".cfg", "-settings.cfg", "-directory.xml"), HD400_UA: (".cfg",)}[user_agent]
    for end in files:
        await world.app.provisioning.answer(PhoneRequest(mac + end, user_agent=user_agent, address="127.0.0.1"))
    await world.app.check_ins.flush()


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    async with world.services.store.write() as session:
        await session.platforms.add(Platform("pbx", "", ("sip.example.net",), "udp:127.0.0.1:9"))
    for mac, user_agent in ((VVX, VVX_UA), (OTHER_VVX, VVX_UA), (HD400, HD400_UA)):
        await fetch(world, mac, user_agent)
    made = Office(world, told_by(world.services, Messages()))
    await made.look()
    yield made


async def told(office: Office, *macs: str) -> None:
    """One more job was made, which told exactly these."""
    before = len(await office.services.jobs.page(ADMIN))
    office.messages.sent.clear()
    found = await office.quiet()
    assert len(found) == before + bool(macs)
    assert sorted(office.messages.sent) == sorted(macs)


async def test_a_change_of_a_phone_is_told_to_it_alone_by_the_server_itself(office: Office) -> None:
    await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    await told(office, VVX)
    (job,) = await office.services.jobs.page(ADMIN)
    assert (job.kind, job.who.name, job.order["changed_only"]) == ("phones.resync", "server:dynamic-reload", True)
    assert not ACTOR.may("phones:edit") and ACTOR.may("phones:restart", "madrid")
    async with office.services.store.read() as session:  # the change has its record
        assert await session.audit.page(below=None, limit=10, action="phone.resynced") == []


async def test_a_change_of_what_phones_share_is_told_to_all_of_them(office: Office) -> None:
    services = office.services
    await services.base_settings.edit(ADMIN, "vvx-standard", None, {"rtp_port_start": 5000})
    await told(office, VVX, OTHER_VVX)
    await fetch(office.world, VVX, VVX_UA)
    await fetch(office.world, OTHER_VVX, VVX_UA)
    await services.sites.edit(ADMIN, "madrid", None, {"sip_server": "other.example.net"})
    await told(office, VVX, OTHER_VVX, HD400)


async def test_a_change_that_changes_no_byte_makes_no_job(office: Office) -> None:
    services = office.services
    await services.phones.edit(ADMIN, VVX, {"name": "Another <name>"}, {})
    await services.base_settings.edit(ADMIN, "vvx-standard", "Another name", {})
    await told(office)


async def test_what_was_told_is_not_told_again_with_the_next_change(office: Office) -> None:
    """The phones do not come for it; somebody else's change is no reason to bother them again."""
    await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    await told(office, VVX)
    await told(office)
    await office.services.phones.edit(ADMIN, HD400, {}, {"rtp_port_start": 5000})
    await told(office, HD400)


async def test_who_waits_to_be_told_is_in_no_second_job(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved again and again, faster than phones are told: nobody waits in many jobs, and is told by the one."""
    monkeypatch.setattr(dynamic_reload, "PER_SECOND", 0.1)
    monkeypatch.setattr(paced_run, "_LOOK_AT", 1)
    services, messages = office.services, office.messages
    messages.held = asyncio.Event()  # of three phones one is being told, and one is claimed

    async def begun() -> int:
        found = [await services.jobs.items(ADMIN, job.id) for job in await services.jobs.page(ADMIN)]
        return sum(item.state != "pending" for items in found for item in items)

    for number in (1, 2, 3):
        await services.sites.edit(ADMIN, "madrid", None, {"sip_server": f"{number}.example.net"})
        await office.look()
        await office.look(dynamic_reload.QUIET_SECONDS + 0.1)
        assert len(await services.jobs.page(ADMIN)) == number
        await until(lambda number=number: _holds(begun, 2 * number))
    first, *later = [await services.jobs.items(ADMIN, job.id) for job in reversed(await services.jobs.page(ADMIN))]
    (waiting,) = [item.subject for item in first if item.state == "pending"]
    assert [len(items) for items in later] == [2, 2]
    assert waiting not in {item.subject for items in later for item in items}
    # When nothing waits any more, the next change is about all of them again.
    for job in await services.jobs.page(ADMIN):
        await services.jobs.stop(ADMIN, job.id)
    messages.held.set()
    await services.sites.edit(ADMIN, "madrid", None, {"sip_server": "4.example.net"})
    await office.look()
    await office.look(dynamic_reload.QUIET_SECONDS + 0.1)
    assert (await services.jobs.page(ADMIN))[0].total == 3


async def _holds(count: Callable[[], Awaitable[int]], expected: int) -> bool:
    return await count() == expected


async def test_who_is_not_to_be_told_is_not(office: Office) -> None:
    """Not a phone with dynamic_reload off, its own or inherited; nor one that never fetched anything."""
    services = office.services
    await services.phones.edit(ADMIN, VVX, {}, {"dynamic_reload": False})
    await services.base_settings.edit(ADMIN, "400hd", None, {"dynamic_reload": False})
    await services.phones.add(ADMIN, sample_phone("0004f2cccccc", name="New", lines=(Line("77"),), line_keys=()))
    await services.sites.edit(ADMIN, "madrid", None, {"sip_server": "other.example.net"})
    await told(office, OTHER_VVX)
    await services.phones.edit(ADMIN, HD400, {}, {"dynamic_reload": True})
    await told(office, HD400)


async def test_changes_are_told_together_once_it_is_quiet(office: Office) -> None:
    async def edit(port: int) -> None:
        await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": port})
        await office.look()

    await edit(5000)
    for port in (5002, 5004, 5006):
        await office.look(9)  # not quiet for ten seconds yet
        await edit(port)
    assert await office.services.jobs.page(ADMIN) == []
    await told(office, VVX)


async def test_a_change_waits_no_longer_than_a_minute(office: Office) -> None:
    for number in range(7):
        assert await office.services.jobs.page(ADMIN) == []
        await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000 + 2 * number})
        await office.look()
        await office.look(9.9 if number < 6 else 1)
    assert len(await office.services.jobs.page(ADMIN)) == 1


async def test_changes_of_another_process_and_of_templates_are_told(office: Office) -> None:
    other = await open_data(office.world.data)
    await other.phones.edit(ADMIN, OTHER_VVX, {}, {"rtp_port_start": 5000})
    await other.close()
    await told(office, OTHER_VVX)
    own = office.world.data / "templates" / "audiocodes"
    shutil.copytree(shipped_folder("templates") / "audiocodes", own, dirs_exist_ok=True)
    with (own / "parts" / "provisioning.cfg.j2").open("a") as file:
        file.write("user/with/new/line=1\n")
    await asyncio.to_thread(office.services.templates.refresh)
    await told(office, HD400)


async def test_without_a_platform_there_is_no_job_and_no_flood(office: Office) -> None:
    async with office.services.store.write() as session:
        await session.platforms.remove("pbx")
    await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    await told(office)
    async with office.services.store.write() as session:
        await session.platforms.add(Platform("pbx", "", ("sip.example.net",), "udp:127.0.0.1:9"))
    await told(office)  # it is old by now


async def test_a_phone_that_cannot_be_told_is_a_line_of_the_job_and_no_event(office: Office) -> None:
    office.messages.refusals[VVX] = "nobody knows where it is"
    await office.services.sites.edit(ADMIN, "madrid", None, {"sip_server": "other.example.net"})
    await told(office, OTHER_VVX, HD400)
    (job,) = await office.services.jobs.page(ADMIN)
    (item,) = await office.services.jobs.items(ADMIN, job.id, state="refused")
    assert item.detail == "nobody knows where it is"
    await office.world.app.check_ins.flush()
    async with office.services.store.read() as session:
        events = await session.events.page(below=None, limit=100)
    assert VVX not in repr(events)


async def test_of_many_phones_the_job_finds_out_who_has_other_bytes(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_reload, "CHECKED", 1)
    await office.services.phones.edit(ADMIN, VVX, {"name": "Another"}, {})
    await office.services.phones.edit(ADMIN, OTHER_VVX, {}, {"rtp_port_start": 5000})
    await told(office, OTHER_VVX)
    (job,) = await office.services.jobs.page(ADMIN)
    (item,) = await office.services.jobs.items(ADMIN, job.id, state="unchanged")
    assert job.total == 2 and item.label.startswith(VVX)


async def test_of_two_servers_one_tells_it(office: Office) -> None:
    first = office.services.dynamic_reload
    second = DynamicReload(first._store, first._templates, first._status, first._jobs)
    await second.look(0.0)
    await office.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    await asyncio.gather(first.look(2000.0), second.look(1.0))
    await asyncio.gather(first.look(2020.0), second.look(21.0))
    for now in (22.0, 40.0):  # the one that came second looks again
        await asyncio.gather(first.look(2000.0 + now), second.look(now))
    assert [job.total for job in await office.services.jobs.page(ADMIN)] == [1]


async def test_a_server_that_starts_tells_what_was_saved_meanwhile_and_nothing_older(office: Office) -> None:
    services = office.services
    await services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    await told(office, VVX)
    await services.phones.edit(ADMIN, OTHER_VVX, {}, {"rtp_port_start": 5000})
    old = services.dynamic_reload
    again = DynamicReload(old._store, old._templates, old._status, old._jobs)
    await again.look(0.0)
    await again.look(11.0)
    newest = (await services.jobs.page(ADMIN))[0]
    assert [item.label[:12] for item in await services.jobs.items(ADMIN, newest.id)] == [OTHER_VVX]
    third = DynamicReload(old._store, old._templates, old._status, old._jobs)
    await third.look(0.0)
    await third.look(11.0)
    assert len(await services.jobs.page(ADMIN)) == 2


async def test_the_first_server_of_a_database_begins_with_what_there_is(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await start_filled(start)
    messages = told_by(world.services, Messages())
    async with world.services.store.write() as session:
        await session.platforms.add(Platform("pbx", "", ("sip.example.net",), "udp:127.0.0.1:9"))
    await fetch(world, VVX, VVX_UA)
    await world.services.phones.edit(ADMIN, VVX, {}, {"rtp_port_start": 5000})
    for now in (0.0, 11.0, 80.0):
        await world.services.dynamic_reload.look(now)
    found: Any = await world.services.jobs.page(ADMIN)
    assert found == [] and messages.sent == []
