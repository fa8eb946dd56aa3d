"""How a phone is told to look for its files again, and to restart: decided before anything is sent."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.conftest import ADMIN, HOSTILE_PASSWORD
from tests.services.phones_to_tell import make_phone, make_platform, plan_now, register
from ztp_server.domain.phone import Line, Phone
from ztp_server.domain.registration import Contact
from ztp_server.errors import Refused
from ztp_server.services.notify_plan import Action, Plan, RestTry, SipTry, When
from ztp_server.services.opening import Services
from ztp_server.sip.destination import Destination

REST = {"rest_api_enabled": "on", "admin_password": "Ad&min1"}
URI = {**REST, "custom.apps.restapi.sipNotify.enabled": "1"}
REBOOTS = {"check_sync_reboots": "on"}
SAFE = "/api/v1/mgmt/safeRestart"

# Model, settings, firmware, what is asked; the ways in order, or what the refusal says.
TABLE: list[tuple[str, Mapping[str, str], str, Action, When, list[str] | str]] = [
    *((model, {}, "", "resync", "now", ["check-sync"]) for model in ("vvx-411", "trio-8800", "ccx-600", "edge-e450")),
    *((model, {}, "", "resync", "now", ["check-sync"]) for model in ("soundpoint-ip-650", "soundstation-ip-6000")),
    *((model, {}, "", "resync", "now", ["check-sync"]) for model in ("soundpoint-ip-501", "spectralink-8440")),
    *((model, {}, "", "resync", "now", ["check-sync"]) for model in ("audiocodes-405hd", "audiocodes-320hd")),
    ("linphone-cli", {}, "", "resync", "now", ["check-sync"]),
    ("vvx-411", {}, "5.9.7.4477", "resync", "idle", "not known to wait until it is idle"),
    ("vvx-411", {}, "5.9.7.4477", "restart", "now", "it needs rest_api_enabled=on"),
    ("vvx-411", REST, "5.9.7.4477", "restart", "now", [SAFE]),
    ("vvx-411", REST, "5.9.7.4477", "restart", "idle", [SAFE]),
    ("vvx-411", REST, "5.3.0.12768", "restart", "now", "it needs firmware 5.4, the phone runs 5.3.0.12768"),
    ("vvx-411", REST, "", "restart", "now", "what the phone runs is not known"),
    ("vvx-411", {**REST, "web_ui_enabled": "off"}, "6.4.3", "restart", "now", "it needs web_ui_enabled=on"),
    (
        "vvx-411",
        {"rest_api_enabled": "on"},
        "6.4.3",
        "restart",
        "now",
        "it needs admin_password, which is not set here",
    ),
    ("vvx-411", URI, "6.4.1.2345", "restart", "now", [SAFE]),
    ("vvx-411", URI, "6.4.2.1", "restart", "now", [SAFE, "ACTION-URI"]),
    ("vvx-411", URI, "6.4.2.1", "restart", "idle", [SAFE, "ACTION-URI"]),
    ("vvx-411", REBOOTS, "5.9.7.4477", "restart", "now", ["the re-sync"]),
    ("vvx-411", REBOOTS, "5.9.7.4477", "restart", "idle", "the re-sync: the phone is not known to wait"),
    ("vvx-411", {**URI, **REBOOTS}, "6.4.3.1", "restart", "now", [SAFE, "ACTION-URI", "the re-sync"]),
    ("trio-8800", {**URI, **REBOOTS}, "7.2.2.1094", "restart", "now", [SAFE, "the re-sync"]),
    ("trio-8800", REST, "5.7.2", "restart", "now", "it needs firmware 5.8"),
    ("ccx-600", URI, "7.0.2", "restart", "now", "it needs firmware 8.0, the phone runs 7.0.2"),
    ("ccx-600", URI, "7.1.0.22", "restart", "now", ["ACTION-URI"]),
    ("ccx-600", URI, "9.4.1.0508", "restart", "now", [SAFE, "ACTION-URI"]),
    ("edge-e450", URI, "8.3.1.1", "restart", "now", [SAFE, "ACTION-URI"]),
    ("edge-e450", {}, "8.3.1.1", "restart", "now", "the re-sync: it needs check_sync_reboots=on"),
    ("soundpoint-ip-650", {}, "4.0.15.1047", "restart", "now", "it needs check_sync_reboots=on"),
    ("soundpoint-ip-650", REBOOTS, "4.0.15.1047", "restart", "now", ["the re-sync"]),
    ("soundstation-ip-6000", REBOOTS, "", "restart", "now", ["the re-sync"]),
    ("soundpoint-ip-501", REBOOTS, "", "restart", "now", ["the re-sync"]),
    ("spectralink-8440", REBOOTS, "", "restart", "now", ["the re-sync"]),
    ("audiocodes-405hd", {}, "", "restart", "now", "it needs check_sync_reboots=on"),
    ("audiocodes-405hd", REBOOTS, "", "restart", "now", ["the re-sync"]),
    ("audiocodes-320hd", {}, "", "restart", "now", "restart them at the phone, or by its power"),
    ("linphone-cli", {}, "", "restart", "now", ["check-sync;reboot=true"]),
]


async def plan(services: Services, phone: Phone, action: Action = "resync", when: When = "now") -> Plan:
    return await plan_now(services, services.messenger, phone, action, when)


async def refusal(services: Services, phone: Phone, action: Action = "resync") -> str:
    with pytest.raises(Refused) as error:
        await plan(services, phone, action)
    return str(error.value)


async def test_each_family_is_told_in_the_ways_that_are_proven_and_open(services: Services) -> None:
    await make_platform(services)
    asked = {case[0] for case in TABLE}
    families = {services.templates.catalog.models[model].family for model in asked}
    assert families == {f for vendor in services.templates.catalog.vendors.values() for f in vendor.family}
    for number, (model, settings, firmware, action, when, expected) in enumerate(TABLE, 1):
        place = {"firmware": firmware, "address": f"10.0.{number // 200}.{number % 200 + 1}"} if firmware else {}
        phone = await make_phone(services, model, settings, number=number, **place)
        case = f"{model} {dict(settings)} {firmware} {action} {when}"
        if isinstance(expected, str):
            with pytest.raises(Refused) as error:
                await plan(services, phone, action, when)
            assert expected in str(error.value), case
            assert phone.hardware_id in str(error.value) and "Ad&min1" not in str(error.value)
        else:
            made = await plan(services, phone, action, when)
            assert [attempt.name for attempt in made.tries] == expected, case
            assert made.does and (made.cost or action == "resync"), case
            assert "Ad&min1" not in repr(made) and HOSTILE_PASSWORD not in repr(made)


async def test_a_plan_says_what_is_sent_where(services: Services) -> None:
    await make_platform(services)
    phone = await make_phone(services, "vvx-411", {**URI, **REBOOTS}, firmware="6.4.3.1", address="10.0.0.7")
    made = await plan(services, phone, "restart")
    rest, uri, resync = made.tries
    assert isinstance(rest, RestTry) and isinstance(uri, SipTry) and isinstance(resync, SipTry)
    assert (rest.address, rest.row.user, rest.password, rest.mac) == (
        "10.0.0.7",
        "Polycom",
        "Ad&min1",
        phone.hardware_id,
    )
    assert rest.has_certificate and made.way == f"{SAFE} at 10.0.0.7"
    assert (uri.event, uri.content_type) == ("ACTION-URI", "application/JSON")
    assert uri.body == '{"command-URI":"/api/v1/mgmt/safeRestart"}'
    assert (resync.event, resync.says) == ("check-sync", "the re-sync by way of platform pbx")
    assert uri.road.target == "sip:1001@sip.example.net" and uri.road.destination is None and not uri.road.credentials
    # While a check-sync restarts it, so does a re-sync, and that is said.
    assert "so does every re-sync" in (await plan(services, phone)).cost


async def test_who_cannot_be_told_is_refused_with_what_to_do(services: Services) -> None:
    phone = replace(await _phone_without_platform(services), settings={"sip_server": "other.example.net"})
    assert "no platform is known for its SIP server other.example.net: add one" in await refusal(services, phone)
    assert "no platform is known" in await refusal(
        services, replace(phone, settings={**phone.settings, "check_sync_reboots": True}), "restart"
    )
    assert "set sip_server" in await refusal(services, replace(phone, settings={"sip_server": ""}))
    assert "has no address" in await refusal(services, replace(phone, settings={}))
    assert "is blocked" in await refusal(services, replace(phone, proofs=()))
    assert "it has no line" in await refusal(services, replace(phone, lines=()))
    for category in ("unmanaged", "webrtc", "remote"):
        assert f"not configured here ({category})" in await refusal(services, replace(phone, category=category))
    assert "is not in the catalogue" in await refusal(services, replace(phone, model="acme-1"))


async def _phone_without_platform(services: Services) -> Phone:
    await make_platform(services, address="")
    return await make_phone(services, "soundpoint-ip-650")


async def test_the_phone_interface_is_asked_only_where_the_phone_is_known_to_be(services: Services) -> None:
    await make_platform(services)
    phone = await make_phone(services, "vvx-411", REST, firmware="6.4.3.1", address="10.0.0.7", number=1)
    assert (await plan(services, phone, "restart")).tries
    behind = await make_phone(services, "vvx-411", REST, firmware="6.4.3.1", address="10.0.0.7", number=2)
    for one in (phone, behind):
        assert "other phones were seen at 10.0.0.7 as well" in await refusal(services, one, "restart")
    unseen = await make_phone(services, "vvx-411", REST, firmware="6.4.3.1", number=3)
    assert "it was never seen" in await refusal(services, unseen, "restart")


async def test_the_line_that_is_registered_is_the_one_that_is_told(services: Services) -> None:
    await make_platform(services)
    lines = (
        Line("1001", password="one"),
        Line("1002", password="two"),
        Line("ann@other.example.net", password="three"),
    )
    phone = await make_phone(services, "vvx-411", lines=lines)

    async def target() -> str:
        attempt = (await plan(services, phone)).tries[0]
        assert isinstance(attempt, SipTry)
        return attempt.road.target

    assert await target() == "sip:1001@sip.example.net"
    await register(services, "ann", Contact("sip:ann@10.0.0.7"), domain="other.example.net")
    assert await target() == "sip:ann@other.example.net"
    await register(services, "1002", Contact("sip:1002@10.0.0.7"))
    assert await target() == "sip:1002@sip.example.net"
    await register(services, "1001", Contact("sip:1001@10.0.0.7"), untold="the source is silent")
    assert await target() == "sip:1002@sip.example.net"


# A contact, and where that is; None: nowhere, or nowhere that one could mean.
CONTACTS: list[tuple[Contact, Destination | None]] = [
    (Contact("sip:1001@10.0.0.7:5062"), Destination("10.0.0.7", 5062)),
    (Contact("<sip:1001@10.0.0.7;transport=TCP;x=y>"), Destination("10.0.0.7", 5060, "tcp")),
    (Contact("sip:1001@[2001:db8::7]:5061;transport=tls"), Destination("2001:db8::7", 5061, "tls")),
    (Contact("sips:1001@10.0.0.7"), Destination("10.0.0.7", 5061, "tls")),
    (
        Contact("sip:1001@192.168.1.7", received="sip:10.0.0.9:1024;transport=tcp"),
        Destination("10.0.0.9", 1024, "tcp"),
    ),
    (Contact("sip:1001@phone.example.net"), None),
    (Contact("sip:1001@10.0.0.7:99999"), None),
    (Contact("sip:1001@10.0.0.7 evil"), None),
    (Contact("sip:x@10.0.0.7>\r\nVia: x"), None),
    (Contact(f"sip:{'a' * 600}@10.0.0.7"), None),
    (Contact("sip:1001@999.1.1.1"), None),
    (Contact("sip:1001@127.0.0.1:6379;transport=tcp"), None),
    (Contact("sips:1001@[::ffff:127.0.0.1]:443"), None),
    (Contact(""), None),
]


async def test_straight_to_a_phone_goes_only_where_that_is_allowed_and_with_the_account_only_to_its_contact(
    services: Services,
) -> None:
    await make_platform(services, direct=True)
    for number, (contact, destination) in enumerate(CONTACTS, 1):
        user = f"20{number:02}"
        line = Line(user, f"auth {user}", HOSTILE_PASSWORD)
        phone = await make_phone(services, "vvx-411", lines=[line], number=number, address=f"10.0.0.{number}")
        await register(services, user, contact)
        by_platform, straight = (await plan(services, phone)).tries
        assert isinstance(by_platform, SipTry) and isinstance(straight, SipTry)
        assert by_platform.road.destination is None and not by_platform.road.credentials
        if destination is None:
            # Where it was last seen; who that is now is not known, so nobody there is shown a login.
            assert straight.road.destination == Destination(f"10.0.0.{number}") and not straight.road.credentials
            assert straight.road.target == f"sip:{user}@10.0.0.{number}"
        else:
            assert straight.road.destination == destination and straight.road.target == contact.uri.strip("<>")
            assert [(one.user, one.password) for one in straight.road.credentials] == [
                (line.auth_user, HOSTILE_PASSWORD)
            ]


async def test_a_contact_that_may_be_of_another_domains_user_is_told_nothing_and_shown_no_account(
    services: Services,
) -> None:
    platform = await make_platform(services, direct=True, address="")
    phone = await make_phone(services, "vvx-411", address="10.0.0.1")
    await register(services, "1001", Contact("sip:1001@10.0.0.7"), domain="")
    places = []
    for domains in (("sip.example.net",), ("sip.example.net", "other.example.net")):
        async with services.store.write() as session:
            platform = await session.platforms.edit(replace(platform, domains=domains))
        (straight,) = (await plan(services, phone)).tries
        assert isinstance(straight, SipTry)
        places.append((straight.road.destination, bool(straight.road.credentials)))
    assert places == [(Destination("10.0.0.7"), True), (Destination("10.0.0.1"), False)]


async def test_without_an_address_of_the_platform_phones_are_told_straight_if_that_is_allowed(
    services: Services,
) -> None:
    await make_platform(services, direct=True, address="")
    phone = await make_phone(services, "vvx-411", firmware="5.9", address="10.0.0.20")
    (straight,) = (await plan(services, phone)).tries
    assert isinstance(straight, SipTry) and straight.road.destination == Destination("10.0.0.20")
    unseen = await make_phone(services, "vvx-411", number=2)
    assert "has no address" in await refusal(services, unseen)


async def test_a_phone_that_was_logged_out_is_told_by_the_line_that_is_still_registered(services: Services) -> None:
    await make_platform(services)
    phone = await make_phone(services, "vvx-411")
    await register(services, "1001", Contact("sip:1001@10.0.0.7"))
    made = await plan(services, replace(phone, logged_out=True))
    assert [one.road.target for one in made.tries if isinstance(one, SipTry)] == ["sip:1001@sip.example.net"]


async def test_a_line_that_is_registered_at_fewer_places_counts_before_one_that_other_phones_share(
    services: Services,
) -> None:
    await make_platform(services)
    lines = [Line("2000", "2000", "x"), Line("1001", "1001", "x"), Line("1002", "1002", "x")]
    phone = await make_phone(services, "vvx-411", lines=lines)
    await register(services, "2000", Contact("sip:2000@10.0.0.7"), Contact("sip:2000@10.0.0.8"))
    for user in ("1001", "1002"):
        await register(services, user, Contact(f"sip:{user}@10.0.0.7"))
    made = await plan(services, phone)
    assert [one.road.target for one in made.tries if isinstance(one, SipTry)] == ["sip:1001@sip.example.net"]


async def test_no_neighbour_is_restarted_who_has_the_same_line(services: Services) -> None:
    platform = await make_platform(services)
    phone = await make_phone(services, "linphone-cli", address="10.0.0.8", firmware="5.1")
    own, left_behind = Contact("sip:1001@10.0.0.8:5062"), Contact("sip:1001@10.0.0.8:5060")
    await register(services, "1001", left_behind, own)
    assert (await plan(services, phone, "restart")).tries
    await register(services, "1001", Contact("sip:1001@10.0.0.7"), own)
    said = await refusal(services, phone, "restart")
    assert "its line is registered at 2 addresses, and all who are there would restart" in said
    # Who has nothing new does nothing: all of them may look.
    assert len((await plan(services, phone, "resync")).tries) == 1

    async with services.store.write() as session:
        platform = await session.platforms.edit(replace(platform, direct=True))
    (straight,) = (await plan(services, phone, "restart")).tries
    assert isinstance(straight, SipTry) and straight.road.destination == Destination("10.0.0.8", 5062)
    reboots = await make_phone(services, "vvx-411", REBOOTS, number=2, lines=[Line("1001", "1001", "x")])
    async with services.store.write() as session:
        await session.platforms.edit(replace(platform, direct=False))
    assert "all who are there would restart" in await refusal(services, reboots)


async def test_the_secondary_server_counts_where_the_primary_is_no_platform_of_ours(services: Services) -> None:
    await make_platform(services)
    await services.sites.edit(
        ADMIN, "lab", None, {"sip_server": "far.example.net", "sip_server_secondary": "sip.example.net"}
    )
    phone = await make_phone(services, "vvx-411")
    (attempt,) = (await plan(services, phone)).tries
    assert isinstance(attempt, SipTry) and attempt.road.target == "sip:1001@sip.example.net"


async def test_what_phones_share_is_read_once_a_session_and_forgotten_with_it(services: Services) -> None:
    await make_platform(services)
    phones = [await make_phone(services, "vvx-411", number=number) for number in (1, 2)]
    messenger = services.messenger
    async with services.store.read() as session:
        for phone in phones:
            assert (await messenger.plan(session, phone, "resync")).tries
        assert len(messenger._shared) == 1
    del session
    gc.collect()
    assert len(messenger._shared) == 0
    await services.sites.edit(ADMIN, "lab", None, {"sip_server": "far.example.net"})
    assert "no platform is known for its SIP server far.example.net" in await refusal(services, phones[0])
