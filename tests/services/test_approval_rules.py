"""Approval rules: unknown phones that become phones without anybody looking, and no more of them than was said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import ADMIN, HD400_UA, VVX, VVX_UA
from tests.services.opened import open_data
from tests.services.test_unknown_phones import SECRET_SHA, Door, events, rows, windows
from ztp_server.domain.access import PERMISSIONS, Actor, Grant, granted
from ztp_server.domain.approval_rule import ApprovalRule
from ztp_server.domain.request import Certified
from ztp_server.errors import BadValue, Conflict, Forbidden, NotFound, Stale
from ztp_server.services.opening import Services
from ztp_server.services.rule_approvals import RuleApprovals

LOBBY = {"site": "madrid", "base_settings": "vvx-standard", "most": 3}
OFFICE = "10.20.0.0/16"
TRIO_UA = "FileTransport PolycomTrio-Trio_8800-UA/5.9.5.3182 Type/Application"


class RuledDoor(Door):
    """A door whose knocks are held against the rules, when a test says so."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.approvals = RuleApprovals(services.store, services.templates, services.address, self.check_ins.report)
        self.check_ins.knocked = self.approvals.consider

    async def knock(self, *paths: str, **more: Any) -> None:
        await super().knock(*paths, **more)
        await self.approvals.work()
        await self.check_ins.flush()

    async def rule(self, **changes: Any) -> ApprovalRule:
        """The rule `lobby`, for phones in 10.20.0.0/16."""
        wanted = LOBBY | {"networks": [OFFICE]} | changes
        return await self.services.approval_rules.add(ADMIN, "lobby", wanted)

    async def names(self) -> set[str]:
        found = {phone.hardware_id for phone in await self.services.phones.all(ADMIN)}
        return {one for one in found if one.startswith("0004f21")}


@pytest.fixture
async def door(office: Services) -> RuledDoor:
    return RuledDoor(office)


@pytest.fixture
async def other(office: Services, data: Path) -> AsyncIterator[RuledDoor]:
    """Another process over the same data."""
    opened = await open_data(data)
    yield RuledDoor(opened)
    await opened.close()


def mac(number: int) -> str:
    return f"0004f21{number:05x}"


async def why_of(door: Door, of: str = "") -> str:
    (found,) = [phone for phone in await door.listed() if of in ("", phone.mac)]
    return found.why


async def test_a_phone_that_fits_is_configured_when_it_asks_again(door: RuledDoor) -> None:
    await door.rule()
    assert await door.ask(f"{mac(1)}-settings.cfg", address="10.20.0.9") == 404
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    phone = await door.services.phones.get(ADMIN, mac(1))
    assert (phone.model, phone.site, phone.base_settings, phone.name) == ("vvx-411", "madrid", "vvx-standard", mac(1))
    records, _ = await door.services.audit.page(ADMIN, subject=mac(1))
    assert {record.actor for record in records} == {"rule:lobby"}
    # 10.20.0.9 is in no network of the site, so a window is opened for it.
    assert {record.action for record in records} >= {"phone.added", "window.opened"}
    assert list(await windows(door.services)) == [mac(1)]
    found, _ = await door.services.events.page(ADMIN, subject=mac(1), action="phone.approved")
    assert [(event.actor, event.detail["rule"]) for _, event in found] == [("rule:lobby", "lobby")]
    assert await rows(door.services) == 0
    assert (await door.services.approval_rules.get(ADMIN, "lobby")).approved == 1


async def test_without_networks_of_its_own_a_rule_has_those_of_its_site_as_they_are(door: RuledDoor) -> None:
    await door.rule(networks=[])
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == set()
    await door.services.sites.edit(ADMIN, "madrid", None, {"networks": "10.20.0.0/16"})
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == {mac(1)} and await windows(door.services) == {}
    assert await door.ask(f"{mac(1)}-settings.cfg", address="10.20.0.9") == 200
    # A site that takes the whole world for its own says nothing of who is there.
    await door.services.sites.edit(ADMIN, "madrid", None, {"networks": "0.0.0.0/0,::/0"})
    await door.knock(f"{mac(2)}.cfg", address="203.0.113.7")
    assert await door.names() == {mac(1)}


async def test_who_asks_from_elsewhere_or_hides_stays_where_it_is(door: RuledDoor) -> None:
    await door.rule()
    for address in ("10.21.0.1", "", "::1"):
        await door.knock(f"{mac(1)}.cfg", address=address)
    await door.knock(f"{mac(2)}.cfg", address="::ffff:10.20.0.1")
    assert await door.names() == {mac(2)}
    assert await why_of(door) == "" and await events(door.services, "approval_rule.passed_over") == []


