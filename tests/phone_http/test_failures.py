"""Failures of those who prove nothing change no answer, cost no query, and hinder no phone that has a proof."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX, World, sample_phone
from tests.phone_http.conftest import AddFirmware
from tests.phone_http.test_requests import request, without_date
from ztp_server.domain.request import PhoneRequest
from ztp_server.services import enumeration, failures

SETTINGS = f"{VVX}-settings.cfg"


def noted(world: World, whether: str) -> float:
    registry = world.app.metrics.registry
    return registry.get_sample_value("ztp_phone_failures_total", {"noted": whether}) or 0.0


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few failures are noted that a test gets beyond."""
    monkeypatch.setattr(failures, "OF_ADDRESS", 5)


@pytest.fixture
def reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one for each time that the store is read to answer a request."""
    counted: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            if name == "read":
                counted.append(name)
            return getattr(world.services.store, name)

    fleet = world.app.fleet
    for reader in (fleet, fleet.hardware_ids, fleet._proofs, fleet._reads):
        monkeypatch.setattr(reader, "_store", Counting())
    return counted


@pytest.mark.usefixtures("few")
async def test_unknown_phones_behind_an_address_hinder_no_phone_behind_it(world: World) -> None:
    unknown = [f"0004f29999{number:02x}-settings.cfg" for number in range(40)]
    first, *others = [without_date(await world.raw(request(f"/{name}".encode()))) for name in unknown[:10]]
    assert set(others) == {first}, "beyond the limit the answer is the same"
    assert noted(world, "yes") == 5 and noted(world, "no") == 5
    # They were not asked for before: they are looked up now, and so are two phones that are added now.
    added = [f"0004f2888{number:03x}" for number in range(2)]
    for mac in added:
        await world.services.phones.add(ADMIN, sample_phone(mac))
    names = [SETTINGS, f"{OTHER_VVX}-settings.cfg", f"{HD400}.cfg", *(f"{mac}-settings.cfg" for mac in added)]
    answers = await asyncio.gather(*(world.ask(name) for name in [*unknown, *names]))

    assert [answer.status for answer in answers] == [404] * len(unknown) + [200] * len(names)


async def test_a_mac_that_is_not_ours_costs_no_query(world: World, reads: list[str]) -> None:
    await world.ask("0004f2999999-settings.cfg")
    assert reads
    reads.clear()
    for number in range(50):
        outcome = await world.app.provisioning.answer(_asked(f"0004f2{number:06x}-settings.cfg"))
        assert outcome.why == "unknown phone"
    assert reads == []
    # A phone that is ours is looked up once, and remembered.
    await world.app.provisioning.answer(_asked(f"{OTHER_VVX}-settings.cfg"))
    assert reads
    reads.clear()
    await world.app.provisioning.answer(_asked(f"{OTHER_VVX}-settings.cfg"))
    assert reads == []


def _asked(path: str) -> PhoneRequest:
    return PhoneRequest(path, address="127.0.0.1")


async def test_what_is_no_failure_is_not_counted(world: World, add_firmware: AddFirmware) -> None:
    await add_firmware()
    for path in (
        SETTINGS,
        f"{VVX}-nothing.cfg",
        f"{VVX}-license.cfg",
        "000000000000.cfg",
        "000000000000-directory.xml",
        "fw/5.9.7.4477/3111-48450-001.sip.ld",
        "fw/1.0/sip.ld",
        "ca.pem",
        "nothing",
        "%2e%2e/x",
    ):
        await world.ask(path)
    assert noted(world, "yes") == noted(world, "no") == 0
    await world.ask("0004f2999999-settings.cfg")
    assert noted(world, "yes") == 1


async def test_somebody_who_tries_macs_is_an_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "FROM_ONE", 20)
    await asyncio.gather(*(world.ask(f"0004f2{number:06x}.cfg", user_agent="x") for number in range(30)))
    # A phone of ours that its site does not let in is no stranger.
    await world.app.check_ins.flush()
    async with world.services.store.read() as session:
        events = [event for event in await session.events.latest(100) if event.action == "enumeration.suspected"]

    assert [event.subject for event in events] == ["127.0.0.0/24"]
    assert "0004f2" not in str(events[0].detail)
    registry = world.app.metrics.registry
    assert registry.get_sample_value("ztp_enumerations_suspected_total") == 1


async def test_our_own_phones_without_a_proof_are_no_strangers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "FROM_ONE", 1)
    await world.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.0.0.0/8"})
    for name in (SETTINGS, f"{OTHER_VVX}-settings.cfg", f"{HD400}.cfg"):
        assert (await world.ask(name)).status == 404
    registry = world.app.metrics.registry

    assert noted(world, "yes") == 3
    assert registry.get_sample_value("ztp_enumerations_suspected_total") == 0
