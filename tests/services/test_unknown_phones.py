"""Phones that are none of ours: what knocked is written down, bounded, and let in by those who may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400_UA, HOSTILE_NAME, HOSTILE_PASSWORD, VVX, VVX_UA
from tests.services.opened import open_data
from ztp_server.domain.access import Actor, Grant
from ztp_server.domain.phone import LineChange
from ztp_server.domain.request import Certified, PhoneRequest
from ztp_server.domain.unknown_phone import MOST_FILES, UnknownPhone
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound, Refused, StoreUnavailable
from ztp_server.services import knocks
from ztp_server.services.check_ins import CheckIns
from ztp_server.services.fleet import Fleet
from ztp_server.services.opening import Services
from ztp_server.services.retention import forget_old
from ztp_server.services.trial_answers import trial_provisioning
from ztp_server.store import unknown_phones as table_of

NEW = "0004f2100001"
SECRET_SHA = "ab" * 32
VVX_STANDARD = ("madrid", "vvx-standard")


class Door:
    """Asks as the door for phones does, and writes down what came, as it does once a second."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.check_ins = CheckIns(services.store, services.templates)
        self._provisioning = trial_provisioning(
            services.store, services.templates, services.address, services.firmware_files
        )
        self._provisioning._check_ins = self.check_ins

    async def ask(self, path: str, user_agent: str = VVX_UA, address: str = "127.0.0.1", **more: Any) -> int:
        """The status of the answer."""
        request = PhoneRequest(path, user_agent=user_agent, address=address, **more)
        # As the server that phones ask does; one for trying things out has nothing to forget.
        await Fleet.catch_up(self._provisioning._fleet)
        return (await self._provisioning.answer(request)).status

    async def knock(self, *paths: str, **more: Any) -> None:
        for path in paths or (f"{NEW}.cfg",):
            await self.ask(path, **more)
        await self.check_ins.flush()

    async def listed(self, **filters: Any) -> list[UnknownPhone]:
        found, _ = await self.services.unknown_phones.page(ADMIN, limit=1000, **filters)
        return found


@pytest.fixture
async def door(office: Services) -> Door:
    return Door(office)


@pytest.fixture
async def other(office: Services, data: Path) -> AsyncIterator[Services]:
    """Another process over the same data."""
    opened = await open_data(data)
    yield opened
    await opened.close()


async def events(services: Services, action: str) -> list[str]:
    found, _ = await services.events.page(ADMIN, action=action)
    return [event.detail["reason"] for _, event in found]


async def rows(services: Services) -> int:
    async with services.store.database.reading() as connection:
        found: int = (await connection.execute(sa.text("SELECT count(*) FROM unknown_phones"))).scalar_one()
    return found


async def test_what_knocked_is_listed_with_what_it_said_of_itself(door: Door) -> None:
    await door.knock(f"{NEW}.cfg", f"{NEW}-phone.cfg", f"{NEW}.cfg", address="10.1.0.9")
    (found,) = await door.listed()
    assert (found.mac, found.vendor, found.model, found.firmware) == (NEW, "poly", "vvx-411", "5.9.7.4477")
    assert (found.address, found.count, found.state) == ("10.1.0.9", 3, "waiting")
    assert found.files == (f"{NEW}.cfg", f"{NEW}-phone.cfg") and not found.certificate
    assert found.first_at <= found.last_at
    await door.knock(user_agent="", address="10.1.0.10")
    (again,) = await door.listed()
    assert (again.first_at, again.count, again.address, again.model) == (found.first_at, 4, "10.1.0.10", "vvx-411")


async def test_phones_of_ours_are_never_listed_proven_or_not(door: Door) -> None:
    assert await door.ask(f"{VVX}.cfg") == 200
    await door.knock(f"{VVX}.cfg", address="203.0.113.7")
    assert await door.listed() == []