async def test_a_rule_approves_so_many_and_says_once_that_it_is_through(door: RuledDoor) -> None:
    await door.rule(most=2)
    await door.knock(*(f"{mac(number)}.cfg" for number in range(5)), address="10.20.0.9")
    assert await door.names() == {mac(0), mac(1)}
    for _ in range(3):
        await door.knock(*(f"{mac(number)}.cfg" for number in range(5)), address="10.20.0.9")
    assert await door.names() == {mac(0), mac(1)}
    assert "approval rule lobby: " in await why_of(door, mac(3))
    # Of many phones kept out for the same reason, and of each that asks again for ever, one event.
    assert await events(door.services, "approval_rule.passed_over") == [f"{mac(2)}: the rule has approved its 2"]
    await door.services.approval_rules.edit(ADMIN, "lobby", {"most": 3})
    await door.knock(f"{mac(4)}.cfg", address="10.20.0.9")
    assert await door.names() == {mac(0), mac(1), mac(4)}


async def test_two_processes_approve_no_more_than_one_would(door: RuledDoor, other: RuledDoor) -> None:
    await door.rule(most=3)
    for number in range(3):
        await Door.knock(door, f"{mac(number)}.cfg", address="10.20.0.9")
        await Door.knock(other, f"{mac(number)}.cfg", f"{mac(number + 10)}.cfg", address="10.20.0.9")
    await door.approvals.work()
    await other.approvals.work()
    assert len(await door.names()) == 3
    assert (await door.services.approval_rules.get(ADMIN, "lobby")).approved == 3


async def test_a_rule_may_want_the_factory_certificate(door: RuledDoor) -> None:
    await door.rule(proof="certificate")
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert "no factory certificate" in await why_of(door)
    shown = Certified("poly", VVX, SECRET_SHA)
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9", listener="mtls", certificate=shown)
    assert await door.names() == set()
    own = Certified("poly", mac(1), SECRET_SHA)
    # Shown elsewhere, it does not vouch for whoever names the MAC from here.
    await door.knock(f"{mac(1)}.cfg", address="203.0.113.7", listener="mtls", certificate=own)
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == set()
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9", listener="mtls", certificate=own)
    assert await door.names() == {mac(1)} and await windows(door.services) == {}
    assert await door.ask(f"{mac(1)}-settings.cfg", address="10.20.0.9", listener="mtls", certificate=own) == 200


async def test_what_keeps_a_phone_out_is_told_once_for_all(door: RuledDoor) -> None:
    await door.rule()
    for _ in range(3):
        await door.knock(f"{mac(1)}.cfg", user_agent="", address="10.20.0.9")
        await door.knock(f"{mac(2)}.cfg", user_agent=TRIO_UA, address="10.20.0.9")
        await door.knock("00908f100000.cfg", user_agent=HD400_UA, address="10.20.0.9")
        await door.knock("021111111111.cfg", user_agent="curl/8", address="10.20.0.9")
    said = await events(door.services, "approval_rule.passed_over")
    assert len(said) == 2
    assert any(mac(1) in text and "which model" in text for text in said)
    assert any(mac(2) in text and "Trio 8800" in text for text in said)
    assert {phone.mac for phone in await door.listed() if not phone.why} == {"00908f100000", "021111111111"}
    # Once the phone says what it is, the rule holds.
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == {mac(1)}


async def test_what_phone_add_would_refuse_is_refused_to_a_rule_as_well(door: RuledDoor) -> None:
    await door.rule()
    async with door.services.store.write() as session:
        base = await session.base_settings.get("vvx-standard")
        # As an administrator's own table of a family, changed since, would leave it.
        unfit = {**base.settings, "rtp_port_start": 64_000, "rtp_port_count": 4000}
        await session.base_settings.revise(type(base)(base.id, base.name, base.model, unfit, base.revision), "test")
    for _ in range(3):
        await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == set() and "rtp_port" in await why_of(door)
    assert len(await events(door.services, "approval_rule.passed_over")) == 1
    assert (await door.services.approval_rules.get(ADMIN, "lobby")).approved == 0


async def test_one_that_was_denied_is_approved_by_no_rule(door: RuledDoor) -> None:
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    await door.services.unknown_phones.deny(ADMIN, mac(1))
    await door.rule()
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == set()


async def test_one_that_is_denied_while_it_waits_for_a_rule_stays_out(door: RuledDoor) -> None:
    await door.rule()
    await Door.knock(door, f"{mac(1)}.cfg", address="10.20.0.9")
    await door.services.unknown_phones.deny(ADMIN, mac(1))
    await door.approvals.work()
    assert await door.names() == set()


async def test_a_rule_ends_at_its_time(door: RuledDoor) -> None:
    await door.rule(until=datetime.now(UTC) + timedelta(hours=1))
    async with door.services.store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE approval_rules SET until = '2020-01-01 00:00:00.000000'"))
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == set() and "ended at 2020-01-01" in await why_of(door)
    # What has ended may be changed in other things, and be given another end.
    await door.services.approval_rules.edit(ADMIN, "lobby", {"most": 4})
    await door.services.approval_rules.edit(ADMIN, "lobby", {"until": None})
    await door.knock(f"{mac(1)}.cfg", address="10.20.0.9")
    assert await door.names() == {mac(1)}


