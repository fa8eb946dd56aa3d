"""Who is registered: what platforms tell becomes the status of phones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, fill, sample_phone
from tests.services.opened import new_data, open_data
from tests.services.registering import (
    HERE,
    add_platform,
    everything,
    hurry,
    listening,
    registered,
    told,
    until,
)
from ztp_server.domain.phone import Line, Phone
from ztp_server.services import lease, offline_events, registration_writer, registrations
from ztp_server.services.phone_registration import hearing
from ztp_server.sip.sources.source import Everything, Place, Silent, Untold


@pytest.fixture
async def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    hurry(monkeypatch)
    opened = await open_data(new_data(tmp_path / "data"))
    await fill(opened)
    await add_platform(opened)
    yield opened
    await opened.close()


async def _macs(services: Any, status: str) -> set[str]:
    page = await services.phone_list.page(ADMIN, {"status": status})
    return {item["hardware_id"] or item["name"] for item in page.items}


async def _rows(services: Any) -> dict[str, Any]:
    async with services.store.read() as session:
        ids = await session.registrations.ids_behind("", 100)
        found: dict[str, Any] = await session.registrations.rolled_up(ids)
    return found


async def test_what_a_platform_tells_is_the_status_of_phones_and_each_state_can_be_asked_for(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_events, "COLLECT_SECONDS", 0.0)
    assert await _macs(services, "unknown") == {VVX, OTHER_VVX, HD400}
    async with listening(services) as ear:
        source = await ear.source("pbx")
        source.say(everything("1001", "1002", "1005"))
        status = await registered(services, VVX, "online")
        assert (status["state"], status["provisioning"]) == ("online", "never_seen")
        assert status["reason"] == status["registration_reason"] == "registered with sip.example.net"
        first = status["lines"][0]
        assert (first["user"], first["server"], first["state"]) == ("1001", "sip.example.net", "registered")
        assert (first["contact"], first["user_agent"]) == (HERE.uri, HERE.user_agent)
        assert (await registered(services, HD400, "never_registered"))["state"] == "never_seen"
        assert await _macs(services, "online") == {VVX, OTHER_VVX}
        assert await _macs(services, "!online") == {HD400}
        assert await _macs(services, "never_registered,degraded") == {HD400}

        source.say(told("1002"))
        status = await registered(services, VVX, "degraded")
        assert status["reason"] == "line 1002 is not registered"
        source.say(told("1001"))
        source.say(told("2001", HERE))
        status = await registered(services, VVX, "offline")
        assert status["since"] is not None
        await registered(services, HD400, "online")
        assert await _macs(services, "offline") == {VVX}
        source.say(told("2001"))
        await registered(services, HD400, "offline")
        await until(services, VVX, lambda _: len(ear.reported) == 2)
    assert [(action, subject) for action, subject, _ in ear.reported] == [("phones.offline", "site madrid")] * 2


async def test_a_silent_platform_makes_its_phones_unknown_without_a_row_being_written(services: Any) -> None:
    async with listening(services) as ear:
        source = await ear.source("pbx")
        source.say(everything("1001", "1002"))
        await registered(services, VVX, "online")
        await registered(services, OTHER_VVX, "never_registered")
        before = await _rows(services)
        source.say(Silent("it hung up"))
        status = await registered(services, VVX, "unknown")
        assert status["registration_reason"] == "platform pbx tells nothing: it hung up"
        assert status["lines"][0]["state"] == "unknown"
        assert await _macs(services, "unknown") == {VVX, OTHER_VVX, HD400}
        assert await _macs(services, "online") == set()
        assert await _rows(services) == before
        assert ear.reported == [("platform.silent", "platform pbx", "it tells nobody who is registered: it hung up")]

        source.say(everything("1001", "1002", "2001"))
        status = await registered(services, VVX, "online")
        await registered(services, HD400, "online")
        phone = await services.phones.get(ADMIN, VVX)
        assert (await _rows(services))[phone.id] == before[phone.id]
    status = await registered(services, VVX, "unknown")
    assert "no server is running that listens" in status["registration_reason"]


async def test_a_line_with_its_secondary_server_alone_is_degraded(services: Any) -> None:
    async with listening(services) as ear:
        source = await ear.source("pbx")
        source.say(everything("1005", domain="sip2.example.net"))
        status = await registered(services, OTHER_VVX, "degraded")
        assert "with sip2.example.net, not with sip.example.net" in status["reason"]
        source.say(told("1005", HERE, domain="SIP.example.net"))
        await registered(services, OTHER_VVX, "online")
        # A phone that is registered with both at once needs both.
        await services.base_settings.edit(ADMIN, "400hd", None, {"redundancy": "simultaneous"})
        source.say(told("2001", HERE, domain="sip.example.net"))
        status = await registered(services, HD400, "degraded")
        source.say(told("2001", HERE, domain="sip2.example.net"))
        status = await registered(services, HD400, "online")
        assert status["reason"] == "registered with sip.example.net and sip2.example.net"
        source.say(Untold("2001", "sip2.example.net", "forbidden"))
        status = await registered(services, HD400, "unknown")
        assert status["registration_reason"] == "forbidden"


async def test_phones_of_every_category_are_looked_at_when_they_or_their_platform_change(services: Any) -> None:
    async with listening(services) as ear:
        source = await ear.source("pbx")
        # Whoever is registered before the phone is recorded is online at once.
        source.say(everything("3001", "3002", "1001", "1002"))
        await registered(services, VVX, "online")
        desk = Phone("Desk", "", "", "madrid", "", "unmanaged", lines=(Line("3001"),))
        desk = (await services.phones.add(ADMIN, desk)).phone
        status = await registered(services, desk.id, "online")
        assert (status["state"], status["provisioning"]) == ("online", "unknown")
        away = Phone("Away", "", "", "madrid", "", "remote", remote_address="+34600000000")
        away = (await services.phones.add(ADMIN, away)).phone
        status = await registered(services, away.id, "unknown")
        assert status["registration_reason"] == "a remote phone registers elsewhere"

        await services.phones.edit(ADMIN, OTHER_VVX, {}, {}, lines=[Line("3002", password="x")])
        await registered(services, OTHER_VVX, "online")
        # A phone without lines has those of who is logged in on it.
        await services.users.add(ADMIN, "ana", "Ana", "8001", (Line("3003", password="x"),))
        shared = sample_phone("0004f2888888", lines=(), line_keys=(), user="ana")
        await services.phones.add(ADMIN, shared)
        await registered(services, "0004f2888888", "never_registered")
        source.say(told("3003", HERE))
        await registered(services, "0004f2888888", "online")

        await services.sites.edit(ADMIN, "madrid", None, {"sip_server": "elsewhere.example.net"})
        status = await registered(services, VVX, "unknown")
        assert status["registration_reason"] == "no platform has the SIP server elsewhere.example.net"
        await services.sites.edit(ADMIN, "madrid", None, {"sip_server": "sip.example.net"})
        await registered(services, VVX, "online")
        async with services.store.write() as session:
            await session.platforms.remove("pbx")
        await registered(services, VVX, "unknown")


async def test_hostile_answers_are_kept_small_and_break_nothing(services: Any) -> None:
    async with listening(services) as ear:
        source = await ear.source("pbx")
        long = Place("sip:" + "x" * 100_000, "u\0dp" * 100, "\ud800" + "y" * 100_000, None, "z" * 5000)
        odd = [told("u" * 5000, HERE), told("", HERE), told("10\0", HERE), told("1005", HERE, domain="d" * 999)]
        source.say(Everything((*odd, told("1005", *[long] * 5000))))
        status = await registered(services, OTHER_VVX, "online")
        assert 1 <= len(status["lines"]) <= 20
        assert max(len(str(value)) for value in status["lines"][0].values()) <= 1024
        source.say(told("1005"))
        await registered(services, OTHER_VVX, "offline")


async def test_one_server_listens_and_another_takes_over_when_it_leaves(services: Any) -> None:
    async with listening(services) as first:
        (await first.source("pbx")).say(everything("1005"))
        await registered(services, OTHER_VVX, "online")
        async with listening(services) as second:
            await until(services, OTHER_VVX, lambda status: status["registration"] == "online")
            assert not second.sources
    async with listening(services) as second:
        source = await second.source("pbx")
        source.say(everything())
        await registered(services, OTHER_VVX, "offline")


async def test_a_server_that_writes_down_many_registrations_still_says_that_it_listens(
    services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says nothing for long is taken for gone."""
    monkeypatch.setattr(registrations, "_LONGEST_STEP", 0.0)
    monkeypatch.setattr(registration_writer, "BATCH", 1)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.0)
    beats: list[int] = []
    write = registration_writer.RegistrationWriter._write_about

    async def written(self: Any, users: Any) -> None:
        async with services.store.read() as session:
            beats.append((await session.leases.get("registrations")).beat)
        await write(self, users)

    monkeypatch.setattr(registration_writer.RegistrationWriter, "_write_about", written)
    async with listening(services) as ear:
        (await ear.source("pbx")).say(everything(*(str(user) for user in range(9000, 9020)), "1005"))
        await registered(services, OTHER_VVX, "online")
    assert len(set(beats)) == len(beats) == 21