async def test_noise_is_not_listed_and_what_may_be_a_phone_is(door: Door) -> None:
    await door.knock("021111111111-nothing.bin", "wp-login.php", "../../etc/passwd", user_agent="Mozilla/5.0")
    assert await rows(door.services) == 0
    await door.knock("0004f2222222-nothing.bin", user_agent="Mozilla/5.0")  # an address block of a maker
    await door.knock("021111111112-nothing.bin")  # a User-Agent of one
    await door.knock("021111111113-phone.cfg", user_agent="curl/8")  # a name that only one maker's phones ask for
    found = {phone.mac: (phone.vendor, phone.model) for phone in await door.listed()}
    assert found == {
        "0004f2222222": ("poly", ""),
        "021111111112": ("poly", "vvx-411"),
        "021111111113": ("poly", ""),
    }


async def test_what_is_hostile_is_made_harmless_on_the_way_in(door: Door) -> None:
    await door.knock(
        f"{NEW}-<script>&\"'\x00\n\U0001f600.cfg",
        f"{NEW}/../../etc/passwd",
        f"{NEW}-" + "a" * 900,
        user_agent="FileTransport PolycomVVX-VVX_411-UA/<b>&\x00 Type/Application",
        address="not an address & more",
    )
    (found,) = await door.listed()
    assert (found.address, found.firmware, found.files) == ("", "", (f"{NEW}/../../etc/passwd",))
    certificate = Certified("poly", "<b>&", "no digest\x00")
    await door.knock(listener="mtls", certificate=certificate)
    (found,) = await door.listed()
    assert (found.certificate, found.certified) == ("", "")


async def test_of_the_names_it_asks_for_only_some_are_kept(door: Door) -> None:
    await door.knock(*(f"{NEW}-{number}.cfg" for number in range(20)))
    (found,) = await door.listed()
    assert (len(found.files), found.count) == (MOST_FILES, 20)


async def test_a_certificate_says_whom_it_proves(door: Door) -> None:
    await door.knock(listener="mtls", certificate=Certified("poly", VVX, SECRET_SHA))
    (found,) = await door.listed()
    assert (found.certificate, found.certified, found.is_certified) == (SECRET_SHA, VVX, False)
    await door.knock(listener="mtls", certificate=Certified("poly", NEW, "cd" * 32), address="10.0.0.1")
    await door.knock(address="10.0.0.66", user_agent=HD400_UA)
    (found,) = await door.listed()
    # Who has shown the certificate is not driven out by whoever names the MAC.
    assert (found.certificate, found.is_certified, found.address) == ("cd" * 32, True, "10.0.0.1")
    assert (found.model, found.count) == ("vvx-411", 3)


async def test_a_user_agent_of_another_maker_than_the_certificate_is_not_believed(door: Door) -> None:
    await door.knock(listener="mtls", certificate=Certified("poly", NEW, SECRET_SHA), user_agent=HD400_UA)
    (found,) = await door.listed()
    assert (found.vendor, found.model, found.firmware) == ("poly", "", "")


async def test_a_denied_one_stays_quiet_until_it_is_forgotten(door: Door) -> None:
    await door.knock()
    await door.services.unknown_phones.deny(ADMIN, "00:04:F2:10:00:01", HOSTILE_NAME)
    assert await door.listed() == []
    await door.knock()
    (found,) = await door.listed(state="denied")
    assert (found.denied_by, found.why, found.count) == ("test", HOSTILE_NAME, 2)
    assert await door.listed() == []
    await door.services.unknown_phones.forget(ADMIN, NEW)
    assert await door.listed(state="denied") == []
    await door.knock()
    assert len(await door.listed()) == 1
    (record, *_), _ = await door.services.audit.page(ADMIN, action="unknown_phone.denied")
    assert (record.subject, record.reason, record.actor) == (NEW, HOSTILE_NAME, "test")
    with pytest.raises(NotFound):
        await door.services.unknown_phones.deny(ADMIN, "0004f2999999")
    with pytest.raises(BadValue, match="mac"):
        await door.services.unknown_phones.forget(ADMIN, "<b>")