async def test_of_rules_the_first_that_lets_a_phone_in_does(door: RuledDoor) -> None:
    await door.services.base_settings.add(ADMIN, "trio", "", "trio-8800", {})
    await door.rule()
    await door.services.approval_rules.add(ADMIN, "trios", LOBBY | {"base_settings": "trio", "networks": [OFFICE]})
    await door.knock(f"{mac(1)}.cfg", user_agent=TRIO_UA, address="10.20.0.9")
    await door.knock(f"{mac(2)}.cfg", user_agent=VVX_UA, address="10.20.0.9")
    found = {phone.hardware_id: phone.base_settings for phone in await door.services.phones.all(ADMIN)}
    assert (found[mac(1)], found[mac(2)]) == ("trio", "vvx-standard")
    assert await events(door.services, "approval_rule.passed_over") == []


async def test_a_wrong_rule_is_refused_naming_the_field(office: Services) -> None:
    rules = office.approval_rules
    past = datetime.now(UTC) - timedelta(minutes=1)
    for changes, field in (
        ({"site": "atlantis"}, "site"),
        ({"site": None}, "site"),
        ({"base_settings": "nothing"}, "base_settings"),
        ({"most": 0}, "most"),
        ({"most": 100_001}, "most"),
        ({"networks": ["0.0.0.0/0"]}, "networks"),
        ({"networks": ["0.0.0.0/1", "128.0.0.0/1"]}, "networks"),
        ({"networks": ["::/0"]}, "networks"),
        ({"networks": ["<b>&"]}, "networks"),
        ({"networks": [f"10.0.{n}.0/24" for n in range(65)]}, "networks"),
        ({"proof": "<b>"}, "proof"),
        ({"until": past}, "until"),
    ):
        with pytest.raises(BadValue) as refused:
            await rules.add(ADMIN, "lobby", LOBBY | changes)
        assert refused.value.field == field
    with pytest.raises(BadValue, match="id"):
        await rules.add(ADMIN, "Lobby & more", LOBBY)
    await office.sites.edit(ADMIN, "madrid", None, {"networks": "0.0.0.0/0"})
    with pytest.raises(BadValue, match="networks"):
        await rules.add(ADMIN, "lobby", LOBBY)
    assert await rules.page(ADMIN) == ([], False)


async def test_rules_are_changed_by_revision_and_every_change_is_in_the_audit(office: Services) -> None:
    rules = office.approval_rules
    made = await rules.add(ADMIN, "lobby", LOBBY, reason="a & b")
    with pytest.raises(Conflict):
        await rules.add(ADMIN, "lobby", LOBBY)
    changed = await rules.edit(ADMIN, "lobby", {"networks": ["10.9.0.0/16"], "most": 9}, revision=made.revision)
    assert (changed.networks, changed.most, changed.revision) == (("10.9.0.0/16",), 9, 2)
    assert await rules.edit(ADMIN, "lobby", {"most": 9}) == changed
    with pytest.raises(Stale):
        await rules.edit(ADMIN, "lobby", {"most": 10}, revision=1)
    with pytest.raises(Stale):
        await rules.remove(ADMIN, "lobby", revision=1)
    await rules.remove(ADMIN, "lobby")
    with pytest.raises(NotFound):
        await rules.get(ADMIN, "lobby")
    records, _ = await office.audit.page(ADMIN, subject="approval_rule:lobby")
    assert [record.action for record in reversed(records)] == [
        *("approval_rule.added", "approval_rule.changed", "approval_rule.removed")
    ]
    assert records[-1].reason == "a & b" and records[1].after["most"] == 9


async def test_a_site_and_base_settings_that_a_rule_names_cannot_be_removed(office: Services) -> None:
    await office.sites.add(ADMIN, "lisbon", "", {})
    await office.base_settings.add(ADMIN, "fresh", "", "vvx-411", {})
    await office.approval_rules.add(ADMIN, "lobby", {"site": "lisbon", "base_settings": "fresh", "most": 1})
    blind = Actor("token:x", (Grant(frozenset(PERMISSIONS) - {"trust:view"}),))
    for remove, name in ((office.sites.remove, "lisbon"), (office.base_settings.remove, "fresh")):
        with pytest.raises(Conflict, match="lobby"):
            await remove(ADMIN, name)
        with pytest.raises(Conflict) as refused:
            await remove(blind, name)
        assert "lobby" not in str(refused.value)
    await office.approval_rules.remove(ADMIN, "lobby")
    await office.sites.remove(ADMIN, "lisbon")
    await office.base_settings.remove(ADMIN, "fresh")


async def test_nobody_makes_a_rule_that_does_what_they_may_not(office: Services) -> None:
    rules = office.approval_rules
    await rules.add(ADMIN, "lobby", LOBBY)
    trust = Grant(frozenset({"trust:view", "trust:edit"}))
    for more in (
        (),
        granted(frozenset({"phones:approve"})),
        granted(frozenset({"phones:add"})),
        granted(frozenset({"phones:add", "phones:approve"}), "lisbon"),
    ):
        actor = Actor("token:x", (trust, *more))
        for call in (rules.add(actor, "new", LOBBY), rules.edit(actor, "lobby", {"most": 99})):
            with pytest.raises(Forbidden):
                await call
    here = Actor("token:x", (trust, *granted(frozenset({"phones:add", "phones:approve"}), "madrid")))
    assert (await rules.edit(here, "lobby", {"most": 99})).most == 99