async def test_a_beat_of_times_to_come_is_none_once_the_clock_was_set_back(services: Any) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with services.store.write() as session:
        await session.registrations.keep_state("pbx", "", later)
        await session.leases.keep("registrations", "who was killed", later)
        assert (await hearing(session, later)).heard == {"pbx"}
        assert (await hearing(session)).heard == frozenset()


async def test_a_source_that_has_to_be_asked_is_asked_for_every_line(services: Any) -> None:
    async with services.store.write() as session:
        await session.platforms.remove("pbx")
    await add_platform(services, "pbx", "sip.example.net", source="reg_event")
    wanted = {f"{user}@sip.example.net" for user in ("1001", "1002", "1005", "2001")}
    async with listening(services) as ear:
        source = await ear.source("pbx")
        async with asyncio.timeout(60):
            while not wanted <= source.wanted:
                source.has_been_asked.clear()
                await source.has_been_asked.wait()
        source.say(told("1005", HERE, domain="sip.example.net"))
        await registered(services, OTHER_VVX, "online")
        status = await registered(services, HD400, "unknown")
        assert status["registration_reason"] == "platform pbx has not told of line 2001 yet"
        await services.phones.add(
            ADMIN, sample_phone("0004f2777777", lines=(Line("7001", password="x"),), line_keys=())
        )
        async with asyncio.timeout(60):
            while "7001@sip.example.net" not in source.wanted:
                source.has_been_asked.clear()
                await source.has_been_asked.wait()
        # And for none of a phone that is gone.
        await services.phones.remove(ADMIN, "0004f2777777")
        async with asyncio.timeout(60):
            while "7001@sip.example.net" in source.wanted:
                source.has_been_asked.clear()
                await source.has_been_asked.wait()