async def test_new_ones_are_an_event_once_a_minute(door: Door) -> None:
    await door.knock(address="10.1.0.9")
    await door.knock("0004f2100002.cfg", "0004f2100003.cfg")
    assert await events(door.services, "phone.knocked") == [f"{NEW} vvx-411 at 10.1.0.9"]
    door.check_ins.knocks._reported_at -= timedelta(minutes=2)
    await door.knock()
    assert await events(door.services, "phone.knocked") == [
        "0004f2100002 vvx-411 at 127.0.0.1, and 1 more",
        f"{NEW} vvx-411 at 10.1.0.9",
    ]


async def test_lists_are_filtered_and_come_in_parts(door: Door) -> None:
    for number in range(7):
        await door.knock(f"0004f210000{number}.cfg", address=f"10.{number % 2}.0.{number}")
    await door.knock("00908f100000.cfg", user_agent=HD400_UA, address="10.0.0.99")
    unknown = door.services.unknown_phones
    assert [phone.mac for phone in await door.listed(vendor="audiocodes")] == ["00908f100000"]
    assert len(await door.listed(model="vvx-411")) == 7
    assert len(await door.listed(network="10.1.0.0/16")) == 3
    assert [phone.mac for phone in await door.listed(network="10.0.0.4")] == ["0004f2100004"]
    seen: list[str] = []
    after, more = None, True
    while more:
        part, more = await unknown.page(ADMIN, after=after, limit=3)
        seen += [phone.mac for phone in part]
        after = (part[-1].first_at, part[-1].mac)
        # One that asks again meanwhile keeps its place.
        await door.knock("0004f2100000.cfg")
    assert seen == ["00908f100000", *(f"0004f210000{number}" for number in reversed(range(7)))]
    part, more = await unknown.page(ADMIN, network="10.0.0.0/16", limit=2)
    assert more and len(part) == 2
    for wrong in ({"network": "10.0.0.0/33"}, {"state": "<b>"}):
        with pytest.raises(BadValue, match=next(iter(wrong))):
            await unknown.page(ADMIN, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "broken",
    [
        'files = \'{"no": "list"}\'',
        "files = '[1, 2]'",
        "files = 'no JSON &'",
        "last_at = 'yesterday'",
        "count = 'many'",
    ],
)
async def test_a_row_that_cannot_be_read_spoils_neither_the_list_nor_what_comes(door: Door, broken: str) -> None:
    for number in range(4):
        await door.knock(f"0004f210000{number}.cfg")
    async with door.services.store.database.writing() as connection:
        await connection.execute(sa.text(f"UPDATE unknown_phones SET {broken} WHERE mac = '0004f2100002'"))
    if "last_at" not in broken:
        assert [phone.mac[-1] for phone in await door.listed()] == ["3", "1", "0"]
        part, more = await door.services.unknown_phones.page(ADMIN, limit=1)
        assert (part[0].mac[-1], more) == ("3", True)
    await door.services.unknown_phones.forget(ADMIN, "0004f2100002")
    assert await rows(door.services) == 3


async def test_a_row_that_cannot_be_read_is_written_anew_when_the_phone_asks(door: Door) -> None:
    await door.knock()
    async with door.services.store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE unknown_phones SET files = 'no JSON', last_at = 'never'"))
    await door.knock()
    (found,) = await door.listed()
    assert (found.files, found.count) == ((f"{NEW}.cfg",), 1)


