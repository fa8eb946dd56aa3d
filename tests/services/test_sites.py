"""Sites: what they hold, what an edit would do, and who may do it at which."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import ADMIN, HD400, OTHER_VVX, VVX
from tests.services.test_base_settings import audit, diff_of
from ztp_server.domain.access import ROLES, Actor, Grant
from ztp_server.errors import BadValue, Forbidden, InUse, NotFound, Stale
from ztp_server.services.opening import Services

OF_PARIS = Actor("paris", (Grant(ROLES["admin"], "paris"),))
VIEWER = Actor("viewer", (Grant(ROLES["viewer"]),))


@pytest.fixture
async def two_sites(office: Services) -> Services:
    await office.sites.add(ADMIN, "paris", "Paris", {"sip_server": "sip.example.net"})
    await office.phones.edit(ADMIN, OTHER_VVX, {"site": "paris"}, {})
    return office


# ---- fields ---------------------------------------------------------------------------------------------------------


async def test_a_civic_address_is_kept_element_by_element(office: Services) -> None:
    await office.sites.edit(
        ADMIN, "madrid", None, {"civic.country": "es", "civic.A3": "Madrid", "civic.RD": "Calle <\"O'&> 😀"}
    )
    await office.sites.edit(ADMIN, "madrid", None, {"civic.A3": None, "civic.FLR": "3"})
    site = await office.sites.get(ADMIN, "madrid")
    assert site.civic_address == {"country": "ES", "RD": "Calle <\"O'&> 😀", "FLR": "3"}
    changed = (await audit(office, "madrid"))[0]
    assert changed.before == {"civic_address.A3": "Madrid"} and changed.after == {"civic_address.FLR": "3"}

    await office.sites.edit(ADMIN, "madrid", None, {"civic_address": {"FLR": None, "ROOM": "301"}})
    assert dict((await office.sites.get(ADMIN, "madrid")).civic_address).keys() == {"country", "RD", "ROOM"}
    await office.sites.edit(ADMIN, "madrid", None, {"civic_address": None})
    assert (await office.sites.get(ADMIN, "madrid")).civic_address == {}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"civic.A3": "Madrid"}, r"civic_address\.country: is needed"),
        ({"civic.country": "ESP"}, r"civic_address\.country: must be two letters"),
        ({"civic.country": "ES", "civic.a3": "x"}, r"civic_address\.a3: is no element.*did you mean A3\?"),
        ({"civic.country": "ES", "civic.city": "x"}, r"civic_address\.city: is no element"),
        ({"civic.country": "ES", "civic.A3": " "}, r"civic_address\.A3: must not be empty"),
        ({"civic.country": "ES", "civic.A3": "a\nb"}, r"civic_address\.A3: character U\+000A"),
        ({"civic.country": "ES", "civic.A3": "x" * 256}, r"civic_address\.A3: 256 characters"),
        ({"civic_address": {"country": 34}}, r"civic_address\.country: must be text"),
        ({"civic_address": "Madrid"}, r"civic_address: must be elements"),
        ({"webrtc_url": "ws://sip.example.net"}, "webrtc_url: must be a URL such as wss"),
        ({"webrtc_url": "wss://user:pass@sip.example.net/"}, "webrtc_url"),
        ({"webrtc_url": "wss://sip.example.net/#x"}, "webrtc_url"),
        ({"webrtc_url": "wss://sip.example.net:99999/"}, "webrtc_url"),
        ({"webrtc_url": "wss://[::g]/"}, "webrtc_url"),
        ({"webrtc_url": "wss://sip.example.net/ x"}, "webrtc_url"),
        ({"ice_servers": "stun:a.example.net,http://b"}, r"ice_servers\.2: must be a URI"),
        ({"ice_servers": "stun:a?transport=tcp"}, r"ice_servers\.1"),
        ({"ice_servers": "turn:user@a"}, r"ice_servers\.1"),
        ({"ice_servers": ["turn:a"] * 17}, "ice_servers: 17 servers, at most 16"),
        ({"ice_servers": [1]}, r"ice_servers\.1: must be text"),
        ({"networks": None}, "networks: cannot be unset"),
        ({"networks": [7]}, r"networks\.1: must be text"),
        ({"plain_secrets": None}, "plain_secrets: cannot be unset"),
    ],
)
async def test_a_bad_field_is_refused_by_name_and_nothing_is_changed(
    office: Services, changes: dict[str, Any], complaint: str
) -> None:
    before = await office.sites.get(ADMIN, "madrid")
    with pytest.raises(BadValue, match=f"^{complaint}"):
        await office.sites.edit(ADMIN, "madrid", None, changes | {"sip_port": 5071})
    assert await office.sites.get(ADMIN, "madrid") == before


async def test_what_a_browser_connects_to_is_kept_and_emptied(office: Services) -> None:
    servers = ["stun:stun.example.net", "turns:[2001:db8::1]:5349?transport=tcp"]
    await office.sites.edit(
        ADMIN, "madrid", None, {"webrtc_url": "wss://sip.example.net:8443/ws?a=b", "ice_servers": ",".join(servers)}
    )
    site = await office.sites.get(ADMIN, "madrid")
    assert (site.webrtc_url, list(site.ice_servers)) == ("wss://sip.example.net:8443/ws?a=b", servers)
    await office.sites.edit(ADMIN, "madrid", None, {"webrtc_url": None, "ice_servers": None})
    site = await office.sites.get(ADMIN, "madrid")
    assert (site.webrtc_url, site.ice_servers) == ("", ())


# ---- edits ----------------------------------------------------------------------------------------------------------


async def test_a_saved_edit_says_which_phones_it_touches(office: Services) -> None:
    edited = await office.sites.edit(ADMIN, "madrid", None, {"rtp_dscp": 40}, reason="as agreed")
    assert edited.record.revision == 2 and edited.samples == ()
    assert edited.affected.phones == 3 and edited.affected.models == {"vvx-411": 2, "audiocodes-405hd": 1}
    assert edited.affected.base_settings == {"vvx-standard": 2, "400hd": 1}
    changed = (await audit(office, "madrid"))[0]
    assert (changed.action, changed.reason, changed.after) == ("site.changed", "as agreed", {"settings.rtp_dscp": 40})


async def test_an_edit_that_changes_nothing_is_none(office: Services) -> None:
    before = await audit(office, "madrid")
    edited = await office.sites.edit(ADMIN, "madrid", "Madrid", {"time_zone": "Europe/Madrid"})
    assert edited.changes == () and edited.record.revision == 1
    assert await audit(office, "madrid") == before


async def test_a_dry_run_shows_the_files_of_a_phone_of_each_kind_and_writes_nothing(office: Services) -> None:
    before = await office.sites.get(ADMIN, "madrid")
    change = {"sip_server": "other.example.net", "held_token": "hunter2"}
    tried = await office.sites.edit(ADMIN, "madrid", None, change, dry_run=True)
    assert {sample.model for sample in tried.samples} == {"vvx-411", "audiocodes-405hd"}
    assert all("other.example.net" in diff_of(sample.files) for sample in tried.samples)
    assert [(c.name, c.before, c.after) for c in tried.changes] == [
        ("settings.held_token", None, "***"),
        ("settings.sip_server", "sip.example.net", "other.example.net"),
    ]
    assert "hunter2" not in repr(tried.changes) + repr(tried.samples)
    assert await office.sites.get(ADMIN, "madrid") == before


async def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"rtp_dscp": 40}, revision=1)
    for write in (
        office.sites.edit(ADMIN, "madrid", None, {"rtp_dscp": 41}, revision=1),
        office.sites.remove(ADMIN, "madrid", revision=1),
    ):
        with pytest.raises(Stale):
            await write


async def test_a_site_with_phones_stays_and_the_refusal_names_them(office: Services) -> None:
    with pytest.raises(InUse, match="site madrid is in use by 3 phones: ") as caught:
        await office.sites.remove(ADMIN, "madrid")
    assert {phone["hardware_id"] for phone in caught.value.phones} == {VVX, OTHER_VVX, HD400}


async def test_a_removed_site_stays_whole_in_the_audit(office: Services) -> None:
    await office.sites.add(ADMIN, "paris", "", {"civic.country": "FR", "held_token": "hunter2"})
    await office.sites.remove(ADMIN, "paris", reason="closed")
    removed, added = await audit(office, "paris")
    assert (removed.action, removed.reason) == ("site.removed", "closed")
    assert removed.before == added.after and removed.before["civic_address.country"] == "FR"
    assert "hunter2" not in repr(removed)


async def test_the_secrets_of_a_site_are_revealed_with_a_reason(office: Services) -> None:
    await office.sites.edit(ADMIN, "madrid", None, {"held_token": "hunter2"})
    assert await office.sites.reveal(ADMIN, "madrid", "LIS moved") == {"held_token": "hunter2"}
    assert (await audit(office, "madrid"))[0].action == "site.revealed"
    with pytest.raises(BadValue, match=r"^reason"):
        await office.sites.reveal(ADMIN, "madrid", "")
    with pytest.raises(Forbidden):
        await office.sites.reveal(VIEWER, "madrid", "x")


# ---- who may --------------------------------------------------------------------------------------------------------


async def test_who_works_at_one_site_sees_and_changes_that_one_alone(two_sites: Services) -> None:
    sites = two_sites.sites
    assert [site.id for site in await sites.all(OF_PARIS)] == ["paris"]
    assert (await sites.edit(OF_PARIS, "paris", None, {"rtp_dscp": 40})).affected.phones == 1
    for attempt in (
        sites.get(OF_PARIS, "madrid"),
        sites.edit(OF_PARIS, "madrid", None, {"rtp_dscp": 40}),
        sites.edit(OF_PARIS, "madrid", None, {"rtp_dscp": 40}, dry_run=True),
        sites.remove(OF_PARIS, "madrid"),
        sites.reveal(OF_PARIS, "madrid", "x"),
    ):
        with pytest.raises(NotFound, match="no site madrid"):
            await attempt
    with pytest.raises(Forbidden):
        await sites.add(OF_PARIS, "rome", "", {})


async def test_who_works_at_one_site_may_remove_that_one(two_sites: Services) -> None:
    await two_sites.phones.edit(ADMIN, OTHER_VVX, {"site": "madrid"}, {})
    await two_sites.sites.remove(OF_PARIS, "paris")
    assert [site.id for site in await two_sites.sites.all(ADMIN)] == ["madrid"]


async def test_who_may_only_look_changes_nothing(two_sites: Services) -> None:
    sites = two_sites.sites
    assert len(await sites.all(VIEWER)) == 2
    for attempt in (
        sites.add(VIEWER, "rome", "", {}),
        sites.edit(VIEWER, "paris", None, {"rtp_dscp": 40}),
        sites.remove(VIEWER, "paris"),
    ):
        with pytest.raises(Forbidden):
            await attempt
    for attempt in (sites.all(Actor("nobody")), sites.get(Actor("nobody"), "paris")):
        with pytest.raises(Forbidden):
            await attempt


async def test_a_dry_run_shows_no_files_to_whom_phones_are_hidden(two_sites: Services) -> None:
    edits = Actor("edits", (Grant(frozenset({"sites:view", "sites:edit"})),))
    tried = await two_sites.sites.edit(edits, "paris", None, {"sip_server": "b.example.net"}, dry_run=True)
    assert tried.affected.phones == 1 and tried.samples == ()


async def test_the_list_comes_in_pages_of_what_is_seen(two_sites: Services) -> None:
    assert [site.id for site in await two_sites.sites.page(ADMIN, "", 1)] == ["madrid"]
    assert [site.id for site in await two_sites.sites.page(ADMIN, "madrid", 1)] == ["paris"]
    assert [site.id for site in await two_sites.sites.page(OF_PARIS, "", 1)] == ["paris"]