async def test_what_could_not_be_written_is_written_with_the_next(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    store = door.services.store
    with monkeypatch.context() as broken:
        broken.setattr(store, "write", lambda: (_ for _ in ()).throw(StoreUnavailable("full")))
        await door.knock(f"{NEW}.cfg")
    await door.knock(f"{NEW}-phone.cfg")
    (found,) = await door.listed()
    assert (found.count, len(found.files)) == (2, 2)


async def test_made_up_macs_fill_neither_the_table_nor_memory(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_of, "MOST", 150)
    monkeypatch.setattr(knocks, "MOST_NEW", 40)
    for second in range(10):
        for number in range(300):
            address = f"10.{number % 50}.0.{second}"
            await door.ask(f"0004f2{second:02x}{number:04x}.cfg", address=address)
        assert len(door.check_ins.knocks) == 300
        await door.check_ins.flush()
        assert await rows(door.services) == min(40 * (second + 1), 150)
    assert len(door.check_ins.knocks) == 0 and not door.check_ins.knocks._of_address
    assert door.check_ins.knocks.left_out == 10 * 260
    # The last ones are there: those that were seen longest ago made room.
    assert {phone.mac[6:8] for phone in await door.listed()} == {"06", "07", "08", "09"}


async def test_one_address_that_makes_macs_up_leaves_room_for_others(door: Door) -> None:
    for number in range(knocks.MOST_OF_ADDRESS + 50):
        await door.ask(f"0004f2{number:06x}.cfg", address="10.6.6.6")
    await door.ask(f"{NEW}.cfg", address="10.1.0.9")
    assert len(door.check_ins.knocks) == knocks.MOST_OF_ADDRESS + 1
    assert door.check_ins.knocks.left_out == 50
    for number in range(2000):
        await door.ask(f"0004f3{number:06x}.cfg", address=f"10.7.{number >> 8}.{number & 255}")
    assert len(door.check_ins.knocks) == knocks.MOST_WAITING
    await door.check_ins.flush()
    assert NEW in {phone.mac for phone in await door.listed()}


async def test_who_waits_is_forgotten_after_a_day_and_who_was_denied_after_three_months(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.knock("0004f2100001.cfg", "0004f2100002.cfg")
    await door.services.unknown_phones.deny(ADMIN, "0004f2100002")
    now = datetime.now(UTC)
    async with door.services.store.write() as session:
        found = await session.unknown_phones.of(["0004f2100001", "0004f2100002"])
        old = now - table_of.WAITING_KEPT - timedelta(minutes=1)
        await session.unknown_phones.keep([replace(phone, last_at=old) for phone in found.values()])
    assert await door.listed() == [] and len(await door.listed(state="denied")) == 1
    await forget_old(door.services.store)
    assert await rows(door.services) == 1
    await forget_old(door.services.store, now + table_of.DENIED_KEPT)
    assert await rows(door.services) == 0


async def test_those_that_were_denied_are_bounded_too(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_of, "MOST", 3)
    for number in range(5):
        await door.knock(f"0004f210000{number}.cfg")
        await door.services.unknown_phones.deny(ADMIN, f"0004f210000{number}")
    await door.knock("0004f2100008.cfg")
    assert {phone.mac[-1] for phone in await door.listed(state="denied")} == {"2", "3", "4"}
    assert len(await door.listed()) == 1


async def test_an_approved_phone_is_configured_when_it_asks_again(door: Door) -> None:
    await door.knock()
    line = LineChange("1001", password=HOSTILE_PASSWORD, display_name=HOSTILE_NAME)
    written = await door.services.unknown_phones.approve(ADMIN, NEW, *VVX_STANDARD, name=HOSTILE_NAME, lines=[line])
    assert (written.phone.model, written.phone.name, written.warnings) == ("vvx-411", HOSTILE_NAME, [])
    assert await door.listed() == [] and await rows(door.services) == 0
    assert await door.ask(f"{NEW}-settings.cfg") == 200
    records, _ = await door.services.audit.page(ADMIN, subject=NEW)
    assert [(record.action, record.reason) for record in records] == [("phone.added", "it asked from 127.0.0.1")]
    with pytest.raises(Conflict):
        await door.services.unknown_phones.approve(ADMIN, NEW, *VVX_STANDARD)


async def windows(services: Services) -> dict[str, datetime]:
    async with services.store.read() as session:
        found = [part async for part in session.phone_proofs.open_windows(datetime.now(UTC))]
    return {mac: until for part in found for mac, until in part.items()}


async def test_a_window_is_opened_only_for_a_phone_without_a_proof_of_its_own(door: Door) -> None:
    unknown = door.services.unknown_phones
    macs = [f"0004f210000{number}" for number in range(5)]
    for mac in macs[:2]:
        await door.knock(f"{mac}.cfg", address="203.0.113.7")
    await door.knock(f"{macs[2]}.cfg")
    certificate = Certified("poly", macs[3], SECRET_SHA)
    await door.knock(f"{macs[3]}.cfg", address="203.0.113.7", listener="mtls", certificate=certificate)
    await door.knock(f"{macs[4]}.cfg", address="")
    before = datetime.now(UTC)
    assert (await unknown.approve(ADMIN, macs[0], *VVX_STANDARD, open_window=5)).warnings == []
    (warning,) = (await unknown.approve(ADMIN, macs[1], *VVX_STANDARD, open_window=0)).warnings
    assert "203.0.113.7 is in no network of site madrid" in warning
    for mac in macs[2:4]:
        assert (await unknown.approve(ADMIN, mac, *VVX_STANDARD)).warnings == []
    found = await windows(door.services)
    assert list(found) == [macs[0]]
    assert timedelta(minutes=4) < found[macs[0]] - before < timedelta(minutes=6)
    await door.services.sites.edit(ADMIN, "madrid", None, {"proofs": "network,certificate"})
    (warning,) = (await unknown.approve(ADMIN, macs[4], *VVX_STANDARD)).warnings
    assert "its address is not known" in warning and macs[4] not in await windows(door.services)
    for wrong in (-1, 10_081):
        with pytest.raises(BadValue, match="open_window"):
            await unknown.approve(ADMIN, NEW, *VVX_STANDARD, open_window=wrong)


async def test_what_phone_add_would_refuse_is_refused_and_leaves_it_waiting(door: Door) -> None:
    await door.knock()
    await door.knock("021111111113-phone.cfg", user_agent="curl/8")
    unknown = door.services.unknown_phones
    for arguments, more, field in (
        ((NEW, "atlantis", "vvx-standard"), {}, "site"),
        ((NEW, "madrid", "nothing"), {}, "base_settings"),
        ((NEW, "madrid", "400hd"), {}, "base_settings"),
        ((NEW, *VVX_STANDARD), {"model": "vvx-999"}, "model"),
        ((NEW, *VVX_STANDARD), {"name": "a\nb"}, "name"),
        ((NEW, *VVX_STANDARD), {"lines": [LineChange("")]}, "lines.1.user"),
        (("021111111113", *VVX_STANDARD), {}, "model"),
        (("<b>", *VVX_STANDARD), {}, "mac"),
    ):
        with pytest.raises(BadValue) as refused:
            await unknown.approve(ADMIN, *arguments, **more)
        assert refused.value.field == field
    with pytest.raises(NotFound):
        await unknown.approve(ADMIN, "0004f2999999", *VVX_STANDARD)
    assert len(await door.listed()) == 2
    named = await unknown.approve(ADMIN, "021111111113", *VVX_STANDARD, model="vvx-311")
    assert named.phone.model == "vvx-311"
    assert any("021111111113" in warning for warning in named.warnings)  # what `phone add` says of such a MAC


async def test_many_are_approved_each_by_itself(door: Door) -> None:
    await door.knock("0004f2100001.cfg", "0004f2100002.cfg", "0004f2100003-none.bin")
    await door.knock("021111111113-phone.cfg", user_agent="curl/8")
    macs = ["00:04:f2:10:00:01", "<b>", "0004f2999999", VVX, "021111111113", "0004f2100002", "0004f2100001"]
    results = await door.services.unknown_phones.approve_many(ADMIN, macs, *VVX_STANDARD)
    assert [bool(result.written) for result in results] == [True, False, False, False, False, True, False]
    assert [result.mac for result in results if result.written] == ["0004f2100001", "0004f2100002"]
    said = [result.problem for result in results if result.problem]
    for problem, words in zip(said, ("mac:", "no unknown", "exists already", "model:", "exists already"), strict=True):
        assert words in problem
    assert {phone.mac for phone in await door.listed()} == {"0004f2100003", "021111111113"}
    with pytest.raises(BadValue, match="macs"):
        await door.services.unknown_phones.approve_many(ADMIN, [NEW] * 1001, *VVX_STANDARD)


async def test_many_take_few_transactions_and_one_that_is_refused_hinders_no_other(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    macs = [f"0004f21{number:05x}" for number in range(120)]
    now, store, begun = datetime.now(UTC), door.services.store, list[int]()
    async with store.write() as session:
        await session.unknown_phones.keep([UnknownPhone(mac, now, now, "poly", "vvx-411") for mac in macs])
    write = store.write
    monkeypatch.setattr(store, "write", lambda: begun.append(1) or write())
    results = await door.services.unknown_phones.approve_many(ADMIN, [*macs[:70], VVX, *macs[70:]], *VVX_STANDARD)

    assert len(begun) == 3 and [result.mac for result in results if result.problem] == [VVX]
    found = {phone.hardware_id: phone for phone in await door.services.phones.all(ADMIN)}
    assert all(found[mac].site == "madrid" for mac in macs) and await door.listed() == []


async def test_one_is_shown_while_it_waits_and_when_it_is_denied(door: Door) -> None:
    await door.knock()
    unknown = door.services.unknown_phones
    assert (await unknown.get(ADMIN, NEW.upper())).state == "waiting"
    await unknown.deny(ADMIN, NEW, "not ours")
    assert ((await unknown.get(ADMIN, NEW)).state, (await unknown.get(ADMIN, NEW)).why) == ("denied", "not ours")
    with pytest.raises(NotFound, match="no unknown phone 0004f2999999"):
        await unknown.get(ADMIN, "0004f2999999")
    with pytest.raises(BadValue, match="is not a MAC address"):
        await unknown.get(ADMIN, "<b>")


async def test_of_two_who_approve_the_same_phone_at_once_one_wins(door: Door, other: Services) -> None:
    for number in range(5):
        mac = f"0004f210000{number}"
        await door.knock(f"{mac}.cfg")
        calls = (s.unknown_phones.approve(ADMIN, mac, *VVX_STANDARD) for s in (door.services, other))
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert sorted(type(one).__name__ for one in found) == ["Conflict", "Written"]
    assert len(await door.services.phones.all(ADMIN)) == 3 + 5


async def test_who_approves_needs_both_permissions_at_that_site(door: Door) -> None:
    await door.knock()
    unknown = door.services.unknown_phones

    def who(*permissions: str, site: str = "madrid") -> Actor:
        return Actor("token:x", (Grant(frozenset(permissions), site),))

    for actor in (
        who("phones:approve"),
        who("phones:add"),
        who("phones:approve", "phones:add", site="lisbon"),
    ):
        with pytest.raises(Forbidden):
            await unknown.approve(actor, NEW, *VVX_STANDARD)
        with pytest.raises(Forbidden):
            await unknown.approve_many(actor, [NEW], *VVX_STANDARD)
    for call in (
        lambda actor: unknown.page(actor),
        lambda actor: unknown.get(actor, NEW),
        lambda actor: unknown.deny(actor, NEW),
        lambda actor: unknown.forget(actor, NEW),
    ):
        with pytest.raises(Forbidden):
            await call(who("phones:add", "phones:view"))
    assert (await unknown.page(who("phones:approve", site="lisbon")))[0][0].mac == NEW
    assert (await unknown.approve(who("phones:approve", "phones:add"), NEW, *VVX_STANDARD)).phone.id


async def test_a_phone_that_is_added_by_other_means_is_listed_no_more(door: Door) -> None:
    await door.knock()
    phone = replace(await door.services.phones.get(ADMIN, VVX), hardware_id=NEW)
    await door.services.phones.add(ADMIN, phone)
    assert await door.listed() == []
    assert isinstance(await refused(lambda: door.services.unknown_phones.approve(ADMIN, NEW, *VVX_STANDARD)), Conflict)


async def refused(call: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as found:
        await call()
    return found.value
